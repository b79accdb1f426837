package projections

import (
	"fmt"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"headwater/bus/event"
)

// What is kept is what the store would read, whatever happened since: after
// each event of any history, for every query, from its first page to its last,
// and for cursors of pages that were given out before.
func TestKeptPagesFollowTheStore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := openRapid(rt, vfs.NewMem())
		given := map[any]bool{} // queries whose cursors were given out
		for _, a := range []event.Address{ann, shared, at("bob", "src_b")} {
			for _, limit := range []int{0, 1} {
				q := ListQuery{Organization: a.Organization, Workspace: a.Workspace, Owner: a.Owner, Limit: limit}
				given[q] = true
				for _, change := range []func(*ListQuery){
					func(q *ListQuery) { q.Removed = true },
					func(q *ListQuery) { q.Name = "a" },
					func(q *ListQuery) { q.Search = "B" },
					func(q *ListQuery) { q.Status = StatusSyncing },
					func(q *ListQuery) { q.AsOf = 3 },
				} {
					other := q
					change(&other)
					given[other] = true
				}
				given[SchemaQuery{Address: a, Limit: limit}] = true
				given[SchemaQuery{Address: a, Limit: limit, Table: "t"}] = true
				given[SchemaQuery{Address: a, Limit: limit, AsOf: 3}] = true
			}
		}
		for i, e := range drawHistory(rt) {
			applyRapid(rt, s, e)
			what := fmt.Sprintf("after event %d", i+1)
			for q := range maps.Clone(given) {
				for q := q; q != nil; { // to the last page
					given[q] = true
					if q = sameAsRead(rt, s, what, q); len(given) > 300 {
						break
					}
				}
			}
		}
	})
}

// sameAsRead fails unless what is answered, and answered again, is what the
// store holds. It returns the query of the next page, nil behind the last.
func sameAsRead(t *rapid.T, s *Store, what string, query any) (next any) {
	for range 2 {
		var got, want any
		var err, wantErr error
		next = nil
		switch q := query.(type) {
		case ListQuery:
			page, listErr := s.List(q)
			got, err = page, listErr
			want, wantErr = s.list(q)
			if q.Cursor = page.Next; q.Cursor != "" {
				next = q
			}
		case SchemaQuery:
			page, schemaErr := s.SchemaPage(q)
			got, err = page, schemaErr
			want, wantErr = s.schemaPage(q)
			if q.Cursor = page.Next; q.Cursor != "" {
				next = q
			}
		}
		if !sameError(err, wantErr) || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %+v is answered %s (%v), read %s (%v)", what, query, got, err, want, wantErr)
		}
	}
	return next
}

func sameError(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// What removes a source for good changes no document, and still the list of the
// removed ones.
func TestPurgedIsNotKept(t *testing.T) {
	var h history
	s := openMem(t)
	h.connect(ann, "op_1", "a")
	h.add(removed(ann, final("op_2", "cleanup", 1, 0), "a", epoch))
	apply(t, s, h.events...)
	q := ListQuery{Organization: "acme", Workspace: "w1", Owner: "ann", Removed: true}
	if page, err := s.List(q); err != nil || page.Count != 1 {
		t.Fatalf("%d removed sources (%v), want 1", page.Count, err)
	}
	apply(t, s, h.add(&event.SourcePurged{Meta: event.At(ann, final("op_3", "purge", 1, 0)), Name: "a"}))
	if page, err := s.List(q); err != nil || page.Count != 0 {
		t.Errorf("%d removed sources once it is purged (%v): %s", page.Count, err, page.JSON)
	}
}

// A read that goes on while events are applied is never older than what was
// applied before it began.
func TestKeptPagesWhileWriting(t *testing.T) {
	var h history
	s := openMem(t)
	q := ListQuery{Organization: "acme", Workspace: "w1", Owner: "ann"}
	const sources = 300
	var applied atomic.Int64
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for applied.Load() < sources {
				least := applied.Load()
				if page, err := s.List(q); err != nil || int64(page.Count) < least {
					t.Errorf("%d sources (%v), %d were there before", page.Count, err, least)
					return
				}
			}
		})
	}
	for i := range sources {
		apply(t, s, h.add(connected(at("ann", fmt.Sprintf("src_%d", i)), final(fmt.Sprintf("op_%d", i), "connect", 1, 0), fmt.Sprint(i))))
		applied.Add(1)
	}
	readers.Wait()
}
