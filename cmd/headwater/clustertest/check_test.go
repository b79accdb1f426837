package clustertest

import (
	"slices"
	"testing"
	"time"
)

// good is a run in which a client connected, read, synced and removed a source,
// another client's connect was refused, and a third knows nothing of its own.
func good() ([]Operation, Evidence) {
	history := []Operation{
		{Client: "c1", Actor: "a1", Kind: Connect, Source: "s1", Outcome: OK, Sequence: 2},
		{Client: "c1", Kind: List, Source: "s1", Outcome: OK, Seen: 2, Sequence: 2, Present: true},
		{Client: "c1", Actor: "a2", Kind: Sync, Source: "s1", Outcome: OK, SyncID: "y1", Sequence: 4},
		{Client: "c2", Actor: "a3", Kind: Connect, Source: "s2", Outcome: Failed, Sequence: 5},
		{Client: "c3", Actor: "a4", Kind: Connect, Source: "s3", Outcome: Unknown},
		{Client: "c1", Actor: "a5", Kind: Cleanup, Source: "s1", Outcome: OK, Sequence: 6},
		{Client: "c1", Kind: List, Source: "s1", Outcome: OK, Seen: 6, Sequence: 6},
		{Client: "c1", Actor: "a6", Kind: Connect, Source: "s4", Outcome: OK, Sequence: 8},
	}
	for i := range history {
		history[i].Begin, history[i].End = int64(2*i+1), int64(2*i+2)
	}
	e := Evidence{
		Events: []Event{
			{Sequence: 1, ID: "1", Name: "SourceConnected", Actor: "a1", Operation: "o1", Targets: 1},
			{Sequence: 2, ID: "2", Name: "SchemaDiscovered", Actor: "a1", Operation: "o1", Targets: 1, Final: true},
			{Sequence: 3, ID: "3", Name: "SyncStarted", Actor: "a2", Operation: "o2", Targets: 1, SyncID: "y1"},
			{Sequence: 4, ID: "4", Name: "SyncCompleted", Actor: "a2", Operation: "o2", Targets: 1, SyncID: "y1", Final: true},
			{Sequence: 5, ID: "5", Name: "SourceConnectFailed", Actor: "a3", Operation: "o3", Targets: 1, Final: true},
			{Sequence: 6, ID: "6", Name: "SourceRemoved", Actor: "a5", Operation: "o5", Targets: 1, Final: true},
			{Sequence: 8, ID: "8", Name: "SourceConnected", Actor: "a6", Operation: "o6", Targets: 1, Final: true},
		},
		Left:        map[string]uint64{"COMMANDS": 0},
		Copies:      map[string]map[string]string{"EVENTS": {"n1": "8 messages", "n2": "8 messages"}},
		Projections: map[string]Projection{"node 0": {8, "h"}, "node 1": {8, "h"}},
		Rebuilt:     Projection{8, "h"},
		Tables:      map[string]Table{"s4": {Contents{3, 3, 7}, Contents{3, 3, 7}}},
		Listed:      map[string]map[string]bool{"node 0": {"s4": true}, "node 1": {"s4": true}},
	}
	return history, e
}

func TestGoodRunsAreLeftAlone(t *testing.T) {
	history, e := good()
	if found := Check(history, e); found != nil {
		t.Errorf("found %v", found)
	}
	// The operation that nobody knows of may have happened.
	e.Events = append(e.Events, Event{Sequence: 9, ID: "9", Name: "SourceConnected", Actor: "a4", Operation: "o4", Targets: 1, Final: true})
	e.Listed["node 0"]["s3"], e.Listed["node 1"]["s3"] = true, true
	if found := Check(history, e); found != nil {
		t.Errorf("an unknown operation that happened: found %v", found)
	}
	// An operation may wait for another one's sync.
	e.Events = append(e.Events, Event{Sequence: 10, ID: "10", Name: "OperationAccepted", Operation: "o7", Targets: 1, Attached: map[int]string{0: "y1"}})
	if found := Check(history, e); found != nil {
		t.Errorf("an operation that followed a sync: found %v", found)
	}
}

