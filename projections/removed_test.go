package projections

import (
	"errors"
	"testing"
	"time"

	"headwater/bus/event"
)

func removed(a event.Address, op event.Operation, name string, after time.Time) *event.SourceRemoved {
	return &event.SourceRemoved{Meta: event.At(a, op), Name: name, DestroyedAfter: &after}
}

func restored(a event.Address, op event.Operation, name string) *event.SourceRestored {
	return &event.SourceRestored{Meta: event.At(a, op), Name: name, Connector: "postgresql", ConfigVersion: 1}
}

func wantDue(t *testing.T, s *Store, before time.Time, want ...Due) {
	t.Helper()
	due, err := s.Due(before)
	if err != nil || len(due) != len(want) {
		t.Fatalf("due before %v: %v (%v), want %v", before, due, err, want)
	}
	for i := range want {
		if due[i] != want[i] {
			t.Errorf("due %d: %+v, want %+v", i, due[i], want[i])
		}
	}
}

func TestRemovedAndRestored(t *testing.T) {
	var h history
	s := openMem(t)
	h.connect(ann, "op_1", "a")
	h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
	h.add(completed(ann, final("op_2", "sync", 1, 0), "syn_1", "completed", holding(7, table("completed", "incremental", 7))))
	apply(t, s, h.events...)
	q := ListQuery{Organization: "acme", Workspace: "w1", Owner: "ann"}
	list := func(q ListQuery) string {
		t.Helper()
		page, err := s.List(q)
		if err != nil {
			t.Fatal(err)
		}
		return string(page.JSON)
	}
	there := list(q)
	before := s.Position()
	q.Removed = true
	if got := list(q); got != "[]" {
		t.Errorf("removed before anything was: %s", got)
	}
	end := epoch.Add(time.Hour)
	gone := h.add(removed(ann, final("op_3", "cleanup", 1, 0), "a", end))
	apply(t, s, gone)
	doc := list(q)
	if column(t, []byte(doc), "status") != "removed" || column(t, []byte(doc), "destroyed_after") != "2026-03-01T13:00:00Z" ||
		column(t, []byte(doc), "removed_at") != gone.Time.Format(time.RFC3339) || column(t, []byte(doc), "records") != "7" {
		t.Errorf("the removed source is shown as %s", doc)
	}
	if op, err := s.Operation("acme", "w1", "op_3"); err != nil || op.Targets[0].Result.DestroyedAfter == nil || !op.Targets[0].Result.DestroyedAfter.Equal(end) {
		t.Errorf("the cleanup's result: %+v, %v", op.Targets, err)
	}
	if src, err := s.AnySource(ann); err != nil || !src.Restorable() || src.Removal.Sequence != gone.Sequence || src.SecretRef != "ref-src_a" {
		t.Errorf("%+v, %v", src, err)
	}
	if all, _, err := s.Sources(q); err != nil || len(all) != 1 || all[0].Address != ann {
		t.Errorf("sources: %v, %v", all, err)
	}
	wantDue(t, s, end)
	wantDue(t, s, end.Add(time.Millisecond), Due{ann, gone.Sequence})

	apply(t, s, h.add(restored(ann, final("op_4", "restore", 1, 0), "a")))
	wantDue(t, s, end.Add(time.Hour))
	if got := list(q); got != "[]" {
		t.Errorf("still removed: %s", got)
	}
	q.Removed = false
	now, was := rows(t, []byte(list(q))), rows(t, []byte(there))
	for name, v := range was[0] {
		if name != "updated_at" && name != "config" && name != "metadata" && name != "last_sync" && now[0][name] != v {
			t.Errorf("%s is %v, was %v", name, now[0][name], v)
		}
	}
	if _, count, err := s.ListVersion("acme", "w1", "ann"); err != nil || count != 1 {
		t.Errorf("%d sources, %v", count, err)
	}
	if src, _, found, err := s.FindSource("acme", "w1", "ann", "a"); err != nil || !found || src.SecretRef != "ref-src_a" {
		t.Errorf("the name leads to %+v, %v", src, err)
	}
	if l, err := s.Landed(ann, "public", "t"); err != nil || l.Records != 7 {
		t.Errorf("landed: %+v, %v", l, err)
	}
	// The past is what it was, on both sides of the gap.
	for sequence, want := range map[uint64]bool{before: true, gone.Sequence: false, s.Position(): true} {
		if got, err := s.WasThere(ann, sequence); err != nil || got != want {
			t.Errorf("there at %d: %v, %v", sequence, got, err)
		}
		_, err := s.SchemaPage(SchemaQuery{Address: ann, AsOf: sequence})
		if errors.Is(err, ErrNotFound) == want {
			t.Errorf("schema as of %d: %v", sequence, err)
		}
	}
	if _, err := s.WasThere(ann, s.Position()+1); !errors.Is(err, ErrFuture) {
		t.Errorf("there in the future: %v", err)
	}
}

