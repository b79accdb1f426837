package handlers

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
)

// A worker that dies between the ranges of a table is followed by one that reads
// the rest, of rows that go on changing.
func TestRangesSurviveTheirWorker(t *testing.T) {
	fresh := postgresShop(t)
	for _, c := range []struct {
		step   string
		nth    int
		change string // of rows, while nobody reads
		most   int    // ranges that may be read, of 3
	}{
		{"staged", 1, "", 5},
		{"staged", 2, "", 4},
		{"committed", 1, "", 3},
		{"staged", 2, "UPDATE wide SET note = 'changed' WHERE id = 100", 5},
		{"staged", 2, "DELETE FROM wide WHERE id < 10", 5},
		{"staged", 2, "INSERT INTO wide SELECT -i, 'more', repeat('y', 7000) FROM generate_series(1, 20) i", 5},
		{"staged", 1, "TRUNCATE wide", 5},
		{"staged", 1, "ALTER TABLE wide ADD COLUMN extra int DEFAULT 3", 5},
	} {
		t.Run(fmt.Sprintf("%s %d %.8s", c.step, c.nth, c.change), func(t *testing.T) {
			if testing.Short() && (c.nth != 2 || len(c.change) > 50) {
				t.Skip("the long suite has the rest")
			}
			s := fresh(t, quick())
			s.exec(`CREATE TABLE wide (id int PRIMARY KEY, note text, filler text) WITH (autovacuum_enabled = off)`,
				`ALTER TABLE wide ALTER COLUMN filler SET STORAGE PLAIN`,
				`INSERT INTO wide SELECT i, 'n' || i, repeat('x', 7900) FROM generate_series(1, 5000) i`)
			s.open()
			var staged atomic.Int64
			killed := make(chan struct{})
			s.once(c.step, c.nth, func() {
				if c.change != "" {
					// The reader's locks end with its connections.
					go func() {
						defer close(killed)
						s.exec(c.change)
					}()
				} else {
					close(killed)
				}
			})
			at := s.seams.at
			s.seams.mu.Lock()
			s.seams.at = func(step string) {
				if step == "staged" {
					staged.Add(1)
				}
				at(step)
			}
			s.seams.mu.Unlock()
			s.faults.begin = func(landing.Target) error {
				if s.seams.killed() > 0 {
					select {
					case <-killed:
					case <-time.After(patience):
						t.Error("the change waits for a worker that is dead")
					}
				}
				return nil
			}
			s.seams.kill(c.step, c.nth)
			r := s.sync(command.SyncOptions{Parallelism: 1})["wide"]
			if r.Status != tableCompleted || s.seams.killed() != 1 {
				t.Fatalf("%d kills, %+v", s.seams.killed(), r)
			}
			s.same(r, "wide", "id", "note")
			if n := staged.Load(); n > int64(c.most) {
				t.Errorf("%d ranges were read for 3, want at most %d", n, c.most)
			}
		})
	}
}

// A table whose failure may pass is tried again with growing pauses, and the
// others do not wait for it.
func TestRetriesOfATable(t *testing.T) {
	fresh := postgresShop(t)
	o := quick()
	o.RetryDelay, o.TableRetries = 20*time.Millisecond, 3
	s := fresh(t, o)
	for _, table := range []string{"good", "cut", "bad"} {
		s.exec("CREATE TABLE "+table+" (id int PRIMARY KEY, n numeric(30,2))", "INSERT INTO "+table+" SELECT i, i FROM generate_series(1, 100) i")
	}
	s.exec("UPDATE bad SET n = 'NaN' WHERE id = 77") // now the last one of the heap
	s.open()
	var mu sync.Mutex
	tries := map[string][]time.Time{}
	full := true
	s.faults.begin = func(x landing.Target) error {
		mu.Lock()
		defer mu.Unlock()
		tries[x.Table.Name] = append(tries[x.Table.Name], time.Now())
		return nil
	}
	s.faults.commit = func(table string, _ bool) error {
		mu.Lock()
		defer mu.Unlock()
		if table == "cut" && (full || len(tries["cut"]) < 3) {
			return fmt.Errorf("%w: %w", landing.ErrStorage, syscall.ENOSPC)
		}
		return nil
	}
	failed := s.fails(command.SyncOptions{Tables: []string{"cut", "bad"}})
	for _, r := range failed.Tables {
		want := map[string]struct {
			reason event.Reason
			says   string
			tries  int
		}{"cut": {event.ReasonStorage, "disk is full", 4}, "bad": {event.ReasonBadData, "NaN", 1}}[r.Name]
		if r.Reason != want.reason || !strings.Contains(r.Message, want.says) || len(tries[r.Name]) != want.tries {
			t.Errorf("%d tries: %+v", len(tries[r.Name]), r)
		}
	}
	for i, pause := 1, o.RetryDelay; i < len(tries["cut"]); i, pause = i+1, 4*pause {
		if waited := tries["cut"][i].Sub(tries["cut"][i-1]); waited < pause {
			t.Errorf("try %d came %v after the one before, want %v", i+1, waited, pause)
		}
	}
	full = false
	clear(tries)
	got := s.sync(command.SyncOptions{})
	s.same(got["good"], "good", "id")
	s.same(got["cut"], "cut", "id")
	if r := got["bad"]; r.Status != tableFailed || r.Reason != event.ReasonBadData || !strings.Contains(r.Message, "the row with id = 77") {
		t.Errorf("%+v", r)
	}
	if done := last[*event.SyncCompleted](s.world); done.Status != "partial" || len(tries["cut"]) != 3 || len(tries["good"]) != 1 {
		t.Errorf("the sync is %s after %d and %d tries", done.Status, len(tries["cut"]), len(tries["good"]))
	}
}
