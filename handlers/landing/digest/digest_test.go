package digest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"headwater/connectors/driver"
)

type row struct {
	id   int64
	note string
}

// sum digests rows in batches of at most size, their ids as int32 where narrow
// is set.
func sum(t *testing.T, spec Spec, newer []Hash, size int, narrow bool, rows ...row) Sums {
	t.Helper()
	s := New(spec, newer)
	for len(rows) > 0 {
		n := min(size, len(rows))
		ids, notes := array.NewInt64Builder(memory.DefaultAllocator), array.NewStringBuilder(memory.DefaultAllocator)
		small := array.NewInt32Builder(memory.DefaultAllocator)
		for _, r := range rows[:n] {
			ids.Append(r.id)
			small.Append(int32(r.id))
			if r.note == "" {
				notes.AppendNull()
			} else {
				notes.Append(r.note)
			}
		}
		columns := []arrow.Array{ids.NewArray(), notes.NewArray()}
		if narrow {
			columns[0] = small.NewArray()
		}
		if err := s.Add(columns, n, nil); err != nil {
			t.Fatal(err)
		}
		rows = rows[n:]
	}
	return s.Sums()
}

func TestSumsOfTheSameRowsAreTheSame(t *testing.T) {
	spec := Spec{Columns: []string{"id", "note"}, Key: []string{"id"}}
	var rows []row
	for i := range int64(5000) {
		rows = append(rows, row{i, strings.Repeat("x", int(i%3))})
	}
	shuffled := append([]row{}, rows...)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	a, b := sum(t, spec, nil, 7, false, rows...), sum(t, spec, nil, 999, true, shuffled...)
	if buckets, more := Differing(a, b); len(buckets) != 0 || more {
		t.Errorf("the same rows differ in %d buckets", len(buckets))
	}
	// Any one change is seen, and in one bucket alone.
	for name, change := range map[string]func([]row) []row{
		"changed": func(r []row) []row { r[17].note = "other"; return r },
		"missing": func(r []row) []row { return r[1:] },
		"surplus": func(r []row) []row { return append(r, row{9999, "y"}) },
		"NULL":    func(r []row) []row { r[1].note = ""; return r },
	} {
		c := sum(t, spec, nil, 100, false, change(append([]row{}, rows...))...)
		if buckets, _ := Differing(a, c); len(buckets) != 1 {
			t.Errorf("%s: %d buckets differ, want 1", name, len(buckets))
		}
	}
}

func TestRowsThatAreBehindDifferFromNothing(t *testing.T) {
	after := "10"
	spec := Spec{Columns: []string{"id", "note"}, Key: []string{"note"}, Cursor: "id", Type: driver.Of(driver.Int64), After: &after}
	source := sum(t, spec, nil, 2, false, row{1, "a"}, row{12, "b"}, row{3, "c"}, row{13, "d"})
	if source.Rows != 4 || source.Behind != 2 || len(source.Newer) != 2 {
		t.Fatalf("%d rows, %d behind, %d newer keys", source.Rows, source.Behind, len(source.Newer))
	}
	there := spec
	there.After = nil
	landed := sum(t, there, source.Newer, 2, false, row{1, "a"}, row{2, "b"}, row{3, "c"})
	if buckets, _ := Differing(source, landed); len(buckets) != 0 {
		t.Errorf("%d buckets differ", len(buckets))
	}
}

