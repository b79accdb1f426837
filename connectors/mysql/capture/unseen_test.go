package capture_test

import (
	"errors"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
)

// A column that comes between the discovery of a table and the capture of its log has the
// table discovered again: what changes put into it would be lost.
func TestCaptureOfAColumnThatWasNotDiscovered(t *testing.T) {
	server, db := logServer(t)
	execute(t, db, "CREATE TABLE a (id int PRIMARY KEY, note text)")
	src := openSource(t, settingsOf(server, func(*session.Settings) {}))
	capture := func() error {
		tables, err := src.Discover(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(tables[0].Columns) == 2 {
			execute(t, db, "ALTER TABLE a ADD COLUMN late int; INSERT INTO a VALUES (1, 'one', 1)")
		}
		log, err := src.Capture(t.Context(), driver.Capture{Reader: "headwater_test", Tables: []driver.CapturedTable{{Table: tables[0]}}})
		if err == nil {
			err = log.Close()
		}
		return err
	}
	if err := capture(); !errors.Is(err, driver.ErrRetyped) || !strings.Contains(err.Error(), "late") {
		t.Errorf("%v", err)
	}
	if err := capture(); err != nil {
		t.Errorf("discovered again: %v", err)
	}
}
