package records

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"headwater/connectors/driver"
)

// FuzzIndex compares an index with encoding/json as to what is valid, and with
// the walks over valid JSON as to what is in it and what rows come of it.
func FuzzIndex(f *testing.F) {
	for _, s := range []string{
		`{"d":[{"a":1,"b":"x"},{"b":"é","a":null,"c":[1,{"d":"}"}]}],"page":1}`, `[{"a":"\ud83d\ude00 \"q\""},{}]`, `{"d":{"d":[{"a":1e5}]}}`, `{"d":1,"d":[{"a":1}]}`,
		`{"\u0064":[{"\u0061":"1","a":"2"}]}`, `[1,{"a":2},[3]]`, `{"d":[]}`, `{"d":[{"a":1},]}`, `{"d":[{"a":01}]}`, `{}`, ` [ ] `, `"d"`, `{"d":[{"a":"` + "\xff" + `"}]}`, `{"d":[{"a\\b":1,"_extra":{}}]}`,
		`[{"a":"2024-01-01T00:00:00Z","b":true,"c":12345678901234567890}]`, `{"d":[{"a":{"d":[{}]}}]} x`,
	} {
		f.Add([]byte(s))
	}
	var x Index // used again and again, as a reader does
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, list := range []*List{nil, {}, {Path: []string{"d"}}, {Path: []string{"d", "d"}}, {Single: true}} {
			for end := range len(raw) + 1 {
				if end < len(raw) && len(raw) > 100 {
					continue
				}
				if got, want := x.Read(raw[:end], list), json.Valid(raw[:end]); got != want {
					t.Fatalf("%q with list %v is valid: %v, want %v", raw[:end], list, got, want)
				}
			}
			if !json.Valid(raw) {
				return
			}
			if list == nil || list.Single {
				continue
			}
			want := bytes.TrimSpace(list.Records(raw))
			if !bytes.Equal(x.List(), want) {
				t.Fatalf("%q: list %q, want %q", raw, x.List(), want)
			}
			n := 0
			for element := range Elements(want) {
				if n >= x.Len() || !bytes.Equal(x.Record(n), element) {
					t.Fatalf("%q: record %d of %d, want %q", raw, n, x.Len(), element)
				}
				n++
			}
			if n != x.Len() {
				t.Fatalf("%q: %d records, want %d", raw, x.Len(), n)
			}
			sameRows(t, &x)
		}
		if trimmed := bytes.TrimSpace(raw); trimmed[0] == '{' {
			var got, want [][]byte
			for k, v := range x.Top() {
				got = append(got, bytes.Clone(k), v)
			}
			for k, v := range Fields(trimmed) {
				want = append(want, bytes.Clone(k), v)
			}
			if !slices.EqualFunc(got, want, bytes.Equal) {
				t.Fatalf("%q: fields %q, want %q", raw, got, want)
			}
		}
	})
}

// sameRows builds rows by Indexed and by Record and compares them. The columns
// are those of the first record, so that the rest brings what fits and what not.
func sameRows(t *testing.T, x *Index) {
	var shape Shape
	if x.Len() == 0 || shape.Record(x.Record(0), driver.Limits{}) != nil {
		return
	}
	columns, err := shape.Columns(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	table := driver.Table{Name: "t", Columns: columns}
	indexed, plain := NewRows(table, driver.Limits{}, nil), NewRows(table, driver.Limits{}, nil)
	defer indexed.Release()
	defer plain.Release()
	for n := range x.Len() {
		_, got := indexed.Indexed(x, n)
		_, want := plain.Record(x.Record(n))
		var a, b *driver.Error
		if errors.As(got, &a) != errors.As(want, &b) || a != nil && a.Message != b.Message {
			t.Fatalf("%q, record %d: error %v, want %v", x.document, n, got, want)
		}
		if want != nil {
			return
		}
	}
	a, b := indexed.Batch().Record, plain.Batch().Record
	defer a.Release()
	defer b.Release()
	if !arrowEqual(a, b) {
		t.Fatalf("%q: rows %v, want %v", x.document, a, b)
	}
}

func arrowEqual(a, b arrow.RecordBatch) bool {
	got, err := a.MarshalJSON()
	want, err2 := b.MarshalJSON()
	return err == nil && err2 == nil && bytes.Equal(got, want)
}

// TestNamesAreText holds that a later field's name that is no UTF-8 is refused
// and not kept under another one.
func TestNamesAreText(t *testing.T) {
	table := driver.Table{Name: "t", Columns: []driver.Column{{Name: Extra, Type: driver.Of(driver.JSON), SourceType: unsampled, Nullable: true}}}
	for raw, ok := range map[string]bool{`{"é":1}`: true, "{\"\x87\":1}": false, `{"\ud800":1}`: false} {
		rows := NewRows(table, driver.Limits{}, nil)
		defer rows.Release()
		if _, err := rows.Record([]byte(raw)); (err == nil) != ok {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
