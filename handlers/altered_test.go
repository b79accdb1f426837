package handlers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/bus/event"
	"headwater/connectors/driver"
)

// Tables that are altered again and again while nothing lands are followed as long as each
// look finds something new. Without anything new the sync ends, as one to try again.
func TestTablesAreLookedAtAgainAsLongAsTheyChange(t *testing.T) {
	w, l := newLog(t, quick(), "orders", "carts")
	w.do(w.syncCommand(capturing()))
	l.do("orders", driver.OpInsert, 1, "one")
	const most = 8 // as a sync has it
	rounds := 0
	alters := func(ofThem bool) func(int) error {
		return func(int) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			if rounds++; rounds > 2*most && ofThem {
				return nil
			}
			name := fmt.Sprintf("c%d", rounds)
			if ofThem {
				l.tables["orders"].extra = append(l.tables["orders"].extra, column(name, driver.String))
			}
			return driver.E(driver.ErrRetyped, nil, "table public.orders was altered: it has a column %s now", name)
		}
	}
	l.onFlush = alters(true)
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
	if done := last[*event.SyncCompleted](w); done.Status != "completed" || rounds != 2*most+1 {
		t.Errorf("%s after %d rounds: %v", done.Status, rounds, done.Tables)
	}
	l.do("orders", driver.OpInsert, 2, "two")
	rounds, l.onFlush = 0, alters(false)
	w.do(w.syncCommand(capturing()))
	failed := last[*event.SyncFailed](w)
	if failed.Reason != event.ReasonTimeout || rounds != most+1 || !strings.Contains(failed.Message, "9 times in a row") || !strings.Contains(failed.Message, "it has a column c9 now") {
		t.Errorf("after %d rounds: %s: %s", rounds, failed.Reason, failed.Message)
	}
	l.onFlush = nil
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
}

// A table that cannot be read at the moment of the capture is captured anew, while the
// others go on. One that never can is set aside.
func TestATableThatMissesTheMomentIsCapturedAnew(t *testing.T) {
	w, l := newLog(t, quick(), "orders", "carts", "lines")
	for _, name := range []string{"orders", "carts", "lines"} {
		l.do(name, driver.OpInsert, 1, "one")
	}
	var mu sync.Mutex
	missed, most, changed := map[int]bool{}, 3, int64(1)
	l.apart = func(table string) string {
		l.mu.Lock()
		capture := len(l.captures)
		l.mu.Unlock()
		mu.Lock()
		defer mu.Unlock()
		if table != "carts" || capture > most {
			return ""
		}
		if !missed[capture] { // else it is asked again
			missed[capture] = true
			changed++
			l.do("orders", driver.OpInsert, changed, "beside it")
		}
		return "it was altered"
	}
	l.onCapture = func(driver.Capture) error {
		mu.Lock()
		defer mu.Unlock()
		if landed := int64(len(w.holds("orders"))); changed > 1 && landed != changed {
			t.Errorf("%d rows of orders have landed before another capture, of %d", landed, changed)
		}
		return nil
	}
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
	done := last[*event.SyncCompleted](w)
	if done.Status != "completed" || len(missed) != 3 || len(l.captures) != 4 {
		t.Fatalf("%s, %d misses in %d captures: %v", done.Status, len(missed), len(l.captures), done.Tables)
	}
	for _, table := range done.Tables {
		if notes := notesOf(table); table.SetAside || strings.Contains(notes, "a moment of its own") {
			t.Errorf("%s is set aside %t: %s", table.Name, table.SetAside, notes)
		}
	}
	for i, c := range l.captures[1:] {
		for _, table := range c.Tables {
			if table.Name != "carts" && table.After == "" {
				t.Errorf("capture %d reads %s whole again", i+1, table.Name)
			}
		}
	}
	before := len(l.captures)
	mu.Lock()
	most, l.onCapture = 1000, nil
	mu.Unlock()
	w.do(w.syncCommand(capturing("public.carts")))
	done = last[*event.SyncCompleted](w)
	for _, table := range done.Tables {
		if aside := table.Name == "carts"; aside != table.SetAside || aside && !strings.Contains(table.Message, "5 times in a row: it was altered") {
			t.Errorf("%s: %s %s", table.Name, table.Status, table.Message)
		}
	}
	if n := len(l.captures) - before; done.Status != "partial" || n != 5 {
		t.Errorf("%s after %d captures", done.Status, n)
	}
	mu.Lock()
	most = 0
	mu.Unlock()
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
}

// A continuous sync that is paused while a table waits for another capture reads it before
// it ends.
func TestAPauseWaitsForATableThatMissedTheMoment(t *testing.T) {
	w, l := newLog(t, quick(), "orders", "carts")
	l.do("orders", driver.OpInsert, 1, "one")
	l.do("carts", driver.OpInsert, 1, "one")
	var paused sync.Once
	l.apart = func(table string) string {
		l.mu.Lock()
		capture := len(l.captures)
		l.mu.Unlock()
		if table != "carts" || capture > 1 {
			return ""
		}
		paused.Do(func() { w.continuously(true) })
		return "it was altered"
	}
	runs := make(chan struct{})
	go func() { defer close(runs); w.handlers.RunSchedules(t.Context()) }()
	w.continuously(false)
	w.eventually("the sync to end", func() bool { return slices.Contains(w.outcomes(w.address), "SyncCompleted") })
	if done := last[*event.SyncCompleted](w); done.Status != "completed" || len(l.captures) != 2 {
		t.Errorf("%s after %d captures: %v", done.Status, len(l.captures), done.Tables)
	}
	w.wantEqual(l)
	w.handlers.Stop()
	<-runs
}

// A continuous sync follows a table that was made after it began, and the next sync does.
func TestATableThatComesLaterIsFollowed(t *testing.T) {
	o := quick()
	o.AsideEvery = 100 * time.Millisecond
	w, l := newLog(t, o, "orders")
	l.do("orders", driver.OpInsert, 1, "one")
	w.do(w.syncCommand(capturing()))
	add := func(name string) {
		l.mu.Lock()
		l.tables[name] = &loggedTable{rows: map[int64]string{7: "was there"}}
		l.mu.Unlock()
		l.do(name, driver.OpInsert, 1, "came")
	}
	add("carts")
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
	runs := make(chan struct{})
	go func() { defer close(runs); w.handlers.RunSchedules(t.Context()) }()
	w.continuously(false)
	follows := func(name string) {
		t.Helper()
		w.eventually(name+" to be followed", func() bool { return maps.Equal(w.holds(name), l.all()[name]) })
	}
	l.do("orders", driver.OpInsert, 2, "two")
	follows("orders")
	add("lines")
	follows("lines")
	l.do("lines", driver.OpUpdate, 7, "changed")
	l.do("orders", driver.OpInsert, 3, "three")
	follows("lines")
	follows("orders")
	w.continuously(true)
	w.eventually("the sync to end", func() bool {
		ended := slices.DeleteFunc(w.outcomes(w.address), func(name string) bool { return name != "SyncCompleted" })
		return len(ended) == 3
	})
	w.wantEqual(l)
	w.handlers.Stop()
	<-runs
}
