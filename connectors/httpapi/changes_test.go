package httpapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"headwater/connectors/driver"
)

// TestSince asks for what changed since the cursor, in the API's form.
func TestSince(t *testing.T) {
	at := "2024-01-02T00:00:00.000000Z"
	for name, c := range map[string]struct {
		settings map[string]any
		want     string
	}{
		"as it is":      {map[string]any{}, "2024-01-02T00:00:00Z"},
		"seconds":       {map[string]any{"since_format": "seconds"}, "1704153600"},
		"earlier":       {map[string]any{"since_lookback": "2h"}, "2024-01-01T22:00:00Z"},
		"earlier days":  {map[string]any{"since_format": "date", "since_lookback": "3d"}, "2023-12-30"},
		"a week before": {map[string]any{"since_format": "date", "since_lookback": "1w"}, "2023-12-26"},
	} {
		var asked []string
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.URL.Query().Get("updated_since"))
			fmt.Fprint(w, `{"next":null,"data":[{"id":1,"updated_at":"2024-01-02T00:00:00Z"},{"id":2,"updated_at":"2024-01-03T00:00:00Z"}]}`)
		})
		c.settings["base_url"], c.settings["since_param"] = srv.URL, "updated_since"
		src, err := open(t, c.settings, driver.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		tables, err := src.Discover(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rows, resume, err := read(t, src, tables[0], driver.Cursor{Column: "updated_at", Value: &at})
		if err != nil || len(rows) != 1 || rows[0][0] != "2" || resume == nil || !slices.Equal(asked, []string{"", c.want}) {
			t.Errorf("%s: %v, %v, asked for %q", name, rows, err, asked)
		}
	}
}

// TestCursorsThatFindChanges takes times of the last change in other forms.
func TestCursorsThatFindChanges(t *testing.T) {
	for name, c := range map[string]struct {
		records, cursor string
		notes           bool
	}{
		"seconds":       {`{"id":1,"updated_at":1700000000},{"id":2,"updated_at":1700000001}`, "updated_at", false},
		"nanoseconds":   {`{"id":1,"updatedAt":"2024-01-01T00:00:00.000000001Z"},{"id":2,"updatedAt":"2024-01-01T00:00:00.000000002Z"}`, "updatedAt", false},
		"another name":  {`{"id":1,"lastModifiedDateTime":"2024-01-01T00:00:00Z"},{"id":2,"lastModifiedDateTime":"2024-01-02T00:00:00Z"}`, "lastModifiedDateTime", false},
		"no such field": {`{"id":1},{"id":2}`, "id", true},
		"no order":      {`{"id":1,"updated_at":"yesterday"},{"id":2,"updated_at":"today"}`, "id", true},
	} {
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, `{"next":null,"data":[%s]}`, c.records) })
		table, _, err := all(t, map[string]any{"base_url": srv.URL})
		if err != nil || table.Cursor != c.cursor || c.notes != (len(table.CursorNotes) > 0) {
			t.Errorf("%s: %q, %q, %v", name, table.Cursor, table.CursorNotes, err)
		}
	}
}

// TestTypesFoundAnew reads values behind the sample that do not fit its types.
func TestTypesFoundAnew(t *testing.T) {
	const pages = 30
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		page := number(r, "page", 1)
		var list []string
		for i := (page - 1) * 100; i < page*100; i++ {
			v, text := fmt.Sprint(i), "1"
			switch i {
			case 1500:
				v = "1.5"
			case 2900:
				text = `"x"`
			}
			list = append(list, fmt.Sprintf(`{"id":%d,"v":%s,"w":%s}`, i, v, text))
		}
		fmt.Fprintf(w, `{"data":[%s],"page":%d,"total_pages":%d}`, strings.Join(list, ","), page, pages)
	})
	src, err := open(t, map[string]any{"base_url": srv.URL}, driver.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(t, src, tables[0], driver.Cursor{}); !errors.Is(err, driver.ErrRetyped) {
		t.Fatal(err)
	}
	if tables, err = src.Discover(t.Context()); err != nil || tables[0].Columns[1].Type.Kind != driver.Float64 || tables[0].Columns[2].Type.Kind != driver.String {
		t.Fatalf("%+v, %v", tables, err)
	}
	rows, _, err := read(t, src, tables[0], driver.Cursor{})
	if err != nil || len(rows) != pages*100 || rows[1500][1] != "1.5" || rows[2900][2] != "x" || rows[7][2] != "1" {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if _, _, err := all(t, map[string]any{"base_url": srv.URL, "column_types": map[string]string{"v": "int64"}, "pagination": map[string]any{"type": "page"}}); !errors.Is(err, driver.ErrBadData) && !errors.Is(err, driver.ErrRetyped) {
		t.Error(err)
	}
}
