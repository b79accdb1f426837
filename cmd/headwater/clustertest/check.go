package clustertest

import (
	"fmt"
	"maps"
	"slices"
)

// Rule is a kind of violation.
type Rule string

// What may be broken.
const (
	Lost     Rule = "lost"     // reported as done, or a row of a source, and missing
	Doubled  Rule = "doubled"  // present more than once
	Stuck    Rule = "stuck"    // begun and not ended
	Phantom  Rule = "phantom"  // reported as failed, and present
	Stale    Rule = "stale"    // a client did not read its own write, or read an older state than before
	Diverged Rule = "diverged" // two copies that should be equal differ
)

// Violation is one violation of a rule.
type Violation struct {
	Rule    Rule
	Message string
}

// Check returns all violations of a run, in no particular order.
func Check(history []Operation, e Evidence) []Violation {
	c := &checker{Evidence: e, history: history}
	c.stream()
	c.operations()
	c.reads()
	c.lists()
	c.rest()
	return c.found
}

type checker struct {
	Evidence
	history []Operation
	found   []Violation
}

func (c *checker) wrong(rule Rule, format string, args ...any) {
	c.found = append(c.found, Violation{rule, fmt.Sprintf(format, args...)})
}

func ends(name string) bool {
	return name == "SyncCompleted" || name == "SyncFailed" || name == "SyncCancelled"
}

// stream checks the events: each is there once, and what begins ends once.
func (c *checker) stream() {
	type target struct {
		operation string
		number    int
	}
	seen, finals, targets := map[string]uint64{}, map[target]int{}, map[string]int{}
	started, ended := map[string]bool{}, map[string]int{}
	for i, e := range c.Events {
		if i > 0 && e.Sequence <= c.Events[i-1].Sequence {
			c.wrong(Diverged, "event %d follows event %d", e.Sequence, c.Events[i-1].Sequence)
		}
		if first, again := seen[e.ID]; again {
			c.wrong(Doubled, "event %s (%s) is there as %d and as %d", e.ID, e.Name, first, e.Sequence)
		}
		seen[e.ID] = e.Sequence
		targets[e.Operation] = max(targets[e.Operation], e.Targets)
		if e.Final {
			finals[target{e.Operation, e.Target}]++
		}
		if e.Name == "SyncStarted" {
			started[e.SyncID] = true
		}
		if ends(e.Name) {
			ended[e.SyncID]++
		}
	}
	for _, e := range c.Events {
		for number, sync := range e.Attached {
			if ended[sync] > 0 {
				finals[target{e.Operation, number}] = max(1, finals[target{e.Operation, number}])
			}
		}
	}
	for operation, n := range targets {
		for number := range n {
			switch count := finals[target{operation, number}]; {
			case count == 0:
				c.wrong(Stuck, "operation %s: its target %d has no outcome", operation, number)
			case count > 1:
				c.wrong(Doubled, "operation %s: its target %d has %d outcomes", operation, number, count)
			}
		}
	}
	for sync := range started {
		if ended[sync] == 0 {
			c.wrong(Stuck, "sync %s was started and has not ended", sync)
		}
	}
	for sync, n := range ended {
		if n > 1 {
			c.wrong(Doubled, "sync %s ended %d times", sync, n)
		}
	}
}

// effect is the event that an operation of each kind should cause.
var effect = map[Kind]string{Connect: "SourceConnected", Sync: "SyncCompleted", Cleanup: "SourceRemoved"}

// operations checks that what clients were told is in the stream.
func (c *checker) operations() {
	byActor, completed := map[string][]Event{}, map[string]bool{}
	for _, e := range c.Events {
		byActor[e.Actor] = append(byActor[e.Actor], e)
		if e.Name == "SyncCompleted" {
			completed[e.SyncID] = true
		}
	}
	for _, op := range c.history {
		if op.Kind.reads() {
			continue
		}
		what := fmt.Sprintf("%s's %s of %s (%s, answered %q)", op.Client, op.Kind, op.Source, op.Actor, op.Answer)
		ids, effects := map[string]bool{}, 0
		for _, e := range byActor[op.Actor] {
			ids[e.Operation] = true
			if e.Name == effect[op.Kind] {
				effects++
			}
		}
		if len(ids) > 1 {
			c.wrong(Doubled, "%s became %d operations", what, len(ids))
		}
		if effects > 1 {
			c.wrong(Doubled, "%s took effect %d times", what, effects)
		}
		switch op.Outcome {
		case OK:
			done := effects > 0
			if op.Kind == Sync { // it may have followed a running sync
				done = completed[op.SyncID]
			}
			if !done {
				c.wrong(Lost, "%s was done, and the stream does not say so", what)
			}
		case Failed:
			if effects > 0 {
				c.wrong(Phantom, "%s failed, and the stream says it was done", what)
			}
		}
	}
}

