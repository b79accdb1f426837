package projections

import (
	"strings"
	"testing"
	"time"

	"headwater/bus/event"
)

// TestTwoSourcesOfOneName: a restore and a connect that came at once leave two
// sources of one name. A list by name shows both, page by page and as of then,
// and what is left when one of them goes.
func TestTwoSourcesOfOneName(t *testing.T) {
	var h history
	first, second := at("ann", "src_1"), at("ann", "src_2")
	h.connect(first, "op_1", "shop")
	after := epoch.Add(time.Hour)
	h.add(&event.SourceRemoved{Meta: event.At(first, final("op_2", "cleanup", 1, 0)), Name: "shop", DestroyedAfter: &after})
	h.connect(second, "op_3", "shop")
	h.add(&event.SourceRestored{Meta: event.At(first, final("op_4", "restore", 1, 0)), Name: "shop", Type: "database", Connector: "postgresql"})
	both := uint64(len(h.events))
	h.add(&event.SourceRemoved{Meta: event.At(second, final("op_5", "cleanup", 1, 0)), Name: "shop", DestroyedAfter: &after})
	named := ListQuery{Organization: first.Organization, Workspace: first.Workspace, Owner: "ann", Name: "shop"}
	list := func(s *Store, q ListQuery) (ids string) {
		t.Helper()
		for {
			page, err := s.List(q)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"src_1", "src_2"} {
				if strings.Contains(string(page.JSON), `"id":"`+id+`"`) {
					ids += id + " "
				}
			}
			if q.Cursor = page.Next; page.Next == "" {
				return ids
			}
		}
	}
	s := openMem(t)
	apply(t, s, h.events[:both]...)
	one := named
	one.Limit = 1
	if all, paged := list(s, named), list(s, one); all != "src_1 src_2 " || paged != all {
		t.Errorf("both are there: %s, one a page: %s", all, paged)
	}
	apply(t, s, h.events[both:]...)
	if left := list(s, named); left != "src_1 " {
		t.Errorf("one is left: %s", left)
	}
	named.AsOf = both
	if then := list(s, named); then != "src_1 src_2 " {
		t.Errorf("both were there: %s", then)
	}
}
