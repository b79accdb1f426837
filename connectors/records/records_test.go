package records

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"testing"

	"headwater/connectors/driver"
)

func TestSniffer(t *testing.T) {
	for _, c := range []struct{ values, want string }{
		{"", "string"}, {"1 -2 0", "int64"}, {"9223372036854775807 -9223372036854775808", "int64"}, {"9223372036854775808", "decimal(38,0)"},
		{"1 2.5", "float64"}, {"1e+03 -.5", "float64"}, {"0.1 123456789012345678", "decimal(38,1)"}, {"1e+400", "string"}, {"1e+05 12345678901234567.25", "string"},
		{"1.9 1.10 1.11", "string"}, {"1.10 1.20", "decimal(18,2)"}, {"1.50 2.00 -0.25", "decimal(18,2)"}, {"1.5 2.25 3", "float64"}, {"1.0 2.0 3.25", "float64"}, {"1.0 2", "string"}, {"1.0 1.00", "string"},
		{"12E5 7E2", "string"}, {"1e5", "string"}, {"1e+05 100.5 1e-07", "float64"}, {"1.0E10 12.5 1.5E-7", "float64"}, {"1.50e+00 2.25e-03", "float64"}, {"1.50e+00 2.5", "string"}, {"1.50e+00 2.5e+00", "string"},
		{"12.5e+03", "string"}, {"1.e+05", "string"}, {"5.", "string"}, {".5 0.25", "string"}, {".5 -.25 10.5", "float64"}, {"1.10 12345678901234567.89", "decimal(38,2)"}, {"1.1 12345678901234567.80", "string"},
		{"007", "string"}, {"-0", "float64"}, {"+1", "string"}, {"1,5", "string"}, {"NaN", "string"}, {"0x10", "string"}, {"1_000", "string"}, {"-", "string"}, {".", "string"}, {"1e", "string"},
		{"true False TRUE", "boolean"}, {"true 1", "string"}, {"tRUE", "string"}, {"t", "string"},
		{"2024-02-29", "date"}, {"2023-02-29", "string"}, {"0000-01-01", "string"}, {"2024-13-01", "string"}, {"2024-1-1", "string"},
		{"2024-02-29T10:00:00", "timestamp"}, {"2024-02-29T10:00:00.123456", "timestamp"}, {"2024-02-29T10:00:00.1234560", "timestamp"}, {"2024-02-29T10:00:00.1234567", "string"},
		{"2024-02-29T10:00:00Z 2024-02-29T10:00:00+0530 2024-02-29T10:00:00-08", "timestamptz"}, {"2024-02-29T10:00:00Z 2024-02-29T10:00:00", "string"}, {"2024-02-29 2024-02-29T10:00:00", "string"},
		{"2024-02-29T24:00:00", "string"}, {"2024-02-29T10:00:60", "string"}, {"2024-02-29T10:00:00.", "string"}, {"2024-02-29T10:00:00+25:00", "string"}, {"10:00:00", "string"},
		{"1 x", "string"}, {"1 true", "string"}, {"1 2024-02-29", "string"}, {"0.12345678901234567890123456789012345678 1", "string"}, {"0.1234567890123456789012345678901234567 1", "decimal(38,37)"},
	} {
		var whole, left, right Sniffer
		for i, v := range strings.Fields(c.values) {
			whole.Text([]byte(v))
			if i%2 == 0 {
				left.Text([]byte(v))
			} else {
				right.Text([]byte(v))
			}
		}
		if got := whole.Type().String(); got != c.want {
			t.Errorf("%q is %s, want %s", c.values, got, c.want)
		}
		if left.Merge(right); left.Type() != whole.Type() {
			t.Errorf("%q merged is %s, want %s", c.values, left.Type(), whole.Type())
		}
	}
}

// FuzzSnifferKeepsValues requires that a value can be read as the type that was
// found for it, and that what was read says the same.
func FuzzSnifferKeepsValues(f *testing.F) {
	for _, s := range []string{"1", "-0.50", "1e-7", "9223372036854775808", "2024-02-29", "2024-02-29T10:00:00.5+02:00", "true", "é", "", "0.30000000000000004", "123456789012345678.25", "1.50", "12E5", "1.0", "-0", "1.5e-07"} {
		f.Add(s, "1.5")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		var s Sniffer
		for _, v := range []string{a, b} {
			if v != "" {
				s.Text([]byte(v))
			}
		}
		column := driver.Column{Name: "c", Type: s.Type(), Nullable: true}
		builder := NewBuilder(driver.Table{Columns: []driver.Column{column}}, driver.Limits{})
		defer builder.Release()
		for _, v := range []string{a, b} {
			if v == "" {
				continue
			}
			if err := builder.Text(0, []byte(v)); err != nil && (s.Type().Kind != driver.String || strings.ToValidUTF8(v, "") == v) {
				t.Fatalf("%q and %q are %s, but %q does not fit", a, b, s.Type(), v)
			}
			builder.EndRow(1)
		}
		if s.Type().Kind == driver.Float64 && a != "" && b != "" && a != b && !strings.ContainsAny(a+b, "eE") {
			x, _ := strconv.ParseFloat(a, 64)
			if y, _ := strconv.ParseFloat(b, 64); math.Float64bits(x) == math.Float64bits(y) {
				t.Fatalf("%q and %q became one number", a, b)
			}
		}
		if s.Type().Kind != driver.Int64 {
			return
		}
		batch := builder.Batch()
		defer batch.Record.Release()
		if batch.Record.NumRows() > 0 && a != "" && driver.FormatCursor(batch.Record.Column(0), 0) != a {
			t.Fatalf("%q became %s", a, driver.FormatCursor(batch.Record.Column(0), 0))
		}
	})
}

