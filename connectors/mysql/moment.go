package mysql

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// moment is when a snapshot was taken, as far as the server tells it.
type moment struct {
	at     int64  // seconds since 1970 by the server's clock, no later than the snapshot
	up     int64  // the same of the server's start
	binlog string // file and place in the binary log, "" without one
}

// clockSlack is how far apart in seconds two looks at one clock may be: the
// catalog's times are whole seconds, and the uptime is rounded.
const clockSlack = 3

// moment asks for the moment of the session's snapshot, which was begun no
// earlier than that.
func (c *session) moment(ctx context.Context, begun time.Time) (m moment, err error) {
	var uptime, now int64
	var file, place string
	err = c.query(ctx, "SHOW STATUS WHERE Variable_name IN ('Uptime', 'Binlog_snapshot_file', 'Binlog_snapshot_position')", func(row []*string) error {
		switch value := str(row[1]); str(row[0]) {
		case "Uptime":
			uptime = integer(row[1])
		case "Binlog_snapshot_file":
			file = value
		case "Binlog_snapshot_position":
			place = value
		}
		return nil
	})
	if err == nil {
		err = c.query(ctx, "SELECT UNIX_TIMESTAMP(SYSDATE())", func(row []*string) error {
			now = integer(row[0])
			return nil
		})
	}
	m = moment{at: now - int64(math.Ceil(time.Since(begun).Seconds())) - 1, up: now - uptime}
	if file != "" {
		m.binlog = file + ":" + place
	}
	return m, err
}

// String writes a moment for a token.
func (m moment) String() string { return fmt.Sprintf("%d %d %s", m.at, m.up, m.binlog) }

func parseMoment(text string) (m moment, ok bool) {
	parts := strings.SplitN(text, " ", 3)
	if len(parts) != 3 {
		return moment{}, false
	}
	var err, err2 error
	m.at, err = strconv.ParseInt(parts[0], 10, 64)
	m.up, err2 = strconv.ParseInt(parts[1], 10, 64)
	m.binlog = parts[2]
	return m, err == nil && err2 == nil
}

// unchanged reports whether nothing of a table can have changed from one
// snapshot to another: the binary log stands where it stood, or the server, which
// has run all the while, saw the table's last change before the first. It
// forgets that time when it starts, and for tables that it closes: then it is
// not known. How many rows there are says nothing: they may be others.
func unchanged(was, is moment, updated string) bool {
	if d := was.up - is.up; d > clockSlack || d < -clockSlack {
		return false
	}
	if was.binlog != "" && was.binlog == is.binlog {
		return true
	}
	at, err := time.Parse("2006-01-02 15:04:05", updated)
	return err == nil && at.Unix()+clockSlack < was.at
}
