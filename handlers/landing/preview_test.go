package landing

import (
	"context"
	"errors"
	"path"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/google/go-cmp/cmp"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/landing/reading"
	"headwater/handlers/landing/storage"
)

func show(t *testing.T, l *Lake, limit int, m Moment) reading.Shown {
	t.Helper()
	shown, err := l.Show(t.Context(), home, "public", "orders", limit, m)
	if err != nil {
		t.Fatal(err)
	}
	return shown
}

// A preview shows each moment that the table still has: rows and columns.
func TestPreviewOfTheTableAsItWas(t *testing.T) {
	l := openLake(t, kvtest.New())
	start := time.Now()
	w := begin(t, l, full(1, "syn_1"))
	write(t, w, 0, 3)
	first := commit(t, w, nil, true)
	between := time.Now()
	time.Sleep(2 * time.Millisecond) // a snapshot's time is in milliseconds
	target := full(2, "syn_2")
	target.Table.Columns = append(target.Table.Columns, driver.Column{Name: "more", Type: driver.Of(driver.JSON), Nullable: true})
	w = begin(t, l, target)
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(target.Table))
	defer b.Release()
	b.Field(0).(*array.Int64Builder).Append(9)
	b.Field(1).AppendNull()
	b.Field(2).(*array.StringBuilder).Append(`{"n": 1.0}`)
	if err := w.Write(t.Context(), b.NewRecordBatch()); err != nil {
		t.Fatal(err)
	}
	second := commit(t, w, nil, true)

	now := show(t, l, 10, Moment{})
	if diff := cmp.Diff([][]any{{int64(9), nil, `{"n": 1.0}`}}, now.Rows); diff != "" || now.SnapshotID != second.SnapshotID || now.Truncated || now.Columns[2].Type != "json" {
		t.Errorf("now: %s%+v", diff, now)
	}
	for name, m := range map[string]Moment{"its snapshot": {SnapshotID: first.SnapshotID}, "its time": {Time: between}} {
		then := show(t, l, 2, m)
		if diff := cmp.Diff([][]any{{int64(0), "order 0"}, {int64(1), "order 1"}}, then.Rows); diff != "" || len(then.Columns) != 2 || then.SnapshotID != first.SnapshotID ||
			then.Total != 3 || !then.Truncated || then.Ended != "" || then.At.Before(start.Add(-time.Millisecond)) || then.At.After(between) {
			t.Errorf("as of %s: %s%+v", name, diff, then)
		}
	}
	if then := show(t, l, 3, Moment{SnapshotID: first.SnapshotID}); len(then.Rows) != 3 || then.Truncated {
		t.Errorf("just as many as there are: %+v", then)
	}
	for _, c := range []struct {
		m    Moment
		want error
	}{{Moment{Time: start.Add(-time.Hour)}, ErrNoSnapshot}, {Moment{SnapshotID: 77}, ErrExpired}} {
		if _, err := l.Show(t.Context(), home, "public", "orders", 1, c.m); !errors.Is(err, c.want) {
			t.Errorf("as of %+v: %v", c.m, err)
		}
	}
	l.now = func() time.Time { return time.Now().Add(time.Hour) }
	w = begin(t, l, full(3, "syn_3"))
	write(t, w, 0, 1)
	commit(t, w, nil, true)
	if _, err := l.Show(t.Context(), home, "public", "orders", 1, Moment{Time: between}); !errors.Is(err, ErrExpired) {
		t.Errorf("a forgotten moment: %v", err)
	}
}