// batches builds record batches of one int64 column; -1 stands for NULL.
func batches(table driver.Table, values ...[]int64) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		b := NewBuilder(table, driver.Limits{})
		defer b.Release()
		for _, rows := range values {
			if rows == nil {
				yield(driver.Batch{}, errors.New("broken"))
				return
			}
			for _, v := range rows {
				if v < 0 {
					b.Null(0)
				} else if err := b.Text(0, fmt.Append(nil, v)); err != nil {
					panic(err)
				}
				b.EndRow(8)
			}
			if !yield(b.Batch(), nil) {
				return
			}
		}
	}
}

func describe(seq iter.Seq2[driver.Batch, error]) string {
	var out []string
	for b, err := range seq {
		if err != nil {
			out = append(out, err.Error())
			continue
		}
		text := b.Record.Column(0).String()
		if b.Resume != nil {
			text += "->" + *b.Resume.Value
		}
		b.Record.Release()
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestResume(t *testing.T) {
	table := driver.Table{Name: "t", Columns: []driver.Column{{Name: "n", Type: driver.Of(driver.Int64), Nullable: true}}}
	five := "5"
	all, after := driver.Cursor{Column: "n"}, driver.Cursor{Column: "n", Value: &five}
	for _, c := range []struct {
		name, want string
		got        iter.Seq2[driver.Batch, error]
	}{
		{"ordered", "[1 2]->2 [3]->3", Ordered(table, all, batches(table, []int64{1, 2}, []int64{3}))},
		{"ordered, equal cursors at the cut", "[1 2] [2 3]->3", Ordered(table, all, batches(table, []int64{1, 2}, []int64{2, 3}))},
		{"ordered, NULLs first", "[(null)] [(null) 1]->1", Ordered(table, all, batches(table, []int64{-1}, []int64{-1, 1}))},
		{"ordered, broken", "[1]->1 [2] broken", Ordered(table, all, batches(table, []int64{1}, []int64{2}, nil))},
		{"unordered", "[3 1] [2]->3", Unordered(t.Context(), table, all, batches(table, []int64{3, 1}, []int64{2}))},
		{"unordered after 5", "[9] [] [7 6]->9", Unordered(t.Context(), table, after, batches(table, []int64{9, 1}, []int64{5, -1}, []int64{7, 6}))},
		{"unordered, nothing new", "[] []->5", Unordered(t.Context(), table, after, batches(table, []int64{5, 1}, []int64{-1}))},
		{"unordered, all NULL", "[(null)]", Unordered(t.Context(), table, all, batches(table, []int64{-1}))},
		{"no cursor", "[3 1] [2]", Unordered(t.Context(), table, driver.Cursor{}, batches(table, []int64{3, 1}, []int64{2}))},
		{"empty", "", Ordered(table, all, batches(table))},
	} {
		if got := describe(c.got); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestLocate(t *testing.T) {
	for document, want := range map[string]string{
		`[{"a":1}]`: "[] false", ` [] `: "[] false", `{"a":1}`: "[] true", `{"x":[{"a":1}]}`: "[x] false", `{"x":{"y":{"z":[{}]}}}`: "[x y z] false",
		`{"data":[{}],"things":[{}]}`: "[data] false", `{"items":[],"total":0}`: "[items] false", `{"names":["a"],"x":{"list":[{}]}}`: "[x list] false",
		`{"links":[{"rel":"next"}],"rows":[{}]}`: "[rows] false", `{"a":[],"b":[]}`: "[] true", `{"orders":[{}],"data":[{}]}`: "[orders] false",
	} {
		list, err := Locate([]byte(document), "orders")
		if got := fmt.Sprint(list.Path, " ", list.Single); got != want || err != nil {
			t.Errorf("%s: %s, want %s (%v)", document, got, want, err)
		}
	}
	for _, document := range []string{`5`, `"x"`, `{"a":[{}],"b":[{}]}`, `{"data":[{}],"items":[{}]}`} {
		if list, err := Locate([]byte(document), "orders"); !errors.Is(err, driver.ErrBadData) {
			t.Errorf("%s: %+v, %v", document, list, err)
		}
	}
}

func TestColumns(t *testing.T) {
	var s Shape
	for _, record := range []string{
		`{"n":1,"mixed":"a","flag":true,"at":"2024-01-01","deep":{"a":[1]},"none":null,"id":"1"}`,
		` {"n":2.5, "mixed":7, "flag":null, "at":"2024-01-02", "deep":"x", "id":"2"}`,
	} {
		if err := s.Record([]byte(strings.TrimSpace(record)), driver.Limits{}); err != nil {
			t.Fatal(err)
		}
	}
	columns, err := s.Columns(map[string]string{"id": "int64", "other": "date"}, true)
	var got []string
	for _, c := range columns {
		got = append(got, c.Name+":"+c.Type.String()+":"+c.SourceType)
	}
	want := "n:float64:number mixed:string:number, string flag:boolean:boolean at:date:string deep:json:string, object or array none:json:null id:int64:string _extra:json:unsampled fields"
	if text := strings.Join(got, " "); err != nil || text != want {
		t.Errorf("%s\nwant %s (%v)", text, want, err)
	}
	if !s.Always("n") || s.Always("flag") || s.Always("gone") {
		t.Error("Always is wrong")
	}
	if _, err := s.Columns(map[string]string{"id": "number"}, false); !errors.Is(err, driver.ErrInvalidConfig) {
		t.Errorf("unknown type: %v", err)
	}
	if err := s.Record([]byte(`{"a":1,"b":2}`), driver.Limits{MaxColumns: 8}); !errors.Is(err, driver.ErrLimit) {
		t.Errorf("too many fields: %v", err)
	}
}