func TestPurgedStaysPurged(t *testing.T) {
	for name, how := range map[string]func(h *history){
		"at once": func(h *history) {
			h.add(&event.SourceRemoved{Meta: event.At(ann, final("op_2", "cleanup", 1, 0)), Name: "a", Purged: true})
		},
		"later": func(h *history) {
			h.add(removed(ann, final("op_2", "cleanup", 1, 0), "a", epoch))
			h.add(&event.SourcePurged{Meta: event.At(ann, final("op_3", "purge", 1, 0)), Name: "a"})
		},
		"before there was a grace period": func(h *history) {
			h.add(&event.SourceRemoved{Meta: event.At(ann, final("op_2", "cleanup", 1, 0)), Name: "a"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var h history
			s := openMem(t)
			h.connect(ann, "op_1", "a")
			how(&h)
			h.add(restored(ann, final("op_4", "restore", 1, 0), "a"))
			apply(t, s, h.events...)
			src, err := s.AnySource(ann)
			if err != nil || !src.Removed || src.Restorable() || src.SecretRef != "" {
				t.Errorf("%+v, %v", src, err)
			}
			wantDue(t, s, epoch.Add(24*time.Hour))
			page, err := s.List(ListQuery{Organization: "acme", Workspace: "w1", Owner: "ann", Removed: true})
			if err != nil || page.Count != 0 {
				t.Errorf("restorable: %s, %v", page.JSON, err)
			}
		})
	}
}

// A name that somebody else has by then stays theirs, and one that is given
// anew leads to the restored source.
func TestRestoredNames(t *testing.T) {
	var h history
	s := openMem(t)
	h.connect(ann, "op_1", "a")
	gone := h.add(removed(ann, final("op_2", "cleanup", 1, 0), "a", epoch))
	next := at("ann", SourceID("acme", "w1", "ann", "a", gone.Sequence))
	h.connect(next, "op_3", "a")
	h.add(restored(ann, final("op_4", "restore", 1, 0), "b"))
	apply(t, s, h.events...)
	for name, want := range map[string]event.Address{"a": next, "b": ann} {
		if src, _, found, err := s.FindSource("acme", "w1", "ann", name); err != nil || !found || src.Address != want {
			t.Errorf("%s leads to %v (%v), want %v", name, src.Address, err, want)
		}
	}
	apply(t, s, h.add(removed(ann, final("op_5", "cleanup", 1, 0), "b", epoch)), h.add(restored(ann, final("op_6", "restore", 1, 0), "a")))
	if src, _, _, err := s.FindSource("acme", "w1", "ann", "a"); err != nil || src.Address != next {
		t.Errorf("a restored source took the name from %v: %v", src.Address, err)
	}
	if page, err := s.List(ListQuery{Organization: "acme", Workspace: "w1", Owner: "ann"}); err != nil || page.Count != 2 {
		t.Errorf("listed: %s, %v", page.JSON, err)
	}
}
