package handlers

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/projections"
)

func resultOf(t *testing.T, results []event.TableResult, name string) event.TableResult {
	t.Helper()
	at := slices.IndexFunc(results, func(r event.TableResult) bool { return r.Name == name })
	if at < 0 {
		t.Fatalf("nothing is told of %s", name)
	}
	return results[at]
}

// A table whose changes the log does not have is read whole by each sync, whatever
// else happens in it; where a read of now is not what is asked for, it is set aside.
func TestATableWithoutAReplicaIdentityIsReadWhole(t *testing.T) {
	w, l := newLog(t, quick(), "orders", "carts")
	for id := range int64(4) {
		l.do("orders", driver.OpInsert, id, notesText(id))
		l.do("carts", driver.OpInsert, id, notesText(id))
	}
	l.refuse["carts"] = driver.E(driver.ErrUnsupported, nil, "public.carts has no replica identity")
	for range 2 {
		w.do(w.syncCommand(capturing()))
		w.wantEqual(l)
		done := last[*event.SyncCompleted](w)
		carts := resultOf(t, done.Tables, "carts")
		if done.Status != "completed" || carts.Mode != "full_refresh" || carts.SetAside || !strings.Contains(carts.Message, "no replica identity. Meanwhile each sync reads the whole table") {
			t.Fatalf("%s: %+v", done.Status, carts)
		}
		if carts.Records != int64(len(l.all()["carts"])) || done.Records < carts.Records {
			t.Errorf("%d records of carts, %d in all", carts.Records, done.Records)
		}
		l.do("orders", driver.OpDelete, int64(len(l.log))%4, "")
		l.do("carts", driver.OpInsert, int64(len(l.log)), "more")
		l.mu.Lock() // another round, in which it is not read once more
		l.tables["orders"].extra = append(l.tables["orders"].extra, column("c"+notesText(int64(len(l.log))), driver.String))
		l.told = "orders"
		l.mu.Unlock()
	}
	log := capturing()
	log.Changes = command.AppendChanges
	w.do(w.syncCommand(log))
	if done := last[*event.SyncCompleted](w); done.Status != "partial" || !resultOf(t, done.Tables, "carts").SetAside {
		t.Errorf("%s: %+v", done.Status, done.Tables)
	}
	delete(l.refuse, "carts")
	w.do(w.syncCommand(capturing("*")))
	w.wantEqual(l)
	if carts := resultOf(t, last[*event.SyncCompleted](w).Tables, "carts"); carts.Mode != "cdc" {
		t.Errorf("with an identity it is read by %s", carts.Mode)
	}
}

// A sync that goes on asks again about such a table, and fails where there is nothing
// else to go on with.
func TestATableThatGetsAReplicaIdentity(t *testing.T) {
	o := quick()
	o.AsideEvery = 100 * time.Millisecond
	w, l := newLog(t, o, "orders", "carts")
	l.refuse["carts"] = driver.E(driver.ErrUnsupported, nil, "public.carts has no replica identity")
	l.refuse["orders"] = l.refuse["carts"]
	go w.handlers.RunSchedules(t.Context())
	l.do("carts", driver.OpInsert, 1, "one")
	w.continuously(false)
	w.eventually("the sync to fail", func() bool { return slices.Contains(w.outcomes(w.address), "SyncFailed") })
	if got := last[*event.SyncFailed](w); got.Reason != event.ReasonUnsupported || !strings.Contains(got.Message, "every in place of continuous") || len(w.holds("carts")) > 0 {
		t.Errorf("%+v", got)
	}
	l.mu.Lock()
	delete(l.refuse, "orders")
	l.mu.Unlock()
	w.eventually("the table to be read", func() bool { return maps.Equal(w.holds("carts"), l.all()["carts"]) })
	l.mu.Lock()
	delete(l.refuse, "carts")
	l.mu.Unlock()
	l.do("carts", driver.OpInsert, 2, "two")
	w.eventually("the table to be followed", func() bool { return maps.Equal(w.holds("carts"), l.all()["carts"]) })
	w.continuously(true)
	w.eventually("the sync to end", func() bool { return slices.Contains(w.outcomes(w.address), "SyncCompleted") })
}

// A table with a change that cannot land is set aside, and the others go on.
func TestABadChangeStopsItsOwnTable(t *testing.T) {
	w, l := newLog(t, quick(), "orders", "carts")
	w.do(w.syncCommand(capturing()))
	l.do("orders", driver.OpInsert, 1, "one")
	l.do("carts", driver.OpInsert, 1, "bad")
	l.bad = "carts"
	w.do(w.syncCommand(capturing()))
	done := last[*event.SyncCompleted](w)
	if carts := resultOf(t, done.Tables, "carts"); done.Status != "partial" || !carts.SetAside || !strings.Contains(carts.Message, "infinity") || len(w.holds("orders")) != 1 {
		t.Fatalf("%s: %+v", done.Status, done.Tables)
	}
	l.bad = ""
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
}

// What a first read costs the source is looked at while it goes on: it is told of,
// and ended where it is too much.
func TestLagIsWatchedWhileTablesAreRead(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	l.do("orders", driver.OpInsert, 1, "one")
	retain := func(bytes int64) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.retained = bytes
	}
	l.onRead = func(ctx context.Context, _ string) {
		retain(2 << 20)
		w.eventually("the lag to be told", func() bool { return slices.Contains(w.names(w.address), "ChangesLagging") })
		if s, err := w.store.Source(w.address); err != nil || s.Changes == nil || s.Changes.FreshUntil != nil {
			t.Errorf("while it is read: %+v, %v", s.Changes, err)
		}
		retain(2 << 30)
		select {
		case <-ctx.Done():
		case <-time.After(patience):
			t.Error("the read was not ended")
		}
	}
	o := capturing()
	o.LagWarn, o.LagLimit = 1<<20, 1<<30
	w.do(w.syncCommand(o))
	got := last[*event.SyncFailed](w)
	if got.Reason != event.ReasonLimit || !strings.Contains(got.Message, "lag_limit_bytes for the first read") || l.releases != 1 || len(l.readers) != 0 {
		t.Errorf("%+v, %d releases", got, l.releases)
	}
	if given := last[*event.ChangesGivenUp](w); !given.Released {
		t.Errorf("%+v", given)
	}
	l.onRead = nil
	retain(0)
	if op := w.do(w.syncCommand(o)); op.Status != projections.StatusCompleted {
		t.Errorf("%+v", op.Targets)
	}
	w.wantEqual(l)
}
