package session

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Moment is when a snapshot was taken, as far as the server tells it.
type Moment struct {
	at     int64  // seconds since 1970 by the server's clock, no later than the snapshot
	up     int64  // the same of the server's start
	Binlog string // file and place in the binary log, "" without one
}

// clockSlack is how far apart in seconds two looks at one clock may be: the
// catalog's times are whole seconds, and the uptime is rounded.
const clockSlack = 3

// Moment asks for the moment of the session's snapshot, which was begun no
// earlier than that.
func (c *Session) Moment(ctx context.Context, begun time.Time) (m Moment, err error) {
	var uptime, now int64
	var file, place string
	err = c.Query(ctx, "SHOW STATUS WHERE Variable_name IN ('Uptime', 'Binlog_snapshot_file', 'Binlog_snapshot_position')", func(row []*string) error {
		switch value := Text(row[1]); Text(row[0]) {
		case "Uptime":
			uptime = Integer(row[1])
		case "Binlog_snapshot_file":
			file = value
		case "Binlog_snapshot_position":
			place = value
		}
		return nil
	})
	if err == nil {
		err = c.Query(ctx, "SELECT UNIX_TIMESTAMP(SYSDATE())", func(row []*string) error {
			now = Integer(row[0])
			return nil
		})
	}
	m = Moment{at: now - int64(math.Ceil(time.Since(begun).Seconds())) - 1, up: now - uptime}
	if file != "" {
		m.Binlog = file + ":" + place
	}
	return m, err
}

// String writes a moment for a token.
func (m Moment) String() string { return fmt.Sprintf("%d %d %s", m.at, m.up, m.Binlog) }

func ParseMoment(text string) (m Moment, ok bool) {
	parts := strings.SplitN(text, " ", 3)
	if len(parts) != 3 {
		return Moment{}, false
	}
	var err, err2 error
	m.at, err = strconv.ParseInt(parts[0], 10, 64)
	m.up, err2 = strconv.ParseInt(parts[1], 10, 64)
	m.Binlog = parts[2]
	return m, err == nil && err2 == nil
}

// Unchanged reports whether nothing of a table can have changed from one
// snapshot to another: the binary log stands where it stood, or the server, which
// has run all the while, saw the table's last change before the first. It
// forgets that time when it starts, and for tables that it closes: then it is
// not known. How many rows there are says nothing: they may be others.
func Unchanged(was, is Moment, updated string) bool {
	if d := was.up - is.up; d > clockSlack || d < -clockSlack {
		return false
	}
	if was.Binlog != "" && was.Binlog == is.Binlog {
		return true
	}
	at, err := time.Parse("2006-01-02 15:04:05", updated)
	return err == nil && at.Unix()+clockSlack < was.at
}