// Whatever was asked for, an answer is bounded in rows and bytes, and says so;
// what is deleted is never in it.
func TestPreviewIsBounded(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, full(1, "syn_1"))
	write(t, w, 0, 1200)
	commit(t, w, nil, true)
	if s := show(t, l, 5000, Moment{}); len(s.Rows) != 1000 || s.Rows[999][0] != int64(999) || !s.Truncated || s.Total != 1200 {
		t.Errorf("%d rows, %v", len(s.Rows), s.Truncated)
	}
	if s := show(t, l, 0, Moment{}); len(s.Rows) != 0 || !s.Truncated {
		t.Errorf("none: %+v", s)
	}
	// 64 rows of 3 MiB, a letter of two bytes across the first MiB of each.
	long := "x" + strings.Repeat("ü", 3<<19)
	w = begin(t, l, full(2, "syn_2"))
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(orders()))
	defer b.Release()
	for id := range int64(64) {
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.StringBuilder).Append(long)
	}
	if err := w.Write(t.Context(), b.NewRecordBatch()); err != nil {
		t.Fatal(err)
	}
	commit(t, w, nil, true)
	s := show(t, l, 50, Moment{})
	if len(s.Rows) != 8 || !s.Truncated || s.Ended != reading.EndedBytes || len(s.Shortened) != 8 || s.Shortened[7] != (reading.Shortened{Row: 7, Column: 1, Bytes: len(long)}) ||
		s.Rows[0][1] != long[:1<<20-1] {
		t.Errorf("%d rows, %q, shortened %+v", len(s.Rows), s.Ended, s.Shortened)
	}

	w = begin(t, l, merging(3, "syn_3"))
	for id := range int64(300) {
		put(t, w, account{id, 1, false})
	}
	commit(t, w, version(1), false)
	for id := range int64(290) {
		put(t, w, account{id, 2, true})
	}
	commit(t, w, version(2), true)
	_, rows, err := l.Preview(t.Context(), home, "public", "accounts", 20)
	if err != nil || len(rows) != 10 || rows[0][0] != int64(290) {
		t.Errorf("behind deleted rows: %v, %v", rows, err)
	}
}

// silentDisk gives no Parquet file but the first: the reader's time is over then.
type silentDisk struct {
	storage.Disk
	over func()
	open int
}

func (d *silentDisk) Open(name string) (iceio.File, error) {
	if path.Ext(name) == ".parquet" {
		if d.open++; d.open > 1 {
			d.over()
			return nil, context.DeadlineExceeded
		}
	}
	return d.Disk.Open(name)
}

// limited is a context whose deadline passes when over is called.
type limited struct {
	context.Context
	done chan struct{}
	once sync.Once
}

func (l *limited) over() { l.once.Do(func() { close(l.done) }) }

func (l *limited) Done() <-chan struct{} { return l.done }

func (l *limited) Err() error {
	select {
	case <-l.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// A lake that falls silent ends a preview with what it gave, and an error where
// that is nothing, whoever sees first that the time is over.
func TestPreviewEndsInTime(t *testing.T) {
	l := openLake(t, kvtest.New())
	for fence, sync := range []string{"syn_1", "syn_2"} {
		w := begin(t, l, incremental(uint64(fence+1), sync))
		write(t, w, int64(fence)*3, int64(fence)*3+3)
		commit(t, w, behind(int64(fence)*3+2), true)
	}
	storageFirst, cancel := context.WithCancel(t.Context())
	defer cancel()
	both := &limited{Context: t.Context(), done: make(chan struct{})}
	for name, c := range map[string]struct {
		ctx  context.Context
		over func()
	}{"the storage's time": {storageFirst, func() {}}, "all time": {both, both.over}} {
		d := &silentDisk{over: c.over}
		l.files, l.catalog.Files = d, d
		s, err := l.Show(c.ctx, home, "public", "orders", 10, Moment{})
		if err != nil || len(s.Rows) != 3 || !s.Truncated || s.Ended != reading.EndedTime || s.Total != 6 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		if _, err := l.Show(c.ctx, home, "public", "orders", 10, Moment{}); !errors.Is(err, ErrStorage) {
			t.Errorf("%s, nothing: %v", name, err)
		}
	}
}

// A table of many rows takes no more memory for a preview than one of few.
func TestPreviewNeverHoldsTheFile(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, full(1, "syn_1"))
	const all = 500_000
	for from := int64(0); from < all; from += 100_000 {
		write(t, w, from, from+100_000)
	}
	commit(t, w, nil, true)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if s := show(t, l, 10, Moment{}); len(s.Rows) != 10 || s.Total != all {
		t.Errorf("%d rows of %d", len(s.Rows), s.Total)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 24<<20 {
		t.Errorf("%d MiB were allocated", n>>20)
	}
}