// certainty is what a client may know of one of its sources.
type certainty int

const (
	maybe certainty = iota
	there
	gone
)

// after returns what is certain of a source when op has ended.
func (c certainty) after(op Operation) certainty {
	switch {
	case op.Kind == Connect && op.Outcome == OK:
		return there
	case op.Kind == Connect && op.Outcome == Failed:
		return gone // names are used once
	case op.Kind == Cleanup && op.Outcome == OK:
		return gone
	case (op.Kind == Cleanup || op.Kind == Connect) && op.Outcome == Unknown:
		return maybe
	}
	return c
}

// reads checks that a client reads its own writes on every node, and never an
// older state than before.
func (c *checker) reads() {
	seen, known := map[string]uint64{}, map[string]certainty{}
	for _, op := range c.history { // a client's operations do not overlap
		source := op.Client + "\x00" + op.Source
		if op.Kind.reads() && op.Outcome == OK {
			what := fmt.Sprintf("%s's %s of %s on node %d (operation %d)", op.Client, op.Kind, op.Source, op.Node, op.Begin)
			if op.Sequence < op.Seen {
				c.wrong(Stale, "%s asked for event %d and was answered as of %d", what, op.Seen, op.Sequence)
			} else if op.Sequence < seen[op.Client] {
				c.wrong(Stale, "%s was answered as of %d, after an answer as of %d", what, op.Sequence, seen[op.Client])
			}
			if known[source] == there && !op.Present {
				c.wrong(Stale, "%s does not show what the client connected", what)
			}
			if known[source] == gone && op.Present {
				c.wrong(Stale, "%s shows what the client removed", what)
			}
		}
		known[source] = known[source].after(op)
		if op.Outcome == OK {
			seen[op.Client] = max(seen[op.Client], op.Sequence)
		}
	}
}

// lists checks that every node finally shows what was promised.
func (c *checker) lists() {
	known := map[string]certainty{}
	for _, op := range c.history {
		known[op.Source] = known[op.Source].after(op)
	}
	for node, listed := range c.Listed {
		for _, source := range slices.Sorted(maps.Keys(known)) {
			if known[source] == there && !listed[source] {
				c.wrong(Lost, "%s does not list %s, which was connected", node, source)
			}
			if known[source] == gone && listed[source] {
				c.wrong(Phantom, "%s lists %s, which was removed or never connected", node, source)
			}
		}
	}
}

// rest checks that nothing waits, copies are equal, and tables equal their
// sources.
func (c *checker) rest() {
	for stream, n := range c.Left {
		if n > 0 {
			c.wrong(Stuck, "%d messages are left in %s", n, stream)
		}
	}
	for stream, copies := range c.Copies {
		holdings := slices.Sorted(maps.Values(copies))
		if len(slices.Compact(holdings)) > 1 {
			c.wrong(Diverged, "the copies of %s hold %v", stream, copies)
		}
	}
	for node, p := range c.Projections {
		if p != c.Rebuilt {
			c.wrong(Diverged, "the projection of %s is %+v, rebuilt from the stream %+v", node, p, c.Rebuilt)
		}
	}
	for source, t := range c.Tables {
		if missing := t.Source.Distinct - t.Landed.Distinct; missing > 0 {
			c.wrong(Lost, "%s: %d of %d rows did not land", source, missing, t.Source.Rows)
		}
		if repeated := t.Landed.Rows - t.Landed.Distinct; repeated > 0 {
			c.wrong(Doubled, "%s: %d rows landed again", source, repeated)
		}
		if t.Source.Sum != t.Landed.Sum {
			c.wrong(Diverged, "%s: %+v landed, the source has %+v", source, t.Landed, t.Source)
		}
	}
}
