package landing

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/bus/event"
	"headwater/bus/kv"
	"headwater/connectors/driver"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/sweep"
)

var home = event.Address{Organization: "acme", Workspace: "w1", Owner: "", Source: "src_1"}

func openLake(t *testing.T, kv kv.Store) *Lake {
	t.Helper()
	return openLakeAt(t, t.TempDir(), kv)
}

func openLakeAt(t *testing.T, url string, kv kv.Store) *Lake {
	t.Helper()
	l, err := Open(t.Context(), url, kv, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// orders is a table of an id to go by and a text.
func orders() driver.Table {
	return driver.Table{Namespace: "public", Name: "orders", PrimaryKey: []string{"id"}, Cursor: "id", Columns: []driver.Column{
		{Name: "id", Type: driver.Of(driver.Int64)},
		{Name: "note", Type: driver.Of(driver.String), Nullable: true},
	}}
}

// rows returns the orders from one id up to another, which it leaves out.
func rows(from, to int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(orders()))
	defer b.Release()
	for id := from; id < to; id++ {
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("order %d", id))
	}
	return b.NewRecordBatch()
}

func behind(id int64) *driver.Cursor {
	text := strconv.FormatInt(id, 10)
	return &driver.Cursor{Column: "id", Value: &text}
}

func incremental(fence uint64, sync string) Target {
	return Target{Address: home, Table: orders(), SyncID: sync, Fence: fence, Mode: Incremental, CursorColumn: "id"}
}

func full(fence uint64, sync string) Target {
	return Target{Address: home, Table: orders(), SyncID: sync, Fence: fence, Mode: FullRefresh}
}

func begin(t *testing.T, l *Lake, target Target) *encoding {
	t.Helper()
	w, err := beginEncoding(t.Context(), l, target)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	t.Cleanup(func() { w.Abort(context.Background()) })
	return w
}

func write(t *testing.T, w *encoding, from, to int64) {
	t.Helper()
	rec := rows(from, to)
	defer rec.Release()
	if err := w.Write(t.Context(), rec); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func commit(t *testing.T, w *encoding, next *driver.Cursor, final bool) Committed {
	t.Helper()
	c, err := w.Commit(t.Context(), next, final)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return c
}

// ids returns the ids of every row that readers see, in order, by a scan of the
// whole table.
func ids(t *testing.T, l *Lake) []int64 {
	t.Helper()
	found, err := scanIDs(t.Context(), l)
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	return found
}

func scanIDs(ctx context.Context, l *Lake) ([]int64, error) {
	tbl, err := l.catalog.LoadTable(ctx, kvcatalog.IdentifierOf(home, "public", "orders"))
	if err != nil {
		return nil, err
	}
	_, batches, err := tbl.Scan().ToArrowRecords(ctx)
	if err != nil {
		return nil, err
	}
	found := []int64{}
	for rec, err := range batches {
		if err != nil {
			return nil, err
		}
		column := rec.Column(rec.Schema().FieldIndices("id")[0]).(*array.Int64)
		found = append(found, column.Int64Values()...)
	}
	slices.Sort(found)
	return found, nil
}

func span(from, to int64) []int64 {
	all := []int64{}
	for id := from; id < to; id++ {
		all = append(all, id)
	}
	return all
}

func wantIDs(t *testing.T, l *Lake, want []int64) {
	t.Helper()
	if got := ids(t, l); !slices.Equal(got, want) {
		t.Fatalf("the table holds %d rows %v, want %d rows %v", len(got), brief(got), len(want), brief(want))
	}
}

func brief(ids []int64) []int64 { return ids[:min(len(ids), 20)] }

// files returns the base names of everything in the table's folder.
func files(t *testing.T, l *Lake) (parts, metadata []string) {
	t.Helper()
	found, err := storage.List(l.files, l.catalog.Place(kvcatalog.IdentifierOf(home, "public", "orders")))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if sweep.IsMetadata(f.Base) {
			metadata = append(metadata, f.Base)
		} else {
			parts = append(parts, f.Base)
		}
	}
	return parts, metadata
}
