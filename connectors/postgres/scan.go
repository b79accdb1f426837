package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/session"
)

// scan is an exported snapshot of a table, divided by the blocks of its heap. The
// session that exported the snapshot does nothing else: others can join the snapshot as
// long as its transaction is open.
type scan struct {
	source   *source
	table    driver.Table
	columns  []catalog.Mapped
	plan     *plan
	exporter *session.Session
	basis    basis
	unread   []driver.Range
	kept     []driver.Range
	parts    map[string]part   // by the token of a range
	largest  map[string]string // the largest value of a cursor, by its column

	spare chan *session.Session // sessions in the snapshot that no Read uses

	mu      sync.Mutex
	others  int    // how many connections there are besides the exporter's
	alone   bool   // no others can be had
	many    bool   // there are many leaves, of which small ones are joined
	joining int    // 1 + the index in unread of the range that small leaves join, 0 for none
	quiet   func() // ends the exporter's KeepAlive
	close   sync.Once
}

// maxSessions is the most sessions of a scan.
const maxSessions = 256

// part is what a Read of a range needs.
type part struct {
	leaf   *leaf
	lo, hi int64   // blocks
	open   bool    // it is the last, and open at its end
	more   []*leaf // leaves that are read whole after it
	bytes  int64   // of all leaves
}

// Small leaves of a table with many of them share a range, and so a file: leaves of less
// than smallLeaf are joined, up to joinedBytes and joinedLeaves. A joined range is always
// read again after a crash.
const (
	manyLeaves   = 16
	smallLeaf    = 4 << 20
	joinedBytes  = 64 << 20
	joinedLeaves = 500
)

// attempts is how often a table may be rewritten while a Scan begins before it fails.
const attempts = 3

// Scan divides a table, an inheritance tree or all partitions of one by ranges of
// blocks. It returns ErrUnsupported for what only Read can read: views, foreign tables,
// other table access methods, tables with row security, and accounts that may read only
// some columns.
func (s *source) Scan(ctx context.Context, t driver.Table, landed []driver.Range) (driver.Scan, error) {
	for n := 1; ; n++ {
		sc, err := s.scan(ctx, t, landed)
		if !errors.Is(err, session.ErrRewritten) || n == attempts {
			if err != nil {
				return nil, err
			}
			return sc, nil
		}
	}
}

func (s *source) scan(ctx context.Context, t driver.Table, landed []driver.Range) (*scan, error) {
	c, p, err := s.plan(ctx, t)
	if err != nil {
		return nil, err
	}
	sc := &scan{source: s, table: t, columns: p.columns, plan: p, exporter: c, parts: map[string]part{}, spare: make(chan *session.Session, maxSessions), quiet: func() {}}
	if err := sc.divide(ctx, landed); err != nil {
		sc.Close()
		return nil, err
	}
	if err := sc.findLargest(ctx); err != nil {
		sc.Close()
		return nil, err
	}
	if len(sc.unread) > 1 && s.Settings.MaxConnections != 1 {
		sc.quiet = sc.exporter.KeepAlive(s.Limits.Idle / 2)
	} else if !sc.alone {
		sc.goAlone() // one connection is enough
	}
	return sc, nil
}

// divide finds the leaves of the table, locks them, verifies what landed, and cuts the
// rest into ranges.
func (sc *scan) divide(ctx context.Context, landed []driver.Range) error {
	leaves, err := leavesOf(ctx, sc.exporter, sc.plan)
	if err != nil {
		return err
	}
	if sc.basis, err = exportScan(ctx, sc.exporter, sc.table, sc.columns, leaves); err != nil {
		return err
	}
	var blocks, size int64
	for _, l := range leaves {
		blocks += l.blocks
		size += l.bytes
	}
	rangeBytes := cmp.Or(sc.source.rangeBytes, driver.RangeSize(size))
	if sc.basis.history != "" && !sc.basis.durable && size > rangeBytes { // a single range is quickly read again
		sc.basis.durable = sc.settle(ctx) == nil
	}
	held, err := verify(ctx, sc.exporter, sc.basis, leaves, landed, half(ctx))
	if err != nil {
		return err
	}
	step := stepOf(blocks, size, rangeBytes)
	sc.many = len(leaves) > manyLeaves
	for _, l := range leaves {
		at := int64(0)
		for _, h := range held[l] {
			sc.kept = append(sc.kept, h.landed)
			sc.cut(l, at, h.lo, step)
			at = h.hi
		}
		sc.cut(l, at, l.blocks, step)
	}
	return nil
}

