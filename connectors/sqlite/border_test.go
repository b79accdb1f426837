package sqlite_test

import (
	"fmt"
	"testing"

	"headwater/connectors/driver"
)

func TestRowsAtACursorAndWithoutOne(t *testing.T) {
	files, _ := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, at DATETIME, w TEXT)`, `CREATE INDEX t_n ON t(n)`,
		`INSERT INTO t VALUES (1, 5, '2024-01-05 00:00:00', 'a'), (2, NULL, NULL, NULL), (3, 9, '2024-01-09 00:00:00', 'c'), (4, 5, '2024-01-05 00:00:00', 'a'), (5, 1, '2024-01-01 00:00:00', 'A')`)
	src, err := open(t, files, `{"path":"a.db"}`, driver.Limits{BatchRows: 2})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for column, value := range map[string]string{"n": "5", "at": "2024-01-05T00:00:00.000000", "w": "a", "id": "3"} {
		for _, c := range []struct {
			inclusive, nulls bool
			want             map[string]string
		}{
			{false, false, map[string]string{"id": "45", "": "3"}},
			{true, false, map[string]string{"id": "345", "": "134"}},
			{false, true, map[string]string{"id": "45", "": "23"}},
			{true, true, map[string]string{"id": "345", "": "1234"}},
		} {
			rows, _, err := read(t, src, tables[0], driver.Cursor{Column: column, Value: &value, Inclusive: c.inclusive, Nulls: c.nulls})
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, row := range rows {
				seen[row[0]] = true
			}
			got := ""
			for id := range 6 {
				if seen[fmt.Sprint(id)] {
					got += fmt.Sprint(id)
				}
			}
			want, ok := c.want[column]
			if !ok {
				want = c.want[""]
			}
			if got != want || len(rows) != len(want) {
				t.Errorf("%s from %s, inclusive %t, nulls %t: rows %s, want %s", column, value, c.inclusive, c.nulls, got, want)
			}
		}
	}
}
