package capture_test

import (
	"context"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
)

// An account whose transactions are read-only by its settings can still publish.
func TestCaptureReadOnlyAccount(t *testing.T) {
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	run(t, db, "CREATE TABLE calm (id int PRIMARY KEY)", "ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
	m := newMirror(t, server, "calm")
	m.synced()
	run(t, db, "SET default_transaction_read_only = off; INSERT INTO calm VALUES (1)")
	m.synced()
}

// A prepared transaction that was forgotten keeps a slot from beginning: the error names
// it, though no session has it.
func TestCapturePreparedBeforeTheSlot(t *testing.T) {
	server := servers.PostgresWith(t, append([]string{"max_prepared_transactions=4"}, logical...)...)
	db := handle(t, server)
	run(t, db, "CREATE TABLE held (id int PRIMARY KEY)", "BEGIN; INSERT INTO held VALUES (1); PREPARE TRANSACTION 'for''gotten'")
	m := newMirror(t, server, "held")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := m.capture(ctx)
	fails(t, err, driver.ErrTimeout, "ROLLBACK PREPARED 'for''gotten'")
	run(t, db, "COMMIT PREPARED 'for''gotten'")
	m.synced()
}
