package collapse

import (
	"io"
	"log/slog"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
	"headwater/handlers/landing/parts"
)

// nowhere takes parts and keeps nothing.
type nowhere struct{ made int }

func (n *nowhere) NextName() string {
	n.made++
	return strconv.Itoa(n.made)
}

func (*nowhere) Create(string) (io.WriteCloser, error) { return discard{io.Discard}, nil }

type discard struct{ io.Writer }

func (discard) Close() error { return nil }

func accounts() driver.Table {
	return driver.Table{Name: "accounts", PrimaryKey: []string{"id"}, Columns: []driver.Column{
		{Name: "id", Type: driver.Of(driver.Int64)}, {Name: "name", Type: driver.Of(driver.String), Nullable: true},
		{Name: "balance", Type: driver.DecimalOf(12, 2)}, {Name: "changed", Type: driver.Of(driver.TimestampTZ)}, {Name: "note", Type: driver.Of(driver.String), Nullable: true},
	}}
}

// history is n changes in batches: two inserts, then an update of an earlier row.
func history(n, batch int) (made []driver.Changes) {
	next, seed := int64(0), uint64(1)
	for n > 0 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(accounts()))
		c := driver.Changes{}
		for row := range min(n, batch) {
			id, op := next, driver.OpInsert
			if row%3 == 2 {
				seed = seed*6364136223846793005 + 1442695040888963407
				id, op = int64(seed>>33)%next, driver.OpUpdate
			} else {
				next++
			}
			b.Field(0).(*array.Int64Builder).Append(id)
			b.Field(1).(*array.StringBuilder).Append("account number " + strconv.FormatInt(id, 10))
			b.Field(2).(*array.Decimal128Builder).Append(decimal128.FromI64(id * 7919))
			b.Field(3).(*array.TimestampBuilder).Append(arrow.Timestamp(1.7e15 + float64(id)*1e3))
			b.Field(4).(*array.StringBuilder).Append("some words that say nothing of " + strconv.FormatInt(id%1000, 10))
			c.Ops = append(c.Ops, op)
		}
		n -= batch
		c.Record = b.NewRecordBatch()
		c.Ends = []driver.End{{Rows: len(c.Ops)}}
		made = append(made, c)
		b.Release()
	}
	return made
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCollapse is what a child spends on changes behind the decoding of the
// log: to find the last one of each key, and to encode what is left.
func BenchmarkCollapse(b *testing.B) {
	const changes = 1_000_000
	for name, log := range map[string]bool{"merge": false, "log": true} {
		b.Run(name, func(b *testing.B) {
			columns := accounts()
			if log {
				columns.Columns = append(columns.Columns, parts.LogColumns...)
			}
			all := history(changes, 4096)
			b.ResetTimer()
			began := cpu()
			for range b.N {
				t, err := New(Config{Table: accounts(), Layout: parts.Layout{Schema: driver.ArrowSchema(columns)}, Key: []string{"id"}, Log: log, Files: &nowhere{}, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					b.Fatal(err)
				}
				for _, c := range all {
					c.Record.Retain()
					if err := t.Take(c); err != nil {
						b.Fatal(err)
					}
					if t.Held() > 64<<20 {
						if _, err := t.Seal().Encode(b.Context()); err != nil {
							b.Fatal(err)
						}
					}
				}
				if _, err := t.Seal().Encode(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(changes)*float64(b.N)/(cpu()-began).Seconds(), "changes/cpu-s")
		})
	}
}
