package drivertest

import (
	"iter"
	"slices"
	"strings"
	"testing"

	"headwater/connectors/driver"
)

// smallBatch is small enough that equal cursor values straddle batches.
const smallBatch = 3

func (h Harness) testRead(t *testing.T, e Expected) {
	leaks(t)
	for _, size := range []int{0, 1, smallBatch} {
		limits := driver.Limits{BatchRows: size}.WithDefaults()
		src := h.open(t, limits)
		table := h.discovered(t, src, e.Table.String())
		got, err := h.collect(t, src, table, driver.Cursor{}, limits)
		if e.Broken != nil {
			if err == nil {
				t.Fatalf("reading %d rows succeeded, want %q", len(got.rows), e.Broken)
			}
			h.checkError(t, err, e.Broken)
			continue
		}
		if err != nil {
			t.Fatalf("batches of %d rows: %v", limits.BatchRows, err)
		}
		sameRows(t, e.Rows, got.rows)
		if size == 0 {
			h.testProjection(t, src, table, e)
		}
	}
}

// testProjection reads some columns in another order: a Read yields t's
// columns, not the source's.
func (h Harness) testProjection(t *testing.T, src driver.Source, table driver.Table, e Expected) {
	t.Helper()
	if len(table.Columns) < 2 {
		return
	}
	some := table
	some.Columns = []driver.Column{table.Columns[len(table.Columns)-1], table.Columns[0]}
	got, err := h.collect(t, src, some, driver.Cursor{}, driver.Limits{}.WithDefaults())
	if err != nil {
		t.Fatalf("two columns: %v", err)
	}
	want := make([][]string, len(e.Rows))
	for i, row := range e.Rows {
		want[i] = []string{row[len(row)-1], row[0]}
	}
	sameRows(t, want, got.rows)
}

func (h Harness) testUnknownTable(t *testing.T) {
	leaks(t)
	src := h.open(t, driver.Limits{})
	table := driver.Table{Namespace: h.Tables[0].Table.Namespace, Name: "no such table", Kind: "table", Columns: h.Tables[0].Table.Columns}
	_, err := h.collect(t, src, table, driver.Cursor{}, driver.Limits{}.WithDefaults())
	if err == nil {
		t.Fatal("a table that is not there was read")
	}
	h.checkError(t, err, driver.ErrNotFound)
	if err := src.Check(t.Context()); err != nil {
		t.Errorf("after a failed read: %v", err)
	}
}

// result is what a read yielded.
type result struct {
	rows    [][]string
	resumes []resume
}

// resume is a cursor and how many rows came before it.
type resume struct {
	cursor driver.Cursor
	rows   int
}

// collect reads to the end and checks each batch's shape.
func (h Harness) collect(t *testing.T, src driver.Source, table driver.Table, from driver.Cursor, limits driver.Limits) (result, error) {
	t.Helper()
	return drain(t, src.Read(t.Context(), table, from), table, from.Value != nil, limits)
}

// drain takes every batch of a read and checks its shape. With empty, batches
// without rows are allowed.
func drain(t *testing.T, batches iter.Seq2[driver.Batch, error], table driver.Table, empty bool, limits driver.Limits) (result, error) {
	t.Helper()
	var r result
	schema := driver.ArrowSchema(table)
	for batch, err := range batches {
		if err != nil {
			if batch.Record != nil {
				t.Error("an error came with a record")
			}
			return r, err
		}
		if !batch.Record.Schema().Equal(schema) {
			t.Errorf("a batch has schema %v, want %v", batch.Record.Schema(), schema)
		}
		n := int(batch.Record.NumRows())
		if n == 0 && !empty || n > limits.BatchRows {
			t.Errorf("a batch has %d rows, want 1 to %d", n, limits.BatchRows)
		}
		if batch.Bytes < 0 {
			t.Errorf("a batch has %d bytes", batch.Bytes)
		}
		for row := range n {
			values := make([]string, len(table.Columns))
			for i := range values {
				if !table.Columns[i].Nullable && batch.Record.Column(i).IsNull(row) {
					t.Errorf("column %s is not nullable, but row %d is NULL", table.Columns[i].Name, row)
				}
				values[i] = Text(batch.Record.Column(i), row)
			}
			r.rows = append(r.rows, values)
		}
		if batch.Resume != nil {
			r.resumes = append(r.resumes, resume{*batch.Resume, len(r.rows)})
		}
		batch.Record.Release()
	}
	return r, nil
}

// sameRows compares as multisets.
func sameRows(t *testing.T, want, got [][]string) {
	t.Helper()
	count := map[string]int{}
	for _, row := range want {
		count[strings.Join(row, " | ")]++
	}
	for _, row := range got {
		count[strings.Join(row, " | ")]--
	}
	var differ []string
	for row, n := range count {
		switch {
		case n > 0:
			differ = append(differ, "missing: "+row)
		case n < 0:
			differ = append(differ, "too many: "+row)
		}
	}
	slices.Sort(differ)
	if len(differ) > 0 {
		t.Errorf("%d rows, want %d:\n%s", len(got), len(want), strings.Join(differ[:min(len(differ), 20)], "\n"))
	}
}
