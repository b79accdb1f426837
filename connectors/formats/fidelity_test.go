package formats_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

// TestBadInputIsKeptOrRefused holds what a file may hold to one of two ends:
// the value comes out as it went in, or an error names its row.
func TestBadInputIsKeptOrRefused(t *testing.T) {
	filler := strings.Repeat("filler,1\n", 150_000) // the head of a file, whose text is looked at as one
	for _, c := range []struct {
		name, file, content string
		kind                error  // nil: it is kept
		message             string // of the error
		types               string // of the columns
		row                 []string
	}{
		{name: "a NUL byte", file: "a.csv", content: "a,b\nx,1\ny\x00,2\n", kind: driver.ErrBadData, message: "NUL"},
		{name: "a NUL byte far in", file: "a.csv", content: "a,b\n" + filler + "y\x00,2\n", kind: driver.ErrBadData, message: "row 150001"},
		{name: "a NUL in JSON", file: "a.ndjson", content: `{"a":"x\u0000y"}` + "\n", types: "string", row: []string{"x\x00y"}},
		{name: "half a character in JSON", file: "a.ndjson", content: `{"a":"x"}` + "\n" + `{"a":"\ud800"}` + "\n", kind: driver.ErrBadData, message: "record 2"},
		{name: "Latin-1", file: "a.csv", content: "a,b\nM\xfcller,1\n", kind: driver.ErrBadData, message: "UTF-8"},
		{name: "Latin-1 far in", file: "a.csv", content: "a,b\n" + filler + "M\xfcller,2\n", kind: driver.ErrBadData, message: "row 150001"},
		{name: "names that differ by case", file: "a.csv", content: "id,ID,Id\n1,2,3\n", types: "int64 int64 int64", row: []string{"1", "2", "3"}},
		{name: "names that differ by case in JSON", file: "a.ndjson", content: `{"id":1,"ID":2}` + "\n", types: "int64 int64", row: []string{"1", "2"}},
		{name: "beyond int64", file: "a.csv", content: "a,b\n9223372036854775808,-9223372036854775808\n", types: "decimal(38,0) int64", row: []string{"9223372036854775808", "-9223372036854775808"}},
		{name: "beyond decimals", file: "a.csv", content: "a,b\n" + strings.Repeat("1234567890", 4) + ",1\n", types: "string int64", row: []string{strings.Repeat("1234567890", 4), "1"}},
		{name: "beyond a float", file: "a.csv", content: "a,b\n0.1234567890123456789,9007199254740993.5\n", types: "decimal(38,19) decimal(38,1)", row: []string{"0.1234567890123456789", "9007199254740993.5"}},
		{name: "not a number", file: "a.csv", content: "a,b\nNaN,Infinity\n", types: "string string"},
		{name: "off the calendar", file: "a.csv", content: "a,b\n2023-02-29,0000-00-00\n", types: "string string", row: []string{"2023-02-29", "0000-00-00"}},
		{name: "beyond the year 9999", file: "a.csv", content: "a,b\n294276-12-31,10000-01-01T00:00:00Z\n", types: "string string", row: []string{"294276-12-31", "10000-01-01T00:00:00Z"}},
	} {
		settings := `{"path":"` + c.file + `"}`
		if strings.HasSuffix(c.file, ".csv") {
			settings = `{"path":"` + c.file + `","header":true}`
		}
		table, rows, err := formatstest.Table(t, c.file, c.content, settings, driver.Limits{})
		if c.kind != nil {
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.message) || strings.Contains(err.Error(), "ller") {
				t.Errorf("%s: %v, want %v with %q", c.name, err, c.kind, c.message)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var types []string
		for _, col := range table.Columns {
			types = append(types, col.Type.String())
		}
		if got := strings.Join(types, " "); got != c.types {
			t.Errorf("%s: types %s, want %s", c.name, got, c.types)
		}
		if c.row != nil && (len(rows) != 1 || !slices.Equal(rows[0], c.row)) {
			t.Errorf("%s: %q, want %q", c.name, rows, c.row)
		}
	}
}

func TestTenThousandColumns(t *testing.T) {
	for n, kind := range map[int]error{10_000: nil, 10_001: driver.ErrLimit} {
		var names, values []string
		for i := range n {
			names = append(names, fmt.Sprintf("c%d", i))
			values = append(values, fmt.Sprint(i))
		}
		table, rows, err := formatstest.Table(t, "a.csv", strings.Join(names, ",")+"\n"+strings.Join(values, ",")+"\n", `{"path":"a.csv"}`, driver.Limits{})
		if !errors.Is(err, kind) {
			t.Errorf("%d columns: %v, want %v", n, err, kind)
		} else if kind == nil && (len(table.Columns) != n || !slices.Equal(rows[0], values)) {
			t.Errorf("%d columns: %d came back", n, len(table.Columns))
		}
	}
}
