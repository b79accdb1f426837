package parts

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/klauspost/compress/zstd"
)

// wideSchema is a table of an order's lines: 16 columns of every common type.
func wideSchema() *arrow.Schema {
	money := &arrow.Decimal128Type{Precision: 15, Scale: 2}
	utc := &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	return arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "order_id", Type: arrow.PrimitiveTypes.Int64},
		{Name: "line_no", Type: arrow.PrimitiveTypes.Int32},
		{Name: "quantity", Type: money}, {Name: "price", Type: money}, {Name: "discount", Type: money, Nullable: true},
		{Name: "ship_date", Type: arrow.FixedWidthTypes.Date32}, {Name: "receipt_date", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
		{Name: "updated_at", Type: utc},
		{Name: "return_flag", Type: arrow.BinaryTypes.String}, {Name: "ship_mode", Type: arrow.BinaryTypes.String},
		{Name: "ship_instruct", Type: arrow.BinaryTypes.String},
		{Name: "comment", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "attrs", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "active", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}, {Name: "row_uuid", Type: extensions.NewUUIDType()},
	}, nil)
}

const prose = `carefully final deposits nag quickly; slyly regular accounts haggle above the furiously "even", ironic requests. blithely bold ideas sleep among the pending packages, quietly express theodolites détente`

func wideBatch(r *rand.Rand, from, rows int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, wideSchema())
	defer b.Release()
	text := func(i int, s ...string) { b.Field(i).(*array.StringBuilder).Append(s[r.IntN(len(s))]) }
	for i := from; i < from+rows; i++ {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.Int64Builder).Append(int64(i/4 + 1))
		b.Field(2).(*array.Int32Builder).Append(int32(i%7 + 1))
		b.Field(3).(*array.Decimal128Builder).Append(decimal128.FromI64(int64(1+r.IntN(50)) * 100))
		b.Field(4).(*array.Decimal128Builder).Append(decimal128.FromI64(int64(90_000 + r.IntN(10_000_000))))
		if r.IntN(10) == 0 {
			b.Field(5).AppendNull()
		} else {
			b.Field(5).(*array.Decimal128Builder).Append(decimal128.FromI64(int64(r.IntN(11))))
		}
		b.Field(6).(*array.Date32Builder).Append(arrow.Date32(8035 + r.IntN(2500)))
		if r.IntN(10) == 0 {
			b.Field(7).AppendNull()
		} else {
			b.Field(7).(*array.Date32Builder).Append(arrow.Date32(8049 + r.IntN(2500)))
		}
		b.Field(8).(*array.TimestampBuilder).Append(arrow.Timestamp(1_704_067_200_000_000 + int64(i)*1_234_567))
		text(9, "R", "A", "N")
		text(10, "REG AIR   ", "AIR       ", "RAIL      ", "SHIP      ", "TRUCK     ", "MAIL      ", "FOB       ")
		text(11, "DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN")
		if r.IntN(20) == 0 {
			b.Field(12).AppendNull()
		} else {
			at := r.IntN(100)
			text(12, prose[at:at+10+r.IntN(60)])
		}
		if r.IntN(5) == 0 {
			b.Field(13).AppendNull()
		} else {
			text(13, fmt.Sprintf(`{"k": %d, "src": "web-%d", "tag": "%s"}`, r.IntN(1000), i%100, []string{"new", "vip", "old", "gold"}[r.IntN(4)]))
		}
		if r.IntN(10) == 0 {
			b.Field(14).AppendNull()
		} else {
			b.Field(14).(*array.BooleanBuilder).Append(r.IntN(2) == 0)
		}
		var id [16]byte
		for j := range id {
			id[j] = byte(r.Uint32())
		}
		b.Field(15).(*extensions.UUIDBuilder).Append(id)
	}
	return b.NewRecordBatch()
}

