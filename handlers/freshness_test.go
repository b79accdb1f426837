package handlers

import (
	"context"
	"errors"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
)

// TestFreshness: a table is complete up to when the last read of it began that
// ended as completed.
func TestFreshness(t *testing.T) {
	w, _ := scheduledWorld(t, 0)
	w.source.put("carts", 20)
	before := time.Now()
	w.do(w.syncCommand(command.SyncOptions{Mode: landing.Incremental}))
	fresh := func() (oldest *time.Time, tables map[string]time.Time) {
		source, err := w.store.Source(w.address)
		w.check(err)
		found, err := w.store.LandedTables(w.address)
		w.check(err)
		tables = map[string]time.Time{}
		for _, l := range found {
			tables[l.Name] = *l.FreshUntil
		}
		return source.LastSync.FreshUntil, tables
	}
	oldest, first := fresh()
	if oldest == nil || len(first) != 2 || oldest.Before(before) || oldest.After(first["carts"]) || oldest.After(first["orders"]) {
		t.Fatalf("fresh until %v, %v", oldest, first)
	}
	// A read without news is news of that.
	w.do(w.syncCommand(command.SyncOptions{Mode: landing.Incremental}))
	if _, second := fresh(); !second["orders"].After(first["orders"]) {
		t.Errorf("fresh until %v, then %v", first, second)
	}
	// A table that fails stays as fresh as it was, and so does the source.
	_, third := fresh()
	w.source.put("carts", 40)
	w.source.onBatch = func(_ context.Context, table string, _ int) error {
		if table == "carts" {
			return errors.New("no")
		}
		return nil
	}
	w.do(w.syncCommand(command.SyncOptions{Mode: landing.Incremental}))
	oldest, fourth := fresh()
	if !fourth["orders"].After(third["orders"]) || !fourth["carts"].Equal(third["carts"]) || oldest == nil || !oldest.Equal(third["carts"]) {
		t.Errorf("fresh until %v, then %v, the source %v", third, fourth, oldest)
	}
	for _, r := range last[*event.SyncCompleted](w).Tables {
		if (r.FreshUntil != nil) != (r.Status == tableCompleted) {
			t.Errorf("%+v", r)
		}
	}
}
