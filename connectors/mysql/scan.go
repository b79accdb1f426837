package mysql

import (
	"context"
	"iter"
	"sync"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
)

// scan is a table divided by its primary key. All its rows are of one moment: they are
// read in one session, or in several whose snapshots show the same rows.
type scan struct {
	source       *source
	table        driver.Table
	key          *key
	query        string // selects all rows
	computed     bool   // some values are expressions of the source
	unread, kept []driver.Range
	witness      witness

	stop func() // ends the goroutine that keeps the sessions alive
	tend sync.WaitGroup

	mu       sync.Mutex
	free     []*session.Session // each in its snapshot; the last one is taken first
	lent     int                // sessions that Reads have now
	whole    int                // ranges that were read to the end
	closed   bool
	returned chan struct{} // closed and replaced whenever a session comes back
}

// Scan divides an InnoDB table by its primary key, and returns ErrUnsupported for other
// tables. InnoDB cannot hand a snapshot from one session to another: DESIGN.md says how
// several come to show the same rows.
func (s *source) Scan(ctx context.Context, t driver.Table, landed []driver.Range) (driver.Scan, error) {
	begun := time.Now()
	sc := &scan{source: s, table: t, returned: make(chan struct{}), stop: func() {}}
	c, err := s.Transaction(ctx, func(c *session.Session) (err error) {
		sc.witness, err = s.look(ctx, c, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	sc.free = []*session.Session{c}
	if err = sc.divide(ctx, c, begun, landed); err == nil && len(sc.unread) > 1 && s.sessions() > 1 {
		err = sc.join(ctx, landed)
	}
	if err != nil {
		sc.Close()
		return nil, err
	}
	sc.keepAlive()
	return sc, nil
}

// divide makes the ranges from the table as the session's snapshot shows it.
func (sc *scan) divide(ctx context.Context, c *session.Session, begun time.Time, landed []driver.Range) error {
	s, t := sc.source, sc.table
	d, columns, err := s.plan(ctx, c, t)
	if err != nil {
		return err
	}
	k, err := newKey(d, c.Server)
	if err != nil {
		return err
	}
	now, err := c.Moment(ctx, begun)
	if err != nil {
		return err
	}
	k.at = now.String()
	query, err := selection(t, columns, driver.Cursor{})
	if err != nil {
		return err
	}
	sc.key, sc.query, sc.computed, sc.unread = k, query, d.computed, nil
	gaps, kept, err := k.remainder(ctx, c, d, now, landed)
	if err != nil {
		return err
	}
	sc.kept = kept
	w := &sc.witness
	w.rows, w.columns = nil, nil
	if _, err := s.see(ctx, c, w, d, nil, "0"); err != nil {
		return err
	}
	left := max(d.RowEstimate, 0)
	for _, r := range kept {
		left = max(left-r.Rows, 0)
	}
	v := newDivider(c, k, d, s.rangeSize)
	for _, gap := range gaps {
		ranges, err := v.divide(ctx, gap, left)
		if err != nil {
			return err
		}
		if len(ranges) == 1 && len(gaps) > 1 {
			ranges[0].Rows = -1 // left is the sum for all gaps
		}
		sc.unread = append(sc.unread, ranges...)
	}
	return nil
}

// check fails if a session's snapshot shows another table than the one that was divided.
func (sc *scan) check(ctx context.Context, c *session.Session) error {
	d, _, err := sc.source.plan(ctx, c, sc.table)
	if err != nil {
		return err
	}
	if k, err := newKey(d, c.Server); err != nil || k.sign != sc.key.sign {
		return driver.E(driver.ErrBadData, nil, "table %s was changed while it was read: read it again", sc.table)
	}
	return nil
}

// Unread returns the ranges that are still to be read, in the order of the key.
func (sc *scan) Unread() []driver.Range { return sc.unread }

// Kept returns the landed ranges that need not be read again.
func (sc *scan) Kept() []driver.Range { return sc.kept }

// Start returns where an incremental read by the column begins after this Scan: before
// every row that was not committed yet. All ranges are of one moment, and a kept range
// has not changed since it was read.
func (sc *scan) Start(column string) driver.Cursor {
	return sc.witness.start(sc.table, column)
}

// Notes returns nothing, because all rows are of one moment.
func (sc *scan) Notes() []string { return nil }

// Read yields the rows of a range in the order of the key. It waits while other Reads
// use all sessions.
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
	if ctx.Err() != nil { // a small range might be read to its end without anybody noticing
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
	err = sc.source.rows(ctx, c, reading{table: sc.table, computed: sc.computed, query: query}, give)
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.lent--
	if err == nil {
		sc.whole++
	}
	if err != nil || sc.closed {
		c.Close()
	} else {
		sc.free = append(sc.free, c)
	}
	close(sc.returned)
	sc.returned = make(chan struct{})
	return err
}

// take returns a session in its snapshot. It waits while others use all of them, and
// fails if ctx ends or the Scan is closed.
func (sc *scan) take(ctx context.Context) (*session.Session, error) {
	for {
		sc.mu.Lock()
		n, turn := len(sc.free), sc.returned
		switch {
		case sc.closed:
			sc.mu.Unlock()
			return nil, driver.E(driver.ErrUnreachable, nil, "table %s: the scan is closed", sc.table)
		case n > 0:
			c := sc.free[n-1]
			sc.free = sc.free[:n-1]
			sc.lent++
			sc.mu.Unlock()
			return c, nil
		case sc.lent == 0:
			defer sc.mu.Unlock()
			return sc.anew(ctx)
		}
		sc.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			return nil, driver.E(driver.ErrTimeout, context.Cause(ctx), "table %s: stopped", sc.table)
		}
	}
}

// anew begins another snapshot after every session was lost. It fails if rows were read
// already, because those would be of another moment.
func (sc *scan) anew(ctx context.Context) (*session.Session, error) {
	if sc.whole > 0 || len(sc.kept) > 0 {
		return nil, driver.E(driver.ErrUnreachable, nil, "table %s: the connection that had its snapshot was lost, and what a new one shows is of another moment: it is read again", sc.table)
	}
	c, err := sc.source.Connect(ctx, nil)
	if err != nil {
		return nil, err
	}
	if err = c.Exec(ctx, session.Begin); err == nil {
		err = sc.check(ctx, c)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	sc.lent++
	return c, nil
}

// keepAlive runs a statement from time to time on sessions that no Read uses. So the
// server may end sessions of a process that hangs, and with them their snapshots and
// locks, soon.
func (sc *scan) keepAlive() {
	ctx, cancel := context.WithCancel(context.Background())
	sc.stop = cancel
	every := session.HoldTime(sc.source.Limits.Idle) / 4
	sc.tend.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				sc.touch(ctx)
			}
		}
	})
}

// touch runs a statement on each free session. Reads wait meanwhile.
func (sc *scan) touch(ctx context.Context) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	alive := sc.free[:0]
	for _, c := range sc.free {
		if err := c.Run(ctx, "DO 1", nil); err != nil {
			c.Close()
			continue
		}
		alive = append(alive, c)
	}
	sc.free = alive
}

// Close ends the snapshots. It is safe to call twice.
func (sc *scan) Close() error {
	sc.stop()
	sc.tend.Wait()
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.closed = true
	for _, c := range sc.free {
		sc.source.Keep(c)
	}
	sc.free = nil
	return nil
}
