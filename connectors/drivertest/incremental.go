package drivertest

import (
	"slices"
	"testing"

	"headwater/connectors/driver"
)

// testIncremental reads by a cursor column in small batches, then once more
// from every place where the driver says that reading may resume.
func (h Harness) testIncremental(t *testing.T, e Expected, column string) {
	leaks(t)
	limits := driver.Limits{BatchRows: smallBatch}.WithDefaults()
	src := h.open(t, limits)
	table := h.discovered(t, src, e.Table.String())
	at := slices.IndexFunc(table.Columns, func(c driver.Column) bool { return c.Name == column })
	if at < 0 {
		t.Fatalf("no column %s", column)
	}
	kind := table.Columns[at].Type

	first, err := h.collect(t, src, table, driver.Cursor{Column: column}, limits)
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, e.Rows, first.rows)
	checkOrder(t, first.rows, at, kind)
	if len(e.Rows) > 0 && hasValue(e.Rows, at) && len(first.resumes) == 0 {
		t.Error("nowhere to resume, not even at the end")
	}
	for _, r := range first.resumes {
		if r.cursor.Column != column || r.cursor.Value == nil {
			t.Errorf("resume %+v names no value of %s", r.cursor, column)
			continue
		}
		if last := first.rows[r.rows-1][at]; *r.cursor.Value != last {
			t.Errorf("resume after row %d is %q, want its cursor %q", r.rows, *r.cursor.Value, last)
		}
		rest, err := h.collect(t, src, table, r.cursor, limits)
		if err != nil {
			t.Fatalf("resume from %q: %v", *r.cursor.Value, err)
		}
		sameRows(t, e.Rows, append(slices.Clone(first.rows[:r.rows]), rest.rows...))
		for _, row := range rest.rows {
			if row[at] == Null {
				t.Errorf("a NULL cursor came back after %q", *r.cursor.Value)
			}
		}
	}
	if n := len(first.resumes); n > 0 && first.resumes[n-1].rows != len(first.rows) {
		t.Error("the end of the read is no place to resume")
	}
	h.testBadCursor(t, src, table)
}

func hasValue(rows [][]string, at int) bool {
	return slices.ContainsFunc(rows, func(row []string) bool { return row[at] != Null })
}

// checkOrder requires NULLs first, then cursors that never fall.
func checkOrder(t *testing.T, rows [][]string, at int, kind driver.Type) {
	t.Helper()
	for i := 1; i < len(rows); i++ {
		before, now := rows[i-1][at], rows[i][at]
		if before == Null {
			continue
		}
		if now == Null {
			t.Fatalf("row %d has a NULL cursor after %q", i, before)
		}
		if c, err := driver.CompareCursors(kind, before, now); err != nil || c > 0 {
			t.Fatalf("row %d has cursor %q after %q (%v)", i, now, before, err)
		}
	}
}

// testBadCursor requires a column that is not there to be refused.
func (h Harness) testBadCursor(t *testing.T, src driver.Source, table driver.Table) {
	t.Helper()
	_, err := h.collect(t, src, table, driver.Cursor{Column: "no such column"}, driver.Limits{}.WithDefaults())
	if err == nil {
		t.Error("a cursor column that is not there was accepted")
		return
	}
	h.checkError(t, err, driver.ErrNotFound)
}
