package mysql

import (
	"context"
	"iter"
	"sync"

	"headwater/connectors/driver"
)

// together is how many sessions take their snapshot at one moment: as many
// ranges can be read at once from it.
const together = 2

// scan is a table divided by its primary key.
type scan struct {
	source       *source
	table        driver.Table
	key          *key
	query        string // for all rows
	computed     bool   // some values are of the source's own expressions
	unread, kept []driver.Range

	mu     sync.Mutex
	free   []*session // each in its snapshot; the last is taken first
	closed bool
}

// Scan divides an InnoDB table by its primary key. InnoDB cannot hand a snapshot
// from one session to another: see DESIGN.md for what is of one moment.
func (s *source) Scan(ctx context.Context, t driver.Table, landed []driver.Range) (driver.Scan, error) {
	c, err := s.transaction(ctx)
	if err != nil {
		return nil, err
	}
	sc, err := s.divided(ctx, c, t, landed)
	if err != nil {
		s.keep(c)
		return nil, err
	}
	sc.free = []*session{c}
	if len(sc.unread) > 1 {
		if err := sc.align(ctx); err != nil {
			sc.Close()
			return nil, err
		}
	}
	return sc, nil
}

// divided makes the ranges.
func (s *source) divided(ctx context.Context, c *session, t driver.Table, landed []driver.Range) (*scan, error) {
	d, columns, err := s.plan(ctx, c, t)
	if err != nil {
		return nil, err
	}
	k, err := newKey(d)
	if err != nil {
		return nil, err
	}
	query, err := selection(t, columns, driver.Cursor{})
	if err != nil {
		return nil, err
	}
	sc := &scan{source: s, table: t, key: k, query: query, computed: d.computed}
	gaps, kept, err := k.remainder(ctx, c, t, landed)
	if err != nil {
		return nil, err
	}
	sc.kept = kept
	left := max(d.RowEstimate, 0)
	for _, r := range kept {
		left = max(left-r.Rows, 0)
	}
	v := newDivider(c, k, d, s.rangeSize)
	for _, gap := range gaps {
		ranges, err := v.divide(ctx, gap, left)
		if err != nil {
			return nil, err
		}
		if len(ranges) == 1 && len(gaps) > 1 {
			ranges[0].Rows = -1 // left is of all the gaps
		}
		sc.unread = append(sc.unread, ranges...)
	}
	return sc, nil
}

// align starts the snapshots of several sessions as close together as a network
// allows: every statement is sent before the first answer is awaited.
func (sc *scan) align(ctx context.Context) error {
	for len(sc.free) < together {
		c, err := sc.source.connect(ctx, nil)
		if err != nil {
			return err
		}
		sc.free = append(sc.free, c)
	}
	for _, c := range sc.free {
		defer c.watch(ctx)()
		if err := c.send(begin); err != nil {
			return c.explain(ctx, err, "")
		}
	}
	for _, c := range sc.free {
		if _, err := c.head(); err != nil {
			return c.explain(ctx, err, "")
		}
	}
	for _, c := range sc.free {
		if err := sc.check(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// check makes sure that a session's snapshot is of the table that was divided.
func (sc *scan) check(ctx context.Context, c *session) error {
	d, _, err := sc.source.plan(ctx, c, sc.table)
	if err != nil {
		return err
	}
	if k, err := newKey(d); err != nil || k.sign != sc.key.sign {
		return driver.E(driver.ErrBadData, nil, "table %s was changed while it was read: read it again", sc.table)
	}
	return nil
}

func (sc *scan) Unread() []driver.Range { return sc.unread }
func (sc *scan) Kept() []driver.Range   { return sc.kept }

// Read yields the rows of a range in the order of the key. With one Read at a
// time, all are of one session and so of one moment.
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
	v, ok := sc.key.parse(r.Token)
	if !ok {
		return driver.E(driver.ErrInvalidConfig, nil, "table %s: this range is of another table or of another division", sc.table)
	}
	if ctx.Err() != nil { // a small range might be read before anybody notices
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "table %s: stopped", sc.table)
	}
	c, err := sc.take(ctx)
	if err != nil {
		return err
	}
	query := sc.query
	if where := sc.key.where(v); where != "" {
		query += " FORCE INDEX (PRIMARY) WHERE " + where
	}
	if err := sc.source.rows(ctx, c, reading{table: sc.table, computed: sc.computed, query: query}, give); err != nil {
		c.close()
		return err
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.closed {
		c.close()
	} else {
		sc.free = append(sc.free, c)
	}
	return nil
}

// take returns a session in its snapshot, a later one when all are in use.
func (sc *scan) take(ctx context.Context) (*session, error) {
	sc.mu.Lock()
	if sc.closed {
		sc.mu.Unlock()
		return nil, driver.E(driver.ErrUnreachable, nil, "table %s: the scan is closed", sc.table)
	}
	if n := len(sc.free); n > 0 {
		c := sc.free[n-1]
		sc.free = sc.free[:n-1]
		sc.mu.Unlock()
		return c, nil
	}
	sc.mu.Unlock()
	c, err := sc.source.connect(ctx, nil)
	if err != nil {
		return nil, err
	}
	if err := c.exec(ctx, begin); err != nil {
		c.close()
		return nil, err
	}
	if err := sc.check(ctx, c); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// Close ends the snapshots.
func (sc *scan) Close() error {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.closed = true
	for _, c := range sc.free {
		sc.source.keep(c)
	}
	sc.free = nil
	return nil
}
