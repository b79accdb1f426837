package handlers

import (
	"context"
	"slices"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/projections"
)

// Values that do not fit the types of a sample make the source find others: the
// table is read again with those, in the same sync, and the schema says so.
func TestTypesFoundAnew(t *testing.T) {
	w := newWorld(t, quick())
	w.source.put("orders", 100, column("amount", driver.Int64))
	w.connect()
	failed := false
	w.source.onBatch = func(_ context.Context, table string, batch int) error {
		if batch != 1 || failed {
			return nil
		}
		failed = true
		w.source.change(func(t *driver.Table) {
			t.Columns = slices.Clone(t.Columns)
			t.Columns[2].Type = driver.Of(driver.String)
		})
		return driver.E(driver.ErrRetyped, nil, "amount is a fraction")
	}
	if op := w.do(w.syncCommand(command.SyncOptions{BatchSize: 10})); op.Status != projections.StatusCompleted {
		t.Fatalf("%+v", op.Targets)
	}
	w.wantLanded("orders", 0, 100)
	w.wantOutcomes("SourceConnected", "SchemaDiscovered", "SyncStarted", "SchemaDiscovered", "SyncCompleted")
	if found := last[*event.SchemaDiscovered](w); found.Tables[0].Columns[2].Type != "string" {
		t.Errorf("%+v", found.Tables[0])
	}
	if done := last[*event.SyncCompleted](w); done.Records != 100 || done.Tables[0].Status != tableCompleted {
		t.Errorf("%+v", done)
	}
}

// A source that never comes to an end with its types fails the table.
func TestTypesFoundAnewForEver(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	w.source.onBatch = func(context.Context, string, int) error {
		return driver.E(driver.ErrRetyped, nil, "once more")
	}
	w.do(w.syncCommand(command.SyncOptions{}))
	if failed := last[*event.SyncFailed](w); failed.Reason != event.ReasonBadData {
		t.Errorf("%+v", failed)
	}
}
