package mysql

import (
	"context"
	"iter"
	"sync"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
)

// scan is a table divided by its primary key. All that is read of it is of one
// moment: of one session, or of several whose snapshots show the same rows.
type scan struct {
	source       *source
	table        driver.Table
	key          *key
	query        string // for all rows
	computed     bool   // some values are of the source's own expressions
	unread, kept []driver.Range
	witness      witness

	stop func() // ends the goroutine that keeps the sessions
	tend sync.WaitGroup

	mu       sync.Mutex
	free     []*session.Session // each in its snapshot; the last is taken first
	lent     int                // sessions that a Read has
	whole    int                // ranges that were read to their end
	closed   bool
	returned chan struct{} // closed, and made anew, when one came back
}

// Scan divides an InnoDB table by its primary key. InnoDB cannot hand a snapshot
// from one session to another: see DESIGN.md for how several come to show the
// same rows.
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

// divide makes the ranges, as the session's snapshot has the table.
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
			ranges[0].Rows = -1 // left is of all the gaps
		}
		sc.unread = append(sc.unread, ranges...)
	}
	return nil
}

// check makes sure that a session's snapshot is of the table that was divided.
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

func (sc *scan) Unread() []driver.Range { return sc.unread }
func (sc *scan) Kept() []driver.Range   { return sc.kept }

// Start returns the largest value that was read, but for rows that were still to
// be committed: every range is of the Scan's one moment, and a kept one has not
// changed since its own.
func (sc *scan) Start(column string) driver.Cursor {
	return sc.witness.start(sc.table, column)
}

// Notes returns nothing: the rows are of one moment.
func (sc *scan) Notes() []string { return nil }

// Read yields the rows of a range in the order of the key. It waits while other
// Reads have all the sessions.
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

// take returns a session in its snapshot, and waits for one while others have
// them all.
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

// anew begins another snapshot when every session is lost. What has been read
// already would be of another moment: then the Scan is over.
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

// keepAlive says something on sessions that no Read has: the server ends those
// that it takes for forgotten, and would the sooner let go of a snapshot, and of
// what waits behind it, of a process that stands still.
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

// touch runs a statement on each free session, which others wait for meanwhile.
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

// Close ends the snapshots.
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