// Each bad run differs from the good one in one thing, and is found out by the
// rule that it breaks.
func TestBadRunsAreFound(t *testing.T) {
	for name, bad := range map[string]struct {
		rule  Rule
		spoil func([]Operation, *Evidence)
	}{
		"a connect that was answered is not in the stream": {Lost, func(_ []Operation, e *Evidence) { e.Events = e.Events[2:] }},
		"a connect that was answered is not listed":        {Lost, func(_ []Operation, e *Evidence) { delete(e.Listed["node 1"], "s4") }},
		"a sync that was answered did not complete":        {Lost, func(_ []Operation, e *Evidence) { e.Events[3].Name = "SyncFailed" }},
		"a cleanup that was answered is not in the stream": {Lost, func(_ []Operation, e *Evidence) { e.Events = slices.Delete(e.Events, 5, 6) }},
		"a row is missing": {Lost, func(_ []Operation, e *Evidence) { e.Tables["s4"] = Table{Contents{3, 3, 7}, Contents{2, 2, 5}} }},

		"a connect took effect twice": {Doubled, func(_ []Operation, e *Evidence) {
			e.Events = append(e.Events, Event{Sequence: 9, ID: "9", Name: "SourceConnected", Actor: "a6", Operation: "o6", Targets: 1})
		}},
		"an unknown operation happened twice": {Doubled, func(_ []Operation, e *Evidence) {
			for i, id := range []string{"9", "10"} {
				e.Events = append(e.Events, Event{Sequence: uint64(9 + i), ID: id, Name: "SourceConnected", Actor: "a4", Operation: "o" + id, Targets: 1, Final: true})
			}
		}},
		"a target has two outcomes": {Doubled, func(_ []Operation, e *Evidence) {
			e.Events = append(e.Events, Event{Sequence: 9, ID: "9", Name: "CommandRejected", Operation: "o1", Targets: 1, Final: true})
		}},
		"an event was stored again": {Doubled, func(_ []Operation, e *Evidence) { e.Events[1].ID = "1" }},
		"a sync ended twice": {Doubled, func(_ []Operation, e *Evidence) {
			e.Events = append(e.Events, Event{Sequence: 9, ID: "9", Name: "SyncFailed", Operation: "o2", Targets: 1, SyncID: "y1"})
		}},
		"a row is repeated": {Doubled, func(_ []Operation, e *Evidence) { e.Tables["s4"] = Table{Contents{3, 3, 7}, Contents{4, 3, 7}} }},

		"an operation has no outcome": {Stuck, func(_ []Operation, e *Evidence) { e.Events[6].Final = false }},
		"one target of two has none":  {Stuck, func(_ []Operation, e *Evidence) { e.Events[6].Targets = 2 }},
		"a sync runs for ever": {Stuck, func(_ []Operation, e *Evidence) {
			e.Events = append(e.Events, Event{Sequence: 9, ID: "9", Name: "SyncStarted", Operation: "o2", Targets: 1, SyncID: "y2"})
		}},
		"an operation waits for a sync that never ends": {Stuck, func(_ []Operation, e *Evidence) {
			e.Events = append(e.Events, Event{Sequence: 9, ID: "9", Name: "OperationAccepted", Operation: "o7", Targets: 1, Attached: map[int]string{0: "y2"}})
		}},
		"a command is left": {Stuck, func(_ []Operation, e *Evidence) { e.Left["COMMANDS"] = 1 }},

		"a connect that was refused took effect":  {Phantom, func(_ []Operation, e *Evidence) { e.Events[4].Name = "SourceConnected" }},
		"what was removed is listed":              {Phantom, func(_ []Operation, e *Evidence) { e.Listed["node 0"]["s1"] = true }},
		"an answer older than what was asked for": {Stale, func(h []Operation, _ *Evidence) { h[1].Sequence = 1 }},
		"an answer older than the one before":     {Stale, func(h []Operation, _ *Evidence) { h[6].Seen, h[6].Sequence = 0, 3 }},
		"what was connected is not read":          {Stale, func(h []Operation, _ *Evidence) { h[1].Present = false }},
		"what was removed is read":                {Stale, func(h []Operation, _ *Evidence) { h[6].Present = true }},

		"two copies of a stream differ":            {Diverged, func(_ []Operation, e *Evidence) { e.Copies["EVENTS"]["n2"] = "7 messages" }},
		"a projection is another one than rebuilt": {Diverged, func(_ []Operation, e *Evidence) { e.Projections["node 1"] = Projection{8, "i"} }},
		"a projection is behind":                   {Diverged, func(_ []Operation, e *Evidence) { e.Projections["node 1"] = Projection{7, "h"} }},
		"a value is another one":                   {Diverged, func(_ []Operation, e *Evidence) { e.Tables["s4"] = Table{Contents{3, 3, 7}, Contents{3, 3, 8}} }},
		"the stream goes back":                     {Diverged, func(_ []Operation, e *Evidence) { e.Events[6].Sequence = 5 }},
	} {
		history, e := good()
		bad.spoil(history, &e)
		if found := Check(history, e); !slices.ContainsFunc(found, func(v Violation) bool { return v.Rule == bad.rule }) {
			t.Errorf("%s: want %s, found %v", name, bad.rule, found)
		}
	}
}

func TestRecovery(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(1000+seconds), 0) }
	history := []Operation{
		{Kind: Connect, Node: 0, Outcome: OK, End: 1, Invoked: at(0), Completed: at(12)}, // began before the fault
		{Kind: Connect, Node: 0, Outcome: Unknown, End: 2, Invoked: at(2), Completed: at(3)},
		{Kind: Connect, Node: 0, Outcome: OK, End: 3, Invoked: at(4), Completed: at(6)},
		{Kind: List, Node: 1, Outcome: OK, End: 4, Invoked: at(2), Completed: at(3)},
		{Kind: Sync, Node: 1, Outcome: OK, End: 5, Invoked: at(5), Completed: at(9)},
	}
	events := []Event{
		{Name: "SyncStarted", SyncID: "y1", Time: at(0)},
		{Name: "SyncStarted", SyncID: "y1", Time: at(20)},
		{Name: "SyncCompleted", SyncID: "y1", Time: at(33)},
		{Name: "SyncStarted", SyncID: "y2", Time: at(2)},
		{Name: "SyncCompleted", SyncID: "y2", Time: at(40)},
	}
	f := Fault{Name: "x", Began: at(1)}
	if got, ok := Recovery(f, history, events, 2); got != 8*time.Second || !ok {
		t.Errorf("the service took a new write on every node after %s, %v", got, ok)
	}
	if got, ok := Recovery(f, history, events, 3); ok {
		t.Errorf("a node that took no write recovered in %s", got)
	}
	f.Syncs = true
	if got, ok := Recovery(f, history, events, 2); got != 32*time.Second || !ok {
		t.Errorf("the sync that ran ended after %s, %v", got, ok)
	}
}
