package session

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Moment is when a snapshot was taken, as far as the server tells.
type Moment struct {
	at     int64  // seconds since 1970 by the server's clock, no later than the snapshot
	up     int64  // when the server started, by the same clock
	Binlog string // file and place in the binary log, "" if there is none
}

// clockSlack is how many seconds two readings of one clock may differ: times of the
// catalog are in whole seconds, and the uptime is rounded.
const clockSlack = 3

// Moment returns the moment of the session's snapshot. begun is a time before which the
// snapshot was not begun.
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

// String writes a moment for a token. ParseMoment reads it.
func (m Moment) String() string { return fmt.Sprintf("%d %d %s", m.at, m.up, m.Binlog) }

// ParseMoment reads what String wrote. It returns false for other text.
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

// Unchanged reports whether a table is certainly the same in two snapshots: the binary
// log stands at the same place, or the server has run all the time and saw the last
// change of the table, updated, before the first. The server forgets that time at a
// restart, and for tables that it closes; then the answer is false. The number of rows
// proves nothing, because they may be other rows.
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
