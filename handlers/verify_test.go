package handlers

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
)

// A worker that dies between its events is followed by one that begins again:
// the verification ends, with each table once, also where the tables are others.
func TestVerificationOutlivesItsWorker(t *testing.T) {
	drop := func(w *world, table string) {
		w.source.mu.Lock()
		defer w.source.mu.Unlock()
		w.source.dropLocked(table)
	}
	for name, c := range map[string]struct {
		nth    int
		change func(w *world)
		want   []string
	}{
		"after the first":                         {1, func(*world) {}, []string{"orders", "people", "things"}},
		"before the last":                         {2, func(*world) {}, []string{"orders", "people", "things"}},
		"and the last has gone":                   {2, func(w *world) { drop(w, "things") }, []string{"orders", "people"}},
		"and another one has come":                {2, func(w *world) { w.source.put("zebras", 3) }, []string{"orders", "people", "things", "zebras"}},
		"and what is last now was written before": {1, func(w *world) { drop(w, "things"); drop(w, "people") }, []string{"orders"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, quick())
			for _, table := range []string{"people", "things"} {
				w.source.put(table, 10)
			}
			w.connect()
			w.do(w.syncCommand(command.SyncOptions{Mode: landing.FullRefresh}))
			w.seams.kill("appended TableVerified", c.nth)
			changed := false
			w.seams.mu.Lock()
			w.seams.at = func(string) {
				if w.seams.killed() == 1 && !changed {
					changed = true
					c.change(w)
				}
			}
			w.seams.mu.Unlock()
			op := w.do(&command.VerifySource{Meta: w.operation(event.KindVerify)})
			if w.seams.killed() != 1 || len(op.Targets) != 1 || op.Targets[0].Result == nil {
				t.Fatalf("%d killed, ended as %+v", w.seams.killed(), op.Targets)
			}
			var names []string
			for _, v := range op.Targets[0].Result.Verified {
				names = append(names, v.Name)
				if v.Status != event.VerifiedEqual && v.Name != "zebras" {
					t.Errorf("%s: %s", v.Name, v.Message)
				}
			}
			if diff := cmp.Diff(c.want, names); diff != "" {
				t.Error(diff)
			}
		})
	}
}
