package clustertest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is one fault that was injected into the cluster.
type Fault struct {
	Name  string
	Began time.Time
	// Syncs means that the fault targets syncs: recovery includes the end of the
	// syncs that were running.
	Syncs bool
}

// Recovery returns the time from the beginning of a fault until every API node
// had acknowledged a write that began after it and, if the fault targets syncs,
// until the interrupted syncs had ended. It returns false if that did not
// happen.
func Recovery(f Fault, history []Operation, events []Event, nodes int) (time.Duration, bool) {
	first := make([]time.Time, nodes)
	for _, op := range history {
		if op.Kind.reads() || op.Outcome != OK || op.Node >= nodes || op.Invoked.Before(f.Began) {
			continue
		}
		if t := &first[op.Node]; t.IsZero() || op.Completed.Before(*t) {
			*t = op.Completed
		}
	}
	if slices.ContainsFunc(first, time.Time.IsZero) {
		return 0, false
	}
	last := slices.MaxFunc(first, time.Time.Compare)
	if f.Syncs {
		for _, ended := range interrupted(f, events) {
			if ended.IsZero() {
				return 0, false
			}
			if ended.After(last) {
				last = ended
			}
		}
	}
	return last.Sub(f.Began), true
}

// interrupted returns the syncs that were running when the fault began and
// started again after it, with the time when each ended, or zero.
func interrupted(f Fault, events []Event) map[string]time.Time {
	type life struct {
		before, again bool
		ended         time.Time
	}
	syncs := map[string]*life{}
	for _, e := range events {
		l := syncs[e.SyncID]
		if l == nil {
			l = &life{}
			syncs[e.SyncID] = l
		}
		switch {
		case e.Name == "SyncStarted" && e.Time.Before(f.Began):
			l.before = true
		case e.Name == "SyncStarted":
			l.again = true
		case ends(e.Name):
			l.ended = e.Time
		}
	}
	found := map[string]time.Time{}
	for id, l := range syncs {
		if l.before && l.again {
			found[id] = l.ended
		}
	}
	return found
}

// Report describes the run for people: how often each fault was tried, how long
// recovery took, what clients were told, and what Check found.
func Report(faults []Fault, history []Operation, e Evidence, found []Violation, nodes int) string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n%-46s %6s %12s %12s %18s\n", "fault", "times", "recovered in", "at most", "syncs interrupted")
	var names []string
	for _, f := range faults {
		if !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	for _, name := range names {
		var times []time.Duration
		n, hits, never := 0, 0, 0
		for _, f := range faults {
			if f.Name != name {
				continue
			}
			n++
			if f.Syncs {
				hits += len(interrupted(f, e.Events))
			}
			if took, ok := Recovery(f, history, e.Events, nodes); ok {
				times = append(times, took)
			} else {
				never++
			}
		}
		slices.Sort(times)
		median, most := "-", "-"
		if len(times) > 0 {
			median, most = times[len(times)/2].Round(100*time.Millisecond).String(), times[len(times)-1].Round(100*time.Millisecond).String()
		}
		if never > 0 {
			most = fmt.Sprintf("%d never", never)
		}
		fmt.Fprintf(&out, "%-46s %6d %12s %12s %18d\n", name, n, median, most, hits)
	}
	fmt.Fprintf(&out, "\n%-10s %8s %8s %8s %8s\n", "operation", "all", "ok", "fail", "unknown")
	for _, kind := range []Kind{Connect, Sync, Cleanup, List, Schema} {
		counts := map[Outcome]int{}
		all := 0
		for _, op := range history {
			if op.Kind == kind {
				counts[op.Outcome]++
				all++
			}
		}
		fmt.Fprintf(&out, "%-10s %8d %8d %8d %8d\n", kind, all, counts[OK], counts[Failed], counts[Unknown])
	}
	broken := map[Rule]int{}
	for _, v := range found {
		broken[v.Rule]++
	}
	var rows int64
	for _, t := range e.Tables {
		rows += t.Source.Rows
	}
	fmt.Fprintf(&out, "\n%d faults, %d events, %d streams on each server, %d nodes' projections, %d tables of %d rows:", len(faults), len(e.Events), len(e.Copies), len(e.Projections), len(e.Tables), rows)
	for _, rule := range []Rule{Lost, Doubled, Stuck, Phantom, Stale, Diverged} {
		fmt.Fprintf(&out, " %d %s", broken[rule], rule)
	}
	slices.SortFunc(found, func(a, b Violation) int { return cmp.Compare(a.Rule, b.Rule) })
	for _, v := range found {
		fmt.Fprintf(&out, "\n%-8s %s", v.Rule, v.Message)
	}
	return out.String()
}
