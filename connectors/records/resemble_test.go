package records

import (
	"strings"
	"testing"
)

// An object in place of records is one of them by names that only records have.
func TestObjectsLikeRecords(t *testing.T) {
	for _, c := range []struct {
		before, fields string
		some, want     bool
	}{
		{"id name", "id name", false, true},
		{"id name", "id", false, true},
		{"id name", "id notice", false, false},
		{"id name", "name region", false, false},
		{"id name", "id name region", false, true},
		{"id status v", "status Error_Message", false, false},
		{"id status v", "id status", false, false},
		{"id status", "id status", false, true},
		{"id title body", "id title", false, true},
		{"a b c d e f", "a b x y z w u", false, false},
		{"a b c d", "a b x y z", false, true},
		{"id name v", "id name w", false, true},
		{"id name", "id name error", false, true},
		{"id name", "id _extra", false, true},
		{"id name", "", false, false},
		{"id", "id Error_Message", false, false},
		{"status", "status region", false, true},
		{"id status v w", "status v", false, true},
		{"id type x y", "type depth", true, false},
		{"id type x y", "id type depth", true, true},
		{"id type x y", "x depth", true, true},
		{"id type x y", "id error", true, false},
		{"id type x y", "depth", true, false},
	} {
		if got := Resembles(strings.Fields(c.before), strings.Fields(c.fields), c.some); got != c.want {
			t.Errorf("%s, then %s (some: %v): %v", c.before, c.fields, c.some, got)
		}
	}
}