func accountsSchema() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		{Name: "aid", Type: arrow.PrimitiveTypes.Int32}, {Name: "bid", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "abalance", Type: arrow.PrimitiveTypes.Int32, Nullable: true}, {Name: "filler", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
}

func accountsBatch(_ *rand.Rand, from, rows int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, accountsSchema())
	defer b.Release()
	for i := from; i < from+rows; i++ {
		b.Field(0).(*array.Int32Builder).Append(int32(i + 1))
		b.Field(1).(*array.Int32Builder).Append(int32(i/100_000 + 1))
		b.Field(2).(*array.Int32Builder).Append(0)
		b.Field(3).(*array.StringBuilder).Append(fmt.Sprintf("%84s", ""))
	}
	return b.NewRecordBatch()
}

type discard struct{ n int64 }

func (d *discard) Create(string) (io.WriteCloser, error) { return d, nil }
func (d *discard) Write(p []byte) (int, error)           { d.n += int64(len(p)); return len(p), nil }
func (d *discard) Close() error                          { return nil }

// cpu is the processor time this process has taken.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The encoder beside arrow-go's writer, set as we would set it, and beside zstd
// alone over the values as they lie in memory. cpu-s/2M is seconds of processor
// time for two million rows.
func BenchmarkEncode(b *testing.B) {
	const rows, size = 1 << 18, 1 << 14
	for _, table := range []struct {
		name   string
		schema *arrow.Schema
		batch  func(*rand.Rand, int, int) arrow.RecordBatch
	}{{"wide", wideSchema(), wideBatch}, {"accounts", accountsSchema(), accountsBatch}} {
		r := rand.New(rand.NewPCG(1, 2))
		var batches []arrow.RecordBatch
		for from := 0; from < rows; from += size {
			batches = append(batches, table.batch(r, from, size))
		}
		run := func(name string, encode func() int64) {
			b.Run(table.name+"/"+name, func(b *testing.B) {
				var written int64
				before := cpu()
				for b.Loop() {
					written = encode()
				}
				per := 2e6 / float64(rows) / float64(b.N)
				b.ReportMetric((cpu()-before).Seconds()*per, "cpu-s/2M")
				b.ReportMetric(float64(written)*2e6/rows/1e6, "MB/2M")
			})
		}
		run("parts", func() int64 {
			var d discard
			e := Start(Config{Files: &d, Layout: Layout{table.schema}, Name: func() string { return "x" }, Log: slog.Default()})
			for _, rec := range batches {
				rec.Retain()
				e.Put(b.Context(), rec)
			}
			if _, err := e.Finish(); err != nil {
				b.Fatal(err)
			}
			return d.n
		})
		run("pqarrow", func() int64 {
			var d discard
			opts := []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1),
				parquet.WithDictionaryDefault(false), parquet.WithStoreDecimalAsInteger(true)}
			for i, c := range batches[0].Columns() {
				if repeats(c) {
					opts = append(opts, parquet.WithDictionaryFor(table.schema.Field(i).Name, true))
				}
			}
			w, err := pqarrow.NewFileWriter(table.schema, &d, parquet.NewWriterProperties(opts...), pqarrow.DefaultWriterProps())
			if err != nil {
				b.Fatal(err)
			}
			for _, rec := range batches {
				for from := int64(0); from < size; from += 8192 {
					piece := rec.NewSlice(from, from+8192)
					if err := w.WriteBuffered(piece); err != nil {
						b.Fatal(err)
					}
					piece.Release()
				}
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			return d.n
		})
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
		if err != nil {
			b.Fatal(err)
		}
		run("zstd", func() int64 {
			var n int64
			var out []byte
			for _, rec := range batches {
				for _, c := range rec.Columns() {
					if e, ok := c.(array.ExtensionArray); ok {
						c = e.Storage()
					}
					buffers := c.Data().Buffers()
					out = z.EncodeAll(buffers[len(buffers)-1].Bytes(), out[:0])
					n += int64(len(out))
				}
			}
			return n
		})
	}
}
