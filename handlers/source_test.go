package handlers

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
)

type driverCursor = driver.Cursor

// fakeSource is a driver whose one source holds tables in memory. Its hooks may
// be set while no command runs; nil ones let everything pass.
type fakeSource struct {
	memory *memory.CheckedAllocator

	mu     sync.Mutex
	tables []driver.Table
	rows   map[string]int64 // ids from 0 up to it
	opened int
	reads  map[string]int64 // rows sent
	unread []driver.UnreadTable
	living map[string]*living

	onOpen     func(password string) error
	onDiscover func(ctx context.Context) error
	// onBatch comes before each batch of a read; batch counts from 0.
	onBatch func(ctx context.Context, table string, batch int) error
}

type fakeSettings struct {
	Host     string `json:"host" public:"true"`
	Password string `json:"password"`
}

func newFakeSource() *fakeSource {
	f := &fakeSource{memory: memory.NewCheckedAllocator(memory.NewGoAllocator()), rows: map[string]int64{}, reads: map[string]int64{}}
	f.put("orders", 100)
	return f
}

func column(name string, kind driver.Kind) driver.Column {
	return driver.Column{Name: name, Type: driver.Of(kind), SourceType: "x", Nullable: kind != driver.Int64}
}

// put adds a table of rows rows, or changes how many it has.
func (f *fakeSource) put(name string, rows int64, more ...driver.Column) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.rows[name]; !known || len(more) > 0 {
		f.dropLocked(name)
		f.tables = append(f.tables, driver.Table{
			Namespace: "public", Name: name, Kind: "table", RowEstimate: rows, PrimaryKey: []string{"id"}, Cursor: "id",
			Columns: append([]driver.Column{column("id", driver.Int64), column("note", driver.String)}, more...),
		})
	}
	f.rows[name] = rows
}

func (f *fakeSource) dropLocked(name string) {
	for i, t := range f.tables {
		if t.Name == name {
			f.tables = append(f.tables[:i:i], f.tables[i+1:]...)
			return
		}
	}
}

func (f *fakeSource) sent(table string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads[table]
}

func (f *fakeSource) Spec() driver.Spec {
	return driver.Spec{Name: "fake", Aliases: []string{"other"}, Class: "database", Title: "Fake", Settings: &fakeSettings{}}
}

func (f *fakeSource) Open(_ context.Context, cfg driver.Config) (driver.Source, error) {
	var s fakeSettings
	if err := driver.Decode(cfg.Settings, &s); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.opened++
	hook := f.onOpen
	f.mu.Unlock()
	if hook != nil {
		if err := hook(s.Password); err != nil {
			return nil, err
		}
	}
	return &fakeConn{f, cfg.Limits}, nil
}

// errEnd from onBatch ends the rows without an error.
var errEnd = errors.New("no more rows")

type fakeConn struct {
	*fakeSource
	limits driver.Limits
}

func (c *fakeConn) Check(context.Context) error { return nil }
func (c *fakeConn) Close() error                { return nil }

func (c *fakeConn) Discover(ctx context.Context) ([]driver.Table, error) {
	if c.onDiscover != nil {
		if err := c.onDiscover(ctx); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	tables := append([]driver.Table{}, c.tables...)
	for name, l := range c.living {
		tables = append(tables, l.table(name))
	}
	if len(c.unread) > 0 {
		return tables, &driver.UnreadTables{Tables: c.unread}
	}
	return tables, nil
}

func (c *fakeConn) Read(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		c.mu.Lock()
		if l := c.living[t.Name]; l != nil {
			c.mu.Unlock()
			c.readLiving(ctx, l, t, from)(yield)
			return
		}
		end, known := c.rows[t.Name]
		hook := c.onBatch
		c.mu.Unlock()
		if !known {
			yield(driver.Batch{}, driver.E(driver.ErrNotFound, nil, "table %s is gone", t))
			return
		}
		next := int64(0)
		if from.Value != nil {
			n, err := strconv.ParseInt(*from.Value, 10, 64)
			if err != nil {
				yield(driver.Batch{}, driver.E(driver.ErrInvalidConfig, err, "cursor"))
				return
			}
			next = n + 1
		}
		for batch := 0; next < end; batch++ {
			if hook != nil {
				err := hook(ctx, t.Name, batch)
				if errors.Is(err, errEnd) {
					return
				}
				if err != nil {
					yield(driver.Batch{}, err)
					return
				}
			}
			if ctx.Err() != nil {
				yield(driver.Batch{}, ctx.Err())
				return
			}
			to := min(end, next+int64(c.limits.BatchRows))
			b := c.batch(t, from.Column, next, to)
			c.mu.Lock()
			c.reads[t.Name] += to - next
			c.mu.Unlock()
			next = to
			if !yield(b, nil) {
				return
			}
		}
	}
}

func noise() string {
	b := make([]byte, 1000)
	for i := range b {
		b[i] = byte(' ' + rand.IntN(95))
	}
	return string(b)
}

func (c *fakeConn) batch(t driver.Table, cursor string, from, to int64) driver.Batch {
	builder := array.NewRecordBuilder(c.memory, driver.ArrowSchema(t))
	defer builder.Release()
	for id := from; id < to; id++ {
		for i := range t.Columns {
			switch f := builder.Field(i).(type) {
			case *array.Int64Builder:
				f.Append(id)
			case *array.StringBuilder:
				if t.Columns[i].Name == "noise" { // that nothing makes smaller
					f.Append(noise())
					continue
				}
				f.Append(fmt.Sprintf("row %d", id))
			default:
				f.AppendNull()
			}
		}
	}
	b := driver.Batch{Record: builder.NewRecordBatch(), Bytes: 10 * (to - from)}
	if cursor != "" {
		last := strconv.FormatInt(to-1, 10)
		b.Resume = &driver.Cursor{Column: cursor, Value: &last}
	}
	return b
}
