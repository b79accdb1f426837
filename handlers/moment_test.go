package handlers

import (
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
)

// Every result says when the read of its rows began: of several, when the first
// did, and that there were several. A full refresh lands the last read alone.
func TestResultsSayOfWhatMomentTheyAre(t *testing.T) {
	o := quick()
	o.CommitBytes = 200
	for _, mode := range []string{landing.FullRefresh, landing.Incremental} {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, o)
			w.connect()
			w.do(w.syncCommand(command.SyncOptions{Mode: mode, BatchSize: 10}))
			for n, killed := range []bool{false, true} {
				w.source.put("orders", int64(200+100*n))
				var mu sync.Mutex
				var wrote []time.Time // when rows came
				w.seams.mu.Lock()
				w.seams.at = func(step string) {
					mu.Lock()
					defer mu.Unlock()
					if step == "wrote" {
						wrote = append(wrote, time.Now())
					}
				}
				w.seams.mu.Unlock()
				if killed && mode == landing.Incremental {
					w.seams.kill("checkpointed", 2)
				} else if killed {
					w.seams.kill("wrote", 3)
				}
				began := time.Now()
				w.do(w.syncCommand(command.SyncOptions{Mode: mode, BatchSize: 10}))
				w.idle()
				if killed && w.seams.killed() != 1 {
					t.Error("nothing was killed")
				}
				mu.Lock()
				first := wrote[0]
				if killed && mode == landing.FullRefresh {
					began, first = wrote[2], wrote[len(wrote)-1] // of the lost worker, and of the next
				}
				mu.Unlock()
				r := last[*event.SyncCompleted](w).Tables[0]
				if r.AsOf == nil || r.AsOf.Before(began) || r.AsOf.After(first) {
					t.Errorf("as of %v, and rows came from %v to %v", r.AsOf, began, first)
				}
				several := killed && mode == landing.Incremental
				if said := strings.Contains(notesOf(r), "more than one moment"); said != several {
					t.Errorf("worker lost %t: notes %q", killed, r.Notes)
				}
			}
		})
	}
}
