package capture

import "testing"

// TestTheNewestNote: each account that has read a source made a note of its own, and the
// last one holds.
func TestTheNewestNote(t *testing.T) {
	all := []object{{oid: 4}, {oid: 3, note: noted{Written: 5}}, {oid: 2, note: noted{Written: 7}}, {oid: 1, note: noted{Written: 6}}}
	if got := newestOf(all); got.oid != 2 {
		t.Errorf("%d is the newest", got.oid)
	}
	if got := newestOf(nil); got.oid != 0 || got.note.Written != 0 {
		t.Errorf("%+v of none", got)
	}
}
