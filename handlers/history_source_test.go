package handlers

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/driver"
)

// version is one row of a living table. A nil at is NULL.
type version struct {
	id   int64
	at   *time.Time
	note string
}

func (v version) String() string {
	at := "-"
	if v.at != nil {
		at = v.at.UTC().Format("2006-01-02T15:04:05Z")
	}
	return fmt.Sprintf("%d|%s|%s", v.id, at, v.note)
}

// living is a table of the fake source whose rows change between reads and
// while it is read: a column of whole seconds to go by, which may be NULL, and
// reads as the contract of a Source says. It can be read in ranges, each of a
// moment of its own.
type living struct {
	mu                  sync.Mutex
	clock               time.Time
	identity            string
	columns             map[string]string // identities of columns
	rows                []version
	keyless             bool
	exclusive, noRanges bool
	noMoments           bool
	position            string // given with each place to resume, and wanted back
	gotten              []driver.Cursor
	// between is called before each range of a Scan, and each batch of a Read.
	between func()
	fails   func(from driver.Cursor) error // of a Read or Scan before it begins
}

func (l *living) table(name string) driver.Table {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := driver.Table{Namespace: "public", Name: name, Kind: "table", RowEstimate: -1, Cursor: "at", Identity: l.identity, Columns: []driver.Column{
		{Name: "id", Type: driver.Of(driver.Int64), SourceType: "bigint"},
		{Name: "at", Type: driver.Of(driver.TimestampTZ), SourceType: "timestamptz(0)", Nullable: true, Grain: time.Second},
		{Name: "note", Type: driver.Of(driver.String), SourceType: "text", Nullable: true},
	}}
	if !l.keyless {
		t.PrimaryKey = []string{"id"}
	}
	for i := range t.Columns {
		t.Columns[i].Identity = l.columns[t.Columns[i].Name]
	}
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range l.columns {
			if _, known := t.Column(name); !known && !yield(name) {
				return
			}
		}
	}) {
		t.Columns = append(t.Columns, driver.Column{Name: name, Type: driver.Of(driver.String), SourceType: "text", Nullable: true, Identity: l.columns[name]})
	}
	return t
}

// change lets a test change the rows.
func (l *living) change(do func(rows *[]version)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do(&l.rows)
}

func (l *living) strings() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]string, len(l.rows))
	for i, v := range l.rows {
		all[i] = v.String()
	}
	slices.Sort(all)
	return all
}

// newest returns the largest cursor there ever was that is not beyond now, the
// beginning of time where there was none.
func (l *living) newest() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range l.rows {
		if v.at != nil && v.at.After(l.clock) && v.at.Before(time.Now()) {
			l.clock = *v.at
		}
	}
	return l.clock
}

