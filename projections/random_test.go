package projections

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"headwater/bus/event"
)

// drawHistory makes a history of a few sources, syncs and operations in any
// order, most of it impossible for well-behaved writers.
func drawHistory(t *rapid.T) []*event.Event {
	var h history
	sources := []event.Address{ann, shared, at("ann", "src_b"), at("bob", "src_b"), {Organization: "acme", Workspace: "w2", Owner: "ann", Source: "src_a"}}
	statuses := rapid.SampledFrom([]string{"running", "completed", "failed", "skipped"})
	modes := rapid.SampledFrom([]string{"full_refresh", "incremental"})
	reasons := rapid.SampledFrom([]event.Reason{event.ReasonCancelled, event.ReasonTimeout, event.ReasonAlreadySyncing})
	for range rapid.IntRange(1, 60).Draw(t, "length") {
		a := rapid.SampledFrom(sources).Draw(t, "source")
		op := event.Operation{
			ID: rapid.SampledFrom([]string{"op_1", "op_2", "op_3", ""}).Draw(t, "op"), Kind: "sync", Actor: "ann",
			Targets: rapid.IntRange(0, 3).Draw(t, "targets"), Target: rapid.IntRange(0, 2).Draw(t, "target"), Final: rapid.Bool().Draw(t, "final"),
		}
		sync := rapid.SampledFrom([]string{"syn_1", "syn_2", "syn_3", "syn_4"}).Draw(t, "sync")
		reason := reasons.Draw(t, "reason")
		result := table(statuses.Draw(t, "status"), modes.Draw(t, "mode"), rapid.Int64Range(0, 9).Draw(t, "records"))
		if rapid.Bool().Draw(t, "committed") {
			result = holding(rapid.Int64Range(0, 30).Draw(t, "total"), result)
		}
		version, due := rapid.IntRange(1, 2).Draw(t, "version"), (*time.Time)(nil)
		if rapid.Bool().Draw(t, "due") {
			at := epoch.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "due in")) * time.Millisecond)
			due = &at
		}
		if rapid.Bool().Draw(t, "fresh") {
			result.FreshUntil = due
		}
		var d event.Data
		switch rapid.IntRange(0, 28).Draw(t, "kind") {
		case 0, 1:
			c := connected(a, op, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"))
			c.Unchanged = rapid.IntRange(0, 4).Draw(t, "unchanged") == 0
			d = c
		case 2:
			d = discovered(a, op, 1+len(h.events), rapid.SampledFrom([][]string{{"t"}, {"t", "u"}, {}}).Draw(t, "tables")...)
		case 3, 4:
			d = started(a, op, sync, rapid.IntRange(1, 2).Draw(t, "attempt"))
		case 5:
			d = progressed(a, op, sync, result)
		case 6:
			d = completed(a, op, sync, "completed", result)
		case 7:
			d = &event.SyncFailed{Meta: event.At(a, op), SyncID: sync, Reason: reason, Tables: []event.TableResult{result}}
		case 8:
			d = &event.SyncCancelled{Meta: event.At(a, op), SyncID: sync, Reason: reason, Message: "<stop> \x00é"}
		case 9:
			d = &event.SourceRemoved{Meta: event.At(a, op), Name: "a", Purged: true}
		case 10:
			d = &event.CommandRejected{Meta: event.At(a, op), Reason: reason, SyncID: sync}
		case 11:
			d = &event.OperationAccepted{Meta: event.At(at("ann", op.ID), op), Accepted: []event.Target{
				{SourceID: a.Source, SyncID: sync, Attached: rapid.Bool().Draw(t, "attached")}, {SourceID: "src_b"}}}
		case 12:
			d = nil
		case 13:
			after := epoch.Add(time.Duration(rapid.IntRange(-5000, 5000).Draw(t, "after")) * time.Millisecond)
			d = &event.SourceRemoved{Meta: event.At(a, op), Name: "a", DestroyedAfter: &after}
		case 14:
			d = &event.SourceRestored{Meta: event.At(a, op), Name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "restored"), Unchanged: rapid.IntRange(0, 4).Draw(t, "unchanged") == 0}
		case 15:
			d = &event.SourcePurged{Meta: event.At(a, op), Name: "a"}
		case 16:
			d = &event.RequestRefused{Meta: event.At(at("ann", "refused"), op), Status: 404, Message: "<no>"}
		case 22:
			d = &event.TokenCreated{Meta: event.At(at("ann", rapid.SampledFrom([]string{"tok_1", "tok_2"}).Draw(t, "token")), op), Name: "t", Role: "viewer", Hash: "00", ExpiresAt: epoch}
		case 23:
			d = &event.TokenRevoked{Meta: event.At(at("ann", "tok_1"), op), Name: "t"}
		case 24:
			d = &event.TokenUsed{Meta: event.At(at("ann", "tok_1"), op), Name: "t"}
		case 17:
			d = &event.WebhookCreated{Meta: event.At(at("ann", "whk_1"), op), Receiver: "https://a"}
		case 18:
			c := &event.ScheduleChanged{Meta: event.At(a, op), Version: version, NextRun: due, Unchanged: rapid.IntRange(0, 4).Draw(t, "unchanged") == 0}
			if rapid.IntRange(0, 3).Draw(t, "scheduled") > 0 {
				c.Schedule = &event.Schedule{After: rapid.SampledFrom([]string{"", "src_a", "src_b"}).Draw(t, "after"), Continuous: rapid.IntRange(0, 2).Draw(t, "continuous") == 0, Paused: rapid.IntRange(0, 3).Draw(t, "paused") == 0, Missed: "once"}
			}
			d = c
		case 19:
			d = &event.ScheduleFired{Meta: event.At(a, op), Version: version, Due: epoch, Outcome: rapid.SampledFrom([]string{"started", "attached"}).Draw(t, "outcome"), SyncID: sync, NextRun: due}
		case 20:
			d = &event.ScheduleSkipped{Meta: event.At(a, op), Version: version, Due: epoch, SyncID: sync, NextRun: due}
		case 21:
			d = &event.ScheduleMissed{Meta: event.At(a, op), Version: version, From: epoch, Through: epoch, Count: 2, Reason: reason, NextRun: due}
		case 26:
			d = &event.ChangesLanded{Meta: event.At(a, op), SyncID: sync, Changes: event.Changes{Position: rapid.SampledFrom([]string{"0/1", "0/2"}).Draw(t, "position"), FreshUntil: due}, Records: 3}
		case 27:
			d = &event.ChangesLagging{Meta: event.At(a, op), SyncID: sync, Over: rapid.Bool().Draw(t, "over"), Changes: event.Changes{Position: "0/3"}}
		case 28:
			d = &event.ChangesGivenUp{Meta: event.At(a, op), SyncID: sync, Released: true, Reason: reason, Message: "given up"}
		case 25:
			d = &event.TableMaintained{Meta: event.At(a, op), Table: event.Maintenance{Name: rapid.SampledFrom([]string{"t", "u"}).Draw(t, "maintained"), Status: event.Maintained, SnapshotID: 1 << 60, Snapshot: "1152921504606846976"}}
		}
		e := h.add(d)
		if d != nil {
			e.Time = epoch.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
		}
	}
	return h.events
}

