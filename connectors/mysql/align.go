package mysql

import (
	"context"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
)

// defaultSessions is how many sessions read one table at the same time when the settings
// do not say.
const defaultSessions = 2

// alignments is how often the snapshots are begun again because a transaction was
// committed between them.
const alignments = 8

// lockLimit is how many seconds to wait for a lock that keeps writers out.
const lockLimit = 1

// sessions returns how many sessions a Scan may have.
func (s *source) sessions() int {
	if s.Settings.MaxConnections > 0 {
		return min(s.Settings.MaxConnections, maxSessions)
	}
	return defaultSessions
}

// maxSessions is the most sessions that one table is read over.
const maxSessions = 16

// join opens further sessions and begins snapshots that all show the same rows. If that
// is not possible the first session reads alone: rows of one moment are worth more than
// a second connection.
func (sc *scan) join(ctx context.Context, landed []driver.Range) error {
	first := sc.free[0]
	more, err := sc.open(ctx, min(sc.source.sessions(), len(sc.unread))-1)
	if err != nil || len(more) == 0 {
		return err
	}
	begun := time.Now()
	same, err := sc.align(ctx, append([]*session.Session{first}, more...))
	if err == nil && !same {
		same, err = sc.locked(ctx, append([]*session.Session{first}, more...))
	}
	if err != nil || !same {
		for _, c := range more {
			c.Close()
		}
		if err != nil {
			return err
		}
		more, begun = nil, time.Now()
		if err := first.Exec(ctx, session.Begin); err != nil {
			return err
		}
	}
	sc.free = append(sc.free, more...)
	// The first session has a new snapshot now.
	if len(landed) > 0 {
		return sc.divide(ctx, first, begun, landed)
	}
	for _, c := range sc.free {
		if err := sc.check(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// open opens up to n sessions, fewer if the server refuses more. It fails only if ctx
// has ended.
func (sc *scan) open(ctx context.Context, n int) (more []*session.Session, err error) {
	for range n {
		c, err := sc.source.Connect(ctx, nil)
		if err != nil {
			if ctx.Err() != nil {
				for _, c := range more {
					c.Close()
				}
				return nil, err
			}
			break // fewer connections are slower, nothing else
		}
		more = append(more, c)
	}
	return more, nil
}

// align begins the snapshot of each session, sending every statement before it waits for
// the first answer, until the binary log stood at the same place for all of them. It
// returns false if the server has no binary log, or if the places differed after every
// attempt.
func (sc *scan) align(ctx context.Context, all []*session.Session) (bool, error) {
	for range alignments {
		for _, c := range all {
			defer c.Watch(ctx)()
			if err := c.Send(session.Begin); err != nil {
				return false, c.Explain(ctx, err, "")
			}
		}
		for _, c := range all {
			if _, err := c.Head(); err != nil {
				return false, c.Explain(ctx, err, "")
			}
		}
		var first session.Moment
		same := true
		for i, c := range all {
			m, err := c.Moment(ctx, time.Now())
			if err != nil {
				return false, err
			}
			if i == 0 {
				first = m
			}
			same = same && m.Binlog == first.Binlog
		}
		if first.Binlog == "" {
			return false, nil
		}
		if same {
			return true, nil
		}
	}
	return false, nil
}

// locked begins the snapshots while a further session locks the table against writers.
// The lock is held for a moment and given up if it does not come soon. It returns false
// if this account may not lock the table or somebody else holds it.
func (sc *scan) locked(ctx context.Context, all []*session.Session) (bool, error) {
	locker, err := sc.source.Connect(ctx, nil)
	if err != nil {
		if ctx.Err() != nil {
			return false, err
		}
		return false, nil
	}
	defer locker.Close() // which ends the lock, whatever happens
	table := session.Relation(sc.table)
	if locker.Exec(ctx, "SET SESSION lock_wait_timeout = "+string('0'+rune(lockLimit))) != nil {
		return false, ctx.Err()
	}
	if locker.Exec(ctx, "LOCK TABLES "+table+" READ") != nil && locker.Exec(ctx, "FLUSH TABLES "+table+" WITH READ LOCK") != nil {
		return false, ctx.Err()
	}
	for _, c := range all {
		if err := c.Exec(ctx, session.Begin); err != nil {
			return false, err
		}
	}
	return true, nil
}