// shown returns the rows that a read from a cursor yields, in its order.
func (l *living) shown(from driver.Cursor) (rows []version) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var value time.Time
	if from.Value != nil {
		value, _ = time.Parse(time.RFC3339Nano, *from.Value)
	}
	for _, v := range l.rows {
		switch {
		case v.at == nil && (from.Value == nil || from.Nulls),
			v.at != nil && (from.Value == nil || v.at.After(value) || from.Inclusive && !l.exclusive && v.at.Equal(value)):
			rows = append(rows, v)
		}
	}
	if from.Column != "" {
		slices.SortStableFunc(rows, func(a, b version) int {
			switch {
			case a.at == nil || b.at == nil:
				return cmp.Compare(boolInt(a.at != nil), boolInt(b.at != nil))
			}
			return a.at.Compare(*b.at)
		})
	}
	return rows
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (c *fakeConn) readLiving(ctx context.Context, l *living, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		l.mu.Lock()
		l.gotten = append(l.gotten, from)
		fails, position := l.fails, l.position
		l.mu.Unlock()
		if fails != nil {
			if err := fails(from); err != nil {
				yield(driver.Batch{}, err)
				return
			}
		}
		rows := l.shown(from)
		for len(rows) > 0 {
			if ctx.Err() != nil {
				yield(driver.Batch{}, ctx.Err())
				return
			}
			n := min(len(rows), c.limits.BatchRows)
			b := driver.Batch{Record: c.versions(t, rows[:n]), Bytes: int64(10 * n)}
			last := rows[n-1].at
			if from.Column != "" && last != nil && (n == len(rows) || !last.Equal(*rows[n].at)) {
				value := last.UTC().Format("2006-01-02T15:04:05.000000Z")
				b.Resume = &driver.Cursor{Column: from.Column, Value: &value}
				if position != "" {
					b.Resume.Position = json.RawMessage(strconv.Quote(position))
				}
			}
			if rows = rows[n:]; len(rows) == 0 && from.Column != "" && b.Resume == nil && from.Value != nil {
				b.Resume = &from // rows without a cursor alone
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (c *fakeConn) versions(t driver.Table, rows []version) arrow.RecordBatch {
	builder := array.NewRecordBuilder(c.memory, driver.ArrowSchema(t))
	defer builder.Release()
	for _, v := range rows {
		for i, column := range t.Columns {
			switch f := builder.Field(i).(type) {
			case *array.Int64Builder:
				f.Append(v.id)
			case *array.TimestampBuilder:
				if v.at == nil {
					f.AppendNull()
					continue
				}
				f.Append(arrow.Timestamp(v.at.UnixMicro()))
			case *array.StringBuilder:
				if column.Name == "note" {
					f.Append(v.note)
				} else {
					f.Append(column.Name + " of " + v.note)
				}
			}
		}
	}
	return builder.NewRecordBatch()
}

// Scan divides living tables by their ids, and no others.
func (c *fakeConn) Scan(_ context.Context, t driver.Table, landed []driver.Range) (driver.Scan, error) {
	c.mu.Lock()
	l := c.living[t.Name]
	c.mu.Unlock()
	if l == nil || l.noRanges {
		return nil, driver.E(driver.ErrUnsupported, nil, "read by Read")
	}
	if l.fails != nil {
		if err := l.fails(driver.Cursor{}); err != nil {
			return nil, err
		}
	}
	s := &livingScan{conn: c, living: l, table: t, kept: landed, start: l.newest()}
	for i := range 4 {
		token := strconv.Itoa(i)
		if !slices.ContainsFunc(landed, func(r driver.Range) bool { return r.Token == token }) {
			s.unread = append(s.unread, driver.Range{Token: token, Rows: -1})
		}
	}
	if l.noMoments {
		return s, nil
	}
	return livingMoments{s}, nil
}

// livingScan is a load whose ranges are of different moments.
type livingScan struct {
	conn         *fakeConn
	living       *living
	table        driver.Table
	unread, kept []driver.Range
	start        time.Time
}

func (s *livingScan) Unread() []driver.Range { return s.unread }
func (s *livingScan) Kept() []driver.Range   { return s.kept }
func (s *livingScan) Close() error           { return nil }

func (s *livingScan) Read(_ context.Context, r driver.Range) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		if s.living.between != nil {
			s.living.between()
		}
		rows := s.living.shown(driver.Cursor{})
		rows = slices.DeleteFunc(rows, func(v version) bool { return strconv.FormatInt(v.id%4, 10) != r.Token })
		for len(rows) > 0 {
			n := min(len(rows), s.conn.limits.BatchRows)
			if !yield(driver.Batch{Record: s.conn.versions(s.table, rows[:n]), Bytes: int64(10 * n)}, nil) {
				return
			}
			rows = rows[n:]
		}
	}
}

type livingMoments struct{ *livingScan }

func (m livingMoments) Start(column string) driver.Cursor {
	c := driver.Cursor{Column: column}
	if !m.start.IsZero() {
		value := m.start.UTC().Format("2006-01-02T15:04:05.000000Z")
		c.Value = &value
	}
	if p := m.living.position; p != "" {
		c.Position = json.RawMessage(strconv.Quote(p))
	}
	return c
}

func (m livingMoments) Notes() []string { return []string{"its ranges are of several moments"} }