// TestBatchesDoNotMatter: all at once, one by one, in any batches with any
// restarts: the same history gives the same store.
func TestBatchesDoNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		events := drawHistory(rt)
		whole := openRapid(rt, vfs.NewMem())
		applyRapid(rt, whole, events...)
		want := hashRapid(rt, whole)

		fs := vfs.NewMem()
		s := openRapid(rt, fs)
		for from := 0; from < len(events); {
			to := from + rapid.IntRange(1, len(events)-from).Draw(rt, "batch")
			applyRapid(rt, s, events[from:to]...)
			if rapid.IntRange(0, 3).Draw(rt, "restart") == 0 {
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				s = openRapid(rt, fs)
			}
			// A redelivery, from somewhere before.
			from = to
			if again := rapid.IntRange(0, to).Draw(rt, "again"); again < to {
				applyRapid(rt, s, events[again:to]...)
			}
		}
		if got := hashRapid(rt, s); got != want {
			a, _ := whole.HashTables(t.Context())
			b, _ := s.HashTables(t.Context())
			rt.Fatalf("in batches\n%v\nall at once\n%v", b, a)
		}
	})
}

// TestPastEqualsRebuilt: what a read as of a sequence, or of a time, answers is
// what a store that knows nothing later answers, filtered and page by page too.
func TestPastEqualsRebuilt(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		events := drawHistory(rt)
		then := uint64(rapid.IntRange(1, len(events)).Draw(rt, "then"))
		byTime := rapid.Bool().Draw(rt, "by time")
		if byTime { // clocks that agree; often several events in a millisecond
			at := epoch
			for _, e := range events {
				if at = at.Add(time.Duration(rapid.IntRange(0, 1500).Draw(rt, "us")) * time.Microsecond); e.Data != nil {
					e.Time = at
				}
			}
		}
		now := openRapid(rt, vfs.NewMem())
		applyRapid(rt, now, events...)
		if byTime {
			then = askedAt(rt, now, events)
		}
		old := openRapid(rt, vfs.NewMem())
		if applyRapid(rt, old, events[:then]...); then == 0 {
			return
		}
		addresses := map[event.Address]bool{}
		for _, e := range events {
			if e.Data != nil {
				addresses[e.Address()] = true
			}
		}
		for a := range addresses {
			q := ListQuery{
				Organization: a.Organization, Workspace: a.Workspace, Owner: a.Owner,
				Name: rapid.SampledFrom([]string{"", "", "a"}).Draw(rt, "name"), Status: rapid.SampledFrom([]string{"", "", "syncing", "connected"}).Draw(rt, "status"),
				Search: rapid.SampledFrom([]string{"", "B"}).Draw(rt, "search"),
			}
			list, err := old.List(q)
			if err != nil {
				rt.Fatal(err)
			}
			q.AsOf = then
			past, err := now.List(q)
			if err != nil || string(past.JSON) != string(list.JSON) {
				rt.Fatalf("list as of %d: %s (%v)\nwas %s", then, past.JSON, err, list.JSON)
			}
			paged := 0
			for q.Limit = 1; ; {
				page, err := now.List(q)
				if err != nil {
					rt.Fatal(err)
				}
				paged += page.Count
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
			if paged != list.Count {
				rt.Fatalf("list as of %d by pages holds %d of %d", then, paged, list.Count)
			}
			table := rapid.SampledFrom([]string{"", "t", "public.u"}).Draw(rt, "table")
			want, wantErr := old.SchemaPage(SchemaQuery{Address: a, Table: table})
			got, gotErr := now.SchemaPage(SchemaQuery{Address: a, Table: table, AsOf: then})
			if string(got.JSON) != string(want.JSON) || isNotFound(gotErr) != isNotFound(wantErr) {
				rt.Fatalf("schema as of %d: %s (%v)\nwas %s (%v)", then, got.JSON, gotErr, want.JSON, wantErr)
			}
		}
	})
}

