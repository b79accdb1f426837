package handlers

import (
	"context"
	"slices"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
)

// Rows that were read and told of, but not committed, are not landed: neither a
// checkpoint nor the source's count may hold them when the table then fails.
func TestRowsThatWereOnlyReadAreNotCounted(t *testing.T) {
	o := quick()
	o.CommitBytes, o.TableRetries = 400, -1 // a commit each four batches
	w := newWorld(t, o)
	w.connect()
	w.source.onBatch = func(ctx context.Context, _ string, batch int) error {
		if batch != 6 {
			return nil
		}
		for ctx.Err() == nil { // until somebody was told of 60 rows, of which 40 are committed
			sync, err := w.store.Sync("acme", "w1", "syn_watched")
			committed := slices.ContainsFunc(w.events(w.address), func(e *event.Event) bool {
				p, ok := e.Data.(*event.SyncProgressed)
				return ok && p.Table.Records == 40
			})
			if err == nil && sync.Records == 60 && committed {
				return driver.E(driver.ErrPermission, nil, "permission denied")
			}
			time.Sleep(2 * time.Millisecond)
		}
		return ctx.Err()
	}
	c := w.syncCommand(command.SyncOptions{BatchSize: 10, Mode: landing.Incremental})
	c.SyncID = "syn_watched"
	w.do(c)
	w.wantLanded("orders", 0, 40)
	source, err := w.store.Source(w.address)
	if err != nil || source.Records != 40 {
		t.Errorf("the source has %d records (%v), 40 landed", source.Records, err)
	}
	for _, e := range w.events(w.address) {
		if p, ok := e.Data.(*event.SyncProgressed); ok && p.Table.Records != 0 && p.Table.Records != 40 {
			t.Errorf("a checkpoint tells of %d records in the table, 40 were committed at once", p.Table.Records)
		}
	}
}
