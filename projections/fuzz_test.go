package projections

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/projections/layout"
)

// FuzzCursor gives every paged read any cursor, and cursors of its own with any
// place in them: it answers or refuses.
func FuzzCursor(f *testing.F) {
	h := life(10)
	s, err := Open(Options{Dir: "store", FS: vfs.NewMem()})
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	if err := s.Apply(h.events...); err != nil {
		f.Fatal(err)
	}
	a := at("ann", "src_1")
	list := ListQuery{Organization: "acme", Workspace: "w1", Owner: "ann", Limit: 1}
	page, err := s.List(list)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(page.Next)
	f.Add(string(layout.PutIndex(layout.PutSequence(nil, 1<<63), 9)))
	f.Add("12345678")
	past := list
	past.AsOf = 5
	f.Fuzz(func(t *testing.T, text string) {
		read := func(cursor func(bound []byte) string) {
			list, past := list, past
			list.Cursor = cursor(binding("list", "acme", "w1", "ann", "", "", "", "", uint64(0)))
			past.Cursor = cursor(binding("list", "acme", "w1", "ann", "", "", "", "", uint64(5)))
			_, errList := s.List(list)
			_, errPast := s.List(past)
			_, errSchema := s.SchemaPage(SchemaQuery{Address: a, Cursor: cursor(binding("schema", a.Tokens(), "", uint64(0))), Limit: 1})
			_, errHistory := s.SchemaHistory(a, 1, cursor(binding("history", a.Tokens())))
			_, errSyncs := s.Syncs(SyncQuery{Organization: "acme", Workspace: "w1", Owners: []string{"ann"}, Limit: 1,
				Cursor: cursor(binding("syncs", "acme", "w1", []string{"ann"}, "", ""))})
			for _, err := range []error{errList, errPast, errSchema, errHistory, errSyncs} {
				if err != nil && !errors.Is(err, ErrBadCursor) && !errors.Is(err, ErrNotFound) {
					t.Errorf("%q: %v", text, err)
				}
			}
		}
		read(func([]byte) string { return text })
		read(func(bound []byte) string { return makeCursor(bound, []byte(text)) })
	})
}
