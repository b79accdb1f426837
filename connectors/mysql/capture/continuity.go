package capture

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/session"
)

// checkContinues makes sure that the log is the one that was read before, up to the
// place of each table, and that it has everything behind. Otherwise the error is an
// ErrReplaced.
func (l *changeLog) checkContinues(ctx context.Context, c *session.Session) error {
	now, err := logEnd(ctx, c) // what was read may be behind what a snapshot shows
	if err != nil {
		return err
	}
	places := map[string]binlog.Position{l.start.String(): l.start}
	for _, t := range l.tables {
		if t.refused == nil {
			places[t.after.String()] = t.after
		}
	}
	for _, p := range places {
		if err := l.checkPlace(ctx, c, p, now); err != nil {
			return err
		}
	}
	r, err := l.source.follow(ctx, l.start, replicaID(l.capture, "look"), false, time.Second)
	if err != nil {
		return err
	}
	r.close()
	return l.tornBefore(ctx, r.place.File)
}

// checkPlace makes sure that the log, which ends at now, has the transactions before a
// position, and is the one that they were read from.
func (l *changeLog) checkPlace(ctx context.Context, c *session.Session, p, now binlog.Position) error {
	place := p.Place
	if place.File != "" && place.Server == now.Place.Server && place.Made != 0 {
		made, err := l.made(ctx, place.File)
		switch {
		case err != nil && !errors.Is(err, driver.ErrReplaced):
			return err
		case err == nil && made != place.Made, err != nil && isLaterFile(place.File, now.Place.File), place.File == now.Place.File && now.Place.At < place.At:
			return driver.E(driver.ErrReplaced, nil, "the server's binary log was begun anew (RESET MASTER, or another server of that number) since %s was read%s", place.File, wayAnew)
		case err == nil:
			if err := stillThere(ctx, c, p); err != nil {
				return err
			}
		}
	}
	if !now.Includes(p) {
		return driver.E(driver.ErrReplaced, nil, "the server's binary log does not have the transactions that were read last (%s): it is another server, one that lost transactions in a failover, its log was begun anew (RESET MASTER), or its GTIDs go back (set gtid_strict_mode)%s", p.GTIDs(), wayAnew)
	}
	return nil
}

// stillThere makes sure that a file has, up to the place of a position, the transactions
// that it had. A server that crashed without sync_binlog, or was restored to a snapshot,
// gives the same numbers to other transactions. MySQL does not tell which transactions lie
// before a place; but it begins another file whenever it starts, so the file is shorter.
func stillThere(ctx context.Context, c *session.Session, was binlog.Position) error {
	var there bool
	var err error
	if !c.MariaDB {
		err = c.Query(ctx, "SHOW BINARY LOGS", func(row []*string) error {
			there = there || session.Text(row[0]) == was.Place.File && uint64(session.Integer(row[1])) >= was.Place.At
			return nil
		})
		return lostTail(was, there, err)
	}
	err = c.Query(ctx, fmt.Sprintf("SELECT BINLOG_GTID_POS(%s, %d)", session.Literal(was.Place.File), was.Place.At), func(row []*string) error {
		p, err := binlog.ParseGTIDs(session.Text(row[0]))
		there = err == nil && row[0] != nil && was.Same(p)
		return nil
	})
	return lostTail(was, there, err)
}

// lostTail returns an error unless a position is still there.
func lostTail(was binlog.Position, there bool, err error) error {
	if err != nil || there {
		return err
	}
	return driver.E(driver.ErrReplaced, nil, "the server's binary log has other transactions at %s:%d than were read there: the server crashed without sync_binlog=1, or was put back to an earlier state%s", was.Place.File, was.Place.At, wayAnew)
}

// isLaterFile reports whether a file of the log has a higher number than another file of
// the same name.
func isLaterFile(file, than string) bool {
	number := func(name string) (string, int64) {
		at := strings.LastIndexByte(name, '.')
		text := name[at+1:]
		return name[:max(at, 0)], session.Integer(&text)
	}
	base, n := number(file)
	thanBase, m := number(than)
	return base == thanBase && n > m
}

// made returns when a file of the log was created, in seconds since 1970. ErrReplaced
// says that there is no such file.
func (l *changeLog) made(ctx context.Context, file string) (uint32, error) {
	if file == "" {
		return 0, nil
	}
	id := replicaID(l.capture, "look")
	r, err := l.source.dump(ctx, id, func(c *session.Session) error { return c.Dump(id, file, 4, false) })
	if err != nil {
		return 0, err
	}
	defer r.close()
	return r.place.Made, nil
}