// askedAt draws a moment and returns the sequence that it means: of all events
// up to the end of its millisecond, which a linear search finds.
func askedAt(t *rapid.T, s *Store, events []*event.Event) (want uint64) {
	at := epoch.Add(time.Duration(rapid.IntRange(-2000, 60_000).Draw(t, "asked")) * time.Microsecond)
	for _, e := range events {
		if e.Data != nil && e.Time.UnixMilli() <= at.UnixMilli() {
			want = e.Sequence
		}
	}
	if got, err := s.SequenceAt(at); err != nil || got != want {
		t.Fatalf("at %s the log was at %d (%v), want %d", at, got, err, want)
	}
	return want
}

// TestNothingIsLeftRunning holds what follows from the documents' meaning,
// whatever the history.
func TestNothingIsLeftRunning(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		events := drawHistory(rt)
		s := openRapid(rt, vfs.NewMem())
		for i, e := range events {
			before, errBefore := s.Operation("acme", "w1", "op_1")
			applyRapid(rt, s, e)
			after, err := s.Operation("acme", "w1", "op_1")
			if errBefore == nil && before.Ended() && string(before.JSON) != string(after.JSON) {
				rt.Fatalf("event %d changed an operation that had ended\n%s\n%s", i+1, before.JSON, after.JSON)
			}
			if err == nil {
				ended := 0
				for _, g := range after.Targets {
					if g.Status != StatusRunning {
						ended++
					}
				}
				if after.Ended() != (ended == after.Total) || ended != after.Completed+after.Failed+after.Cancelled {
					rt.Fatalf("%d of %d targets ended: %s", ended, after.Total, after.JSON)
				}
			}
		}
		for _, owner := range []string{"ann", "bob", ""} {
			q := ListQuery{Organization: "acme", Workspace: "w1", Owner: owner}
			page, err := s.List(q)
			_, count, errVersion := s.ListVersion("acme", "w1", owner)
			all, _, errSources := s.Sources(q)
			if err != nil || errVersion != nil || errSources != nil || page.Count != count || len(all) != count {
				rt.Fatalf("%d listed, %d counted, %d read: %v %v %v", page.Count, count, len(all), err, errVersion, errSources)
			}
			for _, src := range all {
				held := ""
				if src.Running != nil {
					held = src.Running.SyncID
				}
				if (src.Status == StatusSyncing) != (held != "") {
					rt.Fatalf("source is %s and held by %q", src.Status, held)
				}
			}
		}
		for _, id := range []string{"syn_1", "syn_2", "syn_3", "syn_4"} {
			y, err := s.Sync("acme", "w1", id)
			if err != nil || y.Ended() {
				continue
			}
			if src, err := s.Source(y.Address); err != nil || src.Running == nil || src.Running.SyncID != id {
				rt.Fatalf("sync %s runs, the source is held by %+v (%v)", id, src.Running, err)
			}
		}
	})
}

func openRapid(t *rapid.T, fs vfs.FS) *Store {
	s, err := Open(Options{Dir: "store", FS: fs, Cache: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func applyRapid(t *rapid.T, s *Store, events ...*event.Event) {
	if err := s.Apply(events...); err != nil {
		t.Fatal(err)
	}
}

func hashRapid(t *rapid.T, s *Store) string {
	h, err := s.Hash(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Position() == 0 {
		t.Fatal(fmt.Errorf("nothing was applied"))
	}
	return h
}
