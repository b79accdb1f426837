package postgres

import (
	"context"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/session"
)

// How long to wait for a further connection before reading over the first one: a pooler
// without a free connection may let us wait for minutes.
const (
	joinLimit = 6 * time.Second
	joinPause = 200 * time.Millisecond
)

// join returns a free session in the scan's snapshot: a spare one, a new one, or, if no
// other can be had, the one that exported the snapshot.
func (sc *scan) join(ctx context.Context) (*session.Session, error) {
	for {
		select {
		case c := <-sc.spare:
			return c, nil
		default:
		}
		if sc.may() {
			c, err := sc.another(ctx)
			if err == nil || ctx.Err() != nil {
				return c, err
			}
			sc.fewer(true)
		}
		if sc.exporter.PG.IsClosed() {
			return nil, driver.E(driver.ErrUnreachable, nil, "table %s: the connection that holds the snapshot was lost", sc.table)
		}
		select {
		case c := <-sc.spare:
			return c, nil
		case <-ctx.Done():
			return nil, driver.E(driver.ErrTimeout, context.Cause(ctx), "table %s: stopped", sc.table)
		case <-time.After(joinPause): // a session may have broken, so that another can be had
		}
	}
}

// may reports whether one more connection may be tried, and counts it.
func (sc *scan) may() bool {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	most := sc.source.Settings.MaxConnections - 1
	if sc.source.joined != nil && sc.source.apart == "" {
		most-- // one session holds the moment of the sync
	}
	if sc.alone || sc.source.Settings.MaxConnections > 0 && sc.others >= most {
		return false
	}
	sc.others++
	return true
}

// fewer counts a connection that is gone. With alone, no other is tried and the session
// that exported the snapshot is read over.
func (sc *scan) fewer(alone bool) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.others--
	if alone && !sc.alone {
		sc.goAlone()
	}
}

// goAlone offers the session that exported the snapshot to Reads. The caller holds
// sc.mu.
func (sc *scan) goAlone() {
	sc.alone = true
	sc.quiet()
	sc.spare <- sc.exporter
}

// another connects and enters the snapshot.
func (sc *scan) another(ctx context.Context) (*session.Session, error) {
	limited, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	c, err := sc.source.Connect(limited, nil)
	if err != nil {
		return nil, err
	}
	return c, sc.enter(limited, c)
}

// settle makes the server write to disk that the transactions before the snapshot began,
// by committing one that began after them. The session is kept for the first Read.
func (sc *scan) settle(ctx context.Context) error {
	if !sc.may() {
		return session.ErrTooManyConnections
	}
	ctx, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	c, err := sc.source.Connect(ctx, nil)
	if err != nil {
		sc.fewer(true)
		return err
	}
	if err := c.Exec(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY; SET LOCAL synchronous_commit = local; SELECT pg_current_xact_id(); COMMIT"); err != nil {
		c.Close()
		sc.fewer(true)
		return err
	}
	if err := sc.enter(ctx, c); err != nil {
		sc.fewer(true)
		return err
	}
	sc.spare <- c
	return nil
}

// enter begins a transaction in the scan's snapshot. It closes the session on failure.
func (sc *scan) enter(ctx context.Context, c *session.Session) error {
	same := false
	err := c.Run(ctx, c.Begin(sc.basis.snapshot)+"; SET LOCAL enable_tidscan = on; SET LOCAL enable_seqscan = off; SELECT pg_current_snapshot()::text", func(_ int, row [][]byte) error {
		same = string(row[0]) == sc.basis.extent
		return nil
	})
	switch {
	case err == nil && same:
		return nil
	case err != nil && (ctx.Err() != nil || c.PG.IsClosed()):
	default:
		// A pooler in front of several servers answers like this, too.
		err = driver.E(driver.ErrUnreachable, nil, "table %s: the server no longer has the snapshot that this scan began with", sc.table)
	}
	c.Close()
	return err
}