// half returns when half of the call's remaining time is over: a Scan that keeps only
// some ranges is better than one that fails again and again.
func half(ctx context.Context) time.Time {
	now := time.Now()
	if end, ok := ctx.Deadline(); ok {
		return now.Add(end.Sub(now) / 2)
	}
	return now.Add(longVerify)
}

// longVerify is how long verifying may take if the call has no limit.
const longVerify = time.Hour

// maxRanges is the most ranges of a table: beyond 1 TiB they get longer.
const maxRanges = 16_384

// stepOf returns how many blocks have about rangeBytes, with what they hold
// outside of the heap. Its limit keeps a table's ranges countable.
func stepOf(blocks, size, rangeBytes int64) int64 {
	if blocks == 0 {
		return 1
	}
	return max(1, rangeBytes/max(size/blocks, 1), (blocks+maxRanges-1)/maxRanges)
}

// cut adds the blocks from lo to hi to what is to be read, in even parts of at
// most step.
func (sc *scan) cut(l *leaf, lo, hi, step int64) {
	n := (hi - lo + step - 1) / step
	small := sc.many && n == 1 && lo == 0 && l.bytes < smallLeaf
	if small && sc.joins(l) {
		return
	}
	for i := range max(n, 0) {
		p := part{leaf: l, lo: lo + (hi-lo)*i/n, hi: lo + (hi-lo)*(i+1)/n, bytes: l.bytes}
		p.open = p.hi == l.blocks
		t := sc.basis.token(l, p.lo, p.hi)
		if small {
			t.history, sc.joining = "", len(sc.unread)+1
		}
		r := driver.Range{Token: t.String(), Rows: -1}
		if l.density >= 0 {
			r.Rows = int64(l.density * float64(p.hi-p.lo))
		}
		sc.unread = append(sc.unread, r)
		sc.parts[r.Token] = p
	}
}

// joins adds a whole leaf to the joined range before it, if there is one that
// takes it.
func (sc *scan) joins(l *leaf) bool {
	if sc.joining == 0 {
		return false
	}
	r := &sc.unread[sc.joining-1]
	p := sc.parts[r.Token]
	if p.bytes+l.bytes > joinedBytes || len(p.more)+1 >= joinedLeaves {
		return false
	}
	p.more, p.bytes = append(p.more, l), p.bytes+l.bytes
	sc.parts[r.Token] = p
	if l.density < 0 {
		r.Rows = -1
	} else if r.Rows >= 0 {
		r.Rows += int64(l.density * float64(l.blocks))
	}
	return true
}

// Unread returns the ranges that are still to be read, in the order of the heap.
func (sc *scan) Unread() []driver.Range { return sc.unread }

// Kept returns the landed ranges whose rows are the same in this snapshot.
func (sc *scan) Kept() []driver.Range { return sc.kept }

// Read yields the rows of a range. Several Reads may run at the same time.
func (sc *scan) Read(ctx context.Context, r driver.Range) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		more := true
		give := func(b driver.Batch) bool {
			more = yield(b, nil)
			return more
		}
		if err := sc.read(ctx, r, give); err != nil && more {
			yield(driver.Batch{}, err)
		}
	}
}