func TestCompareNamesTheRows(t *testing.T) {
	all := make([]int, Buckets)
	for i := range all {
		all[i] = i
	}
	keyed := Spec{Columns: []string{"id", "note"}, Key: []string{"id"}, Only: all}
	keyless := Spec{Columns: []string{"id", "note"}, Only: all}
	a := []row{{1, "a"}, {2, "b"}, {2, "b"}, {4, "d"}}
	b := []row{{1, "a"}, {2, "b"}, {3, "c"}, {4, "other"}}
	for name, c := range map[string]struct {
		spec Spec
		want []Difference
	}{
		"keyed":   {keyed, []Difference{{What: Changed, Key: "id=4"}, {What: Missing, Key: "id=2"}, {What: Surplus, Key: "id=3"}}},
		"keyless": {keyless, []Difference{{What: Missing, Key: "id=2, note=b"}, {What: Missing, Key: "id=4, note=d"}, {What: Surplus, Key: "id=3, note=c"}, {What: Surplus, Key: "id=4, note=other"}}},
	} {
		found := Compare(sum(t, c.spec, nil, 3, false, a...).Listed, sum(t, c.spec, nil, 3, false, b...).Listed)
		if diff := cmp.Diff(c.want, found, cmpopts.IgnoreUnexported(Difference{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What the source changed in between, or what has landed since, differs no more;
// what was seen with the same values twice does.
func TestStillDiffers(t *testing.T) {
	all := make([]int, Buckets)
	for i := range all {
		all[i] = i
	}
	spec := Spec{Columns: []string{"id", "note"}, Key: []string{"id"}, Only: all}
	compare := func(source, landed []row) []Difference {
		return Compare(sum(t, spec, nil, 3, false, source...).Listed, sum(t, spec, nil, 3, false, landed...).Listed)
	}
	first := compare([]row{{1, "a"}, {2, "b"}, {3, "c"}, {5, "e"}, {6, "f"}}, []row{{1, "x"}, {2, "x"}, {4, "d"}, {7, "g"}})
	// 1 stays changed, 2 landed and moved on, 3 landed, 4 stays surplus, 5 stays
	// missing, 6 was changed again, 7 was inserted with other values, 8 is new.
	second := compare([]row{{1, "a"}, {2, "bb"}, {3, "c"}, {5, "e"}, {6, "ff"}, {7, "new"}, {8, "h"}}, []row{{1, "y"}, {2, "b"}, {3, "c"}, {4, "d"}, {7, "g"}})
	want := []Difference{{What: Changed, Key: "id=1"}, {What: Missing, Key: "id=5"}, {What: Surplus, Key: "id=4"}}
	if diff := cmp.Diff(want, Still(second, first), cmpopts.IgnoreUnexported(Difference{})); diff != "" {
		t.Error(diff)
	}
}

// What is listed stays within its bound, and says so.
func TestListedRowsAreBounded(t *testing.T) {
	rows := make([]row, MaxListed+10)
	for i := range rows {
		rows[i] = row{int64(i), fmt.Sprint(i)}
	}
	a := sum(t, Spec{Columns: []string{"id", "note"}, Key: []string{"id"}}, nil, 10_000, false, rows...)
	buckets, more := Differing(a, sum(t, Spec{Columns: []string{"id", "note"}, Key: []string{"id"}}, nil, 1, false))
	if !more || len(buckets) == 0 || len(buckets) == Buckets {
		t.Errorf("%d buckets, more: %v", len(buckets), more)
	}
	all := make([]int, Buckets)
	for i := range all {
		all[i] = i
	}
	if s := sum(t, Spec{Columns: []string{"id", "note"}, Only: all}, nil, 10_000, false, rows...); len(s.Listed) != MaxListed || !s.Cut {
		t.Errorf("%d rows are listed, cut: %v", len(s.Listed), s.Cut)
	}
}

// Sums come from the process that read the source.
func TestSumsCrossProcesses(t *testing.T) {
	after := "1"
	sums := sum(t, Spec{Columns: []string{"id", "note"}, Key: []string{"note"}, Cursor: "id", Type: driver.Of(driver.Int64), After: &after, Only: nil}, nil, 2, false, row{1, "a"}, row{2, "b"})
	text, err := json.Marshal(sums)
	if err != nil {
		t.Fatal(err)
	}
	var got Sums
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sums, got); diff != "" || len(got.Newer) != 1 {
		t.Errorf("%d newer keys, %s", len(got.Newer), diff)
	}
	for _, bad := range []string{`"00"`, `"zz000000000000000000000000000000"`, `7`} {
		if err := json.Unmarshal([]byte(bad), new(Hash)); err == nil {
			t.Errorf("%s is taken for a hash", bad)
		}
	}
}
