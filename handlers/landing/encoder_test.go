package landing

import (
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	iceio "github.com/apache/iceberg-go/io"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/landing/storage"
)

// trippingDisk panics, with something of a row, when a part is written.
type trippingDisk struct {
	storage.Disk
	open atomic.Int64
}

type trippingFile struct {
	iceio.FileWriter
	on *trippingDisk
}

func (d *trippingDisk) Create(name string) (iceio.FileWriter, error) {
	w, err := d.Disk.Create(name)
	if err != nil || path.Ext(name) != ".parquet" {
		return w, err
	}
	d.open.Add(1)
	return &trippingFile{w, d}, nil
}

func (f *trippingFile) Write([]byte) (int, error) { panic("a row of ada's") }

func (f *trippingFile) Close() error {
	f.on.open.Add(-1)
	return f.FileWriter.Close()
}

// A panic below the encoder ends its table: the file is let go of, every batch
// that was handed over is released, and the error holds nothing of the rows.
func TestPanicEndsTheEncoder(t *testing.T) {
	l := openLake(t, kvtest.New())
	d := &trippingDisk{}
	l.files, l.catalog.Files = d, d
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	w := begin(t, l, full(1, "syn_1"))
	var err error
	for id := int64(0); id < 20 && err == nil; id++ {
		b := array.NewRecordBuilder(mem, driver.ArrowSchema(orders()))
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.StringBuilder).Append("x")
		rec := b.NewRecordBatch()
		b.Release()
		err = w.Write(t.Context(), rec)
		rec.Release()
	}
	if err == nil {
		_, err = w.Commit(t.Context(), nil, true)
	}
	if err == nil || !strings.Contains(err.Error(), "panicked") || strings.Contains(err.Error(), "ada") {
		t.Errorf("the error is %v", err)
	}
	if err := w.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	mem.AssertSize(t, 0)
	if n := d.open.Load(); n != 0 {
		t.Errorf("%d files are still open", n)
	}
}
