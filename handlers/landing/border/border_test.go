package border

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
)

func table(kind driver.Kind) driver.Table {
	return driver.Table{Name: "t", PrimaryKey: []string{"id"}, Columns: []driver.Column{
		{Name: "id", Type: driver.Of(driver.Int64)}, {Name: "at", Type: driver.Of(kind), Nullable: true},
	}}
}

// batch makes rows of an id and a cursor in the JSON that Arrow reads.
func batch(t driver.Table, rows ...string) arrow.RecordBatch {
	text := "["
	for i, r := range rows {
		if i > 0 {
			text += ","
		}
		text += r
	}
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, driver.ArrowSchema(t), strings.NewReader(text+"]"))
	if err != nil {
		panic(err)
	}
	return rec
}

func row(id int, at string) string {
	if at == "" {
		return fmt.Sprintf(`{"id": %d, "at": null}`, id)
	}
	return fmt.Sprintf(`{"id": %d, "at": %s}`, id, at)
}

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func track(t *testing.T, of driver.Table, from, ceiling *string) *Tracker {
	t.Helper()
	k, err := Track(of, "at", from, ceiling, noon)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wantPlace(t *testing.T, k *Tracker, want string, rows int, full bool) {
	t.Helper()
	b := k.Border()
	got := "none"
	if b.Value != nil {
		got = *b.Value
	}
	if n := len(b.Rows.Hashes) / len(hash{}); got != want || n != rows || b.Rows.Full != full {
		t.Errorf("the place is %s with %d rows, full %t; want %s with %d rows, full %t", got, n, b.Rows.Full, want, rows, full)
	}
}

// A place is never beyond now, by the clock of the type, and rows behind it are
// known.
func TestPlaceIsNotBeyondNow(t *testing.T) {
	for kind, values := range map[driver.Kind][4]string{ // before, now, soon, never
		driver.TimestampTZ: {`"2026-06-01 11:59:59Z"`, `"2026-06-01 12:00:00Z"`, `"2026-06-01 12:00:01Z"`, `"9999-12-31 00:00:00Z"`},
		driver.Timestamp:   {`"2026-06-01 11:59:59"`, `"2026-06-01 12:00:00"`, `"2026-06-01 12:00:01"`, `"9999-12-31 00:00:00"`},
		driver.Date:        {`"2026-05-31"`, `"2026-06-01"`, `"2026-06-02"`, `"9999-12-31"`},
	} {
		of := table(kind)
		k := track(t, of, nil, nil)
		k.See(batch(of, row(1, values[3]), row(2, values[2])))
		wantPlace(t, k, "none", 2, false)
		k.See(batch(of, row(3, values[0]), row(4, values[3])))
		if b := k.Border(); b.Beyond == nil || b.Beyond.Key != "id 1" || len(b.Rows.Hashes) != 4*len(hash{}) {
			t.Errorf("%s: %+v", driver.Of(kind), b)
		}
		k.See(batch(of, row(5, values[1]), row(6, values[1])))
		if b := k.Border(); len(b.Rows.Hashes) != 5*len(hash{}) {
			t.Errorf("%s: %d rows are shown again", driver.Of(kind), len(b.Rows.Hashes)/len(hash{}))
		}
	}
	of := table(driver.Int64)
	k := track(t, of, nil, nil)
	k.See(batch(of, row(1, "9223372036854775807")))
	wantPlace(t, k, "9223372036854775807", 1, false)
}

// So many rows ahead of UTC are no mistake but local time.
func TestLocalTime(t *testing.T) {
	of := table(driver.Timestamp)
	k := track(t, of, nil, nil)
	var rows []string
	for i := range MaxRows + 1 {
		rows = append(rows, row(i, fmt.Sprintf(`"2026-06-01 %02d:00:00"`, 13+i%9)))
	}
	k.See(batch(of, rows...))
	if at := k.Place(); at == nil || *at != "2026-06-01T21:00:00.000000" {
		t.Errorf("the place is %v", at)
	}
	k.See(batch(of, row(-1, `"2026-06-02 03:00:00"`)))
	wantPlace(t, k, "2026-06-01T21:00:00.000000", len(k.rows), false)
}

// More rows of one value than are noted make the place unsure, until the next
// value.
func TestFullBorder(t *testing.T) {
	of := table(driver.Int64)
	k := track(t, of, nil, nil)
	var rows []string
	for i := range MaxRows {
		rows = append(rows, row(i, "7"))
	}
	k.See(batch(of, rows...))
	wantPlace(t, k, "7", MaxRows, false)
	k.See(batch(of, row(-1, "7")))
	wantPlace(t, k, "7", 0, true)
	k.See(batch(of, row(-2, "3")))
	wantPlace(t, k, "7", 0, true)
	k.See(batch(of, row(-3, "8"), row(-4, "7"), row(-5, "8")))
	wantPlace(t, k, "8", 2, false)
}

func TestCeiling(t *testing.T) {
	of, ceiling := table(driver.Int64), "5"
	k := track(t, of, nil, &ceiling)
	k.See(batch(of, row(1, "3"), row(2, "3")))
	wantPlace(t, k, "3", 2, false)
	k.See(batch(of, row(3, "9"), row(4, "4"), row(5, "5"), row(6, "")))
	wantPlace(t, k, "5", 2, false)
	if b := k.Border(); *b.Last != "9" || b.NullRows != 1 || *k.Reached() != "9" {
		t.Errorf("%+v", b)
	}
}

// What a read in parts has seen is what one read of all of it has.
func TestJoin(t *testing.T) {
	for range 200 {
		of, ceiling := table(driver.Int64), (*string)(nil)
		if rand.IntN(2) == 0 {
			text := fmt.Sprint(rand.IntN(10))
			ceiling = &text
		}
		whole := track(t, of, nil, ceiling)
		var parts []*Border
		var reached *string
		for range 1 + rand.IntN(4) {
			part := track(t, of, nil, ceiling)
			for range rand.IntN(4) {
				at := fmt.Sprint(rand.IntN(10))
				if rand.IntN(5) == 0 {
					at = ""
				}
				b := batch(of, row(rand.IntN(1000), at), row(rand.IntN(1000), "2"))
				whole.See(b)
				part.See(b)
			}
			parts = append(parts, part.Border())
			if at := part.Reached(); at != nil {
				reached, _ = larger(part.typ, reached, at)
			}
		}
		want := whole.Border()
		if behind, _ := atOrBehind(whole.typ, reached, ceiling); ceiling != nil && behind && reached != nil {
			reached = ceiling
		}
		got, err := Join(whole.typ, reached, parts)
		if err != nil {
			t.Fatal(err)
		}
		a, b := hashes(got), hashes(want)
		if !slices.Equal(a, b) || fmt.Sprint(got.Value == nil, got.NullRows) != fmt.Sprint(want.Value == nil, want.NullRows) || got.Value != nil && *got.Value != *want.Value {
			x, _ := json.Marshal(got)
			y, _ := json.Marshal(want)
			t.Fatalf("%s\n%s", x, y)
		}
	}
	one := "1"
	if b, err := Join(driver.Of(driver.Int64), &one, []*Border{nil}); err != nil || !b.Rows.Full || !b.Nulls.Full {
		t.Errorf("of a part that says nothing: %+v, %v", b, err)
	}
}

func hashes(b *Border) (all []string) {
	for _, s := range []Set{b.Rows, b.Nulls} {
		for h, n := range s.counted() {
			all = append(all, fmt.Sprintf("%x %d", h, n))
		}
	}
	slices.Sort(all)
	return all
}

// A filter drops what landed, as often as it landed, and says what it cannot
// tell.
func TestFilter(t *testing.T) {
	of := table(driver.Int64)
	k := track(t, of, nil, nil)
	k.See(batch(of, row(1, "5"), row(1, "5"), row(2, "4"), row(3, "")))
	known := k.Border()
	text, err := json.Marshal(known)
	if err != nil {
		t.Fatal(err)
	}
	known = &Border{}
	if err := json.Unmarshal(text, known); err != nil {
		t.Fatal(err)
	}
	keep := func(b *Border, rows ...string) (left int, kept Kept) {
		f, err := Drop(of, "at", b)
		if err != nil {
			t.Fatal(err)
		}
		runs, kept := f.Keep(batch(of, rows...))
		for _, r := range runs {
			left += int(r.NumRows())
			r.Release()
		}
		return left, kept
	}
	for name, c := range map[string]struct {
		of   *Border
		rows []string
		left int
		kept Kept
	}{
		"landed":          {known, []string{row(1, "5"), row(3, ""), row(1, "5")}, 0, Kept{}},
		"once more":       {known, []string{row(1, "5"), row(1, "5"), row(1, "5")}, 1, Kept{Again: true}},
		"changed":         {known, []string{row(7, "5"), row(1, "5"), row(8, "")}, 2, Kept{Again: true}},
		"new":             {known, []string{row(7, "6"), row(8, "7")}, 2, Kept{}},
		"among new":       {known, []string{row(7, "6"), row(1, "5"), row(8, "7"), row(9, "8")}, 3, Kept{}},
		"before":          {known, []string{row(2, "4")}, 1, Kept{Again: true, Unsure: true}},
		"unknown":         {Unknown(known.Value), []string{row(1, "5"), row(2, "6")}, 2, Kept{Again: true, Unsure: true}},
		"nothing landed":  {nil, []string{row(1, "5")}, 1, Kept{}},
		"another reading": {&Border{Of: "else", Value: known.Value, Last: known.Last}, []string{row(1, "5")}, 1, Kept{Again: true, Unsure: true}},
	} {
		if left, kept := keep(c.of, c.rows...); left != c.left || kept != c.kept {
			t.Errorf("%s: %d rows are left, %+v; want %d, %+v", name, left, kept, c.left, c.kept)
		}
	}
}

// Every type that has an order is followed by its own order.
func TestOrders(t *testing.T) {
	for _, c := range []struct {
		of           driver.Type
		a, b         string // JSON
		texta, textb string
	}{
		{driver.Of(driver.Int32), "-5", "3", "-5", "3"},
		{driver.DecimalOf(10, 2), `"9.50"`, `"10.00"`, "9.50", "10.00"},
		{driver.DecimalOf(38, 0), `"-99999999999999999999999999999999999999"`, `"99999999999999999999999999999999999999"`, "-99999999999999999999999999999999999999", "99999999999999999999999999999999999999"},
		{driver.Of(driver.String), `"Z"`, `"a"`, "Z", "a"},
		{driver.Of(driver.UUID), `"0fffffff-0000-0000-0000-000000000000"`, `"f0000000-0000-0000-0000-000000000000"`, "0fffffff-0000-0000-0000-000000000000", "f0000000-0000-0000-0000-000000000000"},
		{driver.Of(driver.Date), `"1969-12-31"`, `"2024-01-02"`, "1969-12-31", "2024-01-02"},
		{driver.Of(driver.TimestampTZ), `"1969-12-31 23:59:59.999999Z"`, `"2024-01-02 03:04:05Z"`, "1969-12-31T23:59:59.999999Z", "2024-01-02T03:04:05.000000Z"},
	} {
		of := table(driver.Int64)
		of.Columns[1].Type = c.of
		k := track(t, of, nil, nil)
		k.See(batch(of, row(1, c.b), row(2, c.a), row(3, "")))
		wantPlace(t, k, c.textb, 1, false)
		k = track(t, of, &c.texta, nil)
		wantPlace(t, k, c.texta, 0, false)
		k.See(batch(of, row(2, c.a)))
		wantPlace(t, k, c.texta, 1, false)
		if before, err := k.Before(&c.texta); before || err != nil {
			t.Errorf("%s: %v", c.of, err)
		}
		k.See(batch(of, row(1, c.b)))
		if before, err := k.Before(&c.texta); !before || err != nil {
			t.Errorf("%s: %v", c.of, err)
		}
	}
	if _, err := Track(table(driver.Int64), "at", ptr("x"), nil, noon); err == nil {
		t.Error("a value that is no number was taken")
	}
	if _, err := Track(table(driver.Int64), "no", nil, nil, noon); err == nil {
		t.Error("a column that is not there was taken")
	}
}

func ptr(s string) *string { return &s }