func (sc *scan) read(ctx context.Context, r driver.Range, give func(driver.Batch) bool) error {
	p, ok := sc.parts[r.Token]
	if !ok {
		return driver.E(driver.ErrNotFound, nil, "table %s: this range is none of the unread ones of this scan", sc.table)
	}
	c, err := sc.join(ctx)
	if err != nil {
		return err
	}
	d := sc.source.decoder(sc.plan, "")
	d.Within = fmt.Sprintf(" of those in blocks %d to %d of %s.%s", p.lo, p.hi-1, p.leaf.namespace, p.leaf.name)
	columns := list(sc.table, sc.columns)
	query := "SELECT " + columns + " FROM " + p.leaf.only() + " WHERE " + within(p.lo, p.hi, p.open)
	for _, l := range p.more {
		query += " UNION ALL SELECT " + columns + " FROM " + l.only()
	}
	if len(p.more) > 0 {
		d.Within = fmt.Sprintf(" of those in %d partitions from %s.%s on", len(p.more)+1, p.leaf.namespace, p.leaf.name)
	}
	if err := stream(ctx, c, d, sc.plan.server.BeforeRows(sc.plan.row.RelKind)+"COPY ("+query+") TO STDOUT (FORMAT binary)", give); err != nil || c.PG.IsClosed() {
		c.Close() // the transaction has failed
		if c != sc.exporter {
			sc.fewer(false)
		}
		return err
	}
	sc.spare <- c
	return nil
}

// within returns the condition for rows in blocks. Since PostgreSQL 14 the server reads
// only those blocks for it.
func within(lo, hi int64, open bool) string {
	if open {
		return fmt.Sprintf("ctid OPERATOR(pg_catalog.>=) '(%d,0)'", lo)
	}
	return fmt.Sprintf("ctid OPERATOR(pg_catalog.>=) '(%d,0)' AND ctid OPERATOR(pg_catalog.<) '(%d,0)'", lo, hi)
}

// Start returns where an incremental read begins after this Scan: at the largest value,
// moved back to before the rows that open transactions may still commit and over the
// hour that local time goes back.
func (sc *scan) Start(column string) driver.Cursor {
	return sc.plan.start(column, sc.largest[column])
}

// findLargest finds the largest value of the default cursor if Start needs it. Only for
// small tables, because it reads them again.
func (sc *scan) findLargest(ctx context.Context) error {
	p := sc.plan
	at, ok := p.table.Column(p.table.Cursor)
	if !ok || at.Type.Kind != driver.Timestamp || !p.ceiled(at.Type) || p.moment.Size > lookAlways {
		return nil
	}
	return sc.exporter.Run(ctx, fmt.Sprintf("SELECT to_char(max(%s), 'YYYY-MM-DD\"T\"HH24:MI:SS.US') FROM %s", session.Quote(at.Name), p.source()), func(_ int, row [][]byte) error {
		if text := string(row[0]); binarycopy.Comparable(at.Type, text) {
			sc.largest = map[string]string{at.Name: text}
		}
		return nil
	})
}

// Notes says what the place of Start cannot know. It says nothing of moments: what a
// Scan keeps and what it reads are of its own snapshot, however often it was begun
// again.
func (sc *scan) Notes() []string {
	if note := sc.plan.unseen(sc.table.Cursor); note != "" {
		return []string{note}
	}
	return nil
}

// Close ends all sessions but one, which the pool keeps. It is safe to call twice.
func (sc *scan) Close() error {
	sc.close.Do(func() {
		sc.quiet()
		for len(sc.spare) > 0 {
			if c := <-sc.spare; c != sc.exporter {
				c.Close()
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), session.CloseLimit) // closing outlives the call
		defer cancel()
		sc.source.Keep(ctx, sc.exporter)
	})
	return nil
}

// list returns the columns to select.
func list(t driver.Table, columns []catalog.Mapped) string {
	names := make([]string, len(columns))
	for i, c := range t.Columns {
		names[i] = session.Quote(c.Name)
		if columns[i].Cast != "" {
			names[i] = fmt.Sprintf(columns[i].Cast, names[i])
		}
	}
	return strings.Join(names, ", ")
}
