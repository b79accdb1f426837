package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/session"
)

// Standing says how far the reader is behind. The server keeps nothing for it: it
// deletes its log after some time, read or not. ErrReplaced says that the log is another
// one than was read: after RESET MASTER a server leaves its readers waiting at the end of
// the old log, where nothing comes any more. ErrUnreachable says that another server
// answered.
func (l *changeLog) Standing(ctx context.Context) (driver.Standing, error) {
	confirmed := l.start
	text := l.capture.Landed
	if p := l.confirmed.Load(); p != nil {
		text = *p
		if parsed, err := binlog.Parse(text); err == nil {
			confirmed = parsed
		}
	}
	places := []binlog.Position{confirmed}
	if read := l.came.Load(); read != nil && read.Place != confirmed.Place {
		places = append(places, *read)
	}
	st := driver.Standing{Position: text, Behind: -1, Left: -1}
	err := l.aside(ctx, func(c *session.Session) error {
		st.At = time.Now() // what is committed later may be missing in the answer
		end, err := l.end(ctx, c, st.At)
		if err != nil {
			return err
		}
		for _, p := range places {
			if p.Place.Server != end.Place.Server && !end.Includes(p) {
				return driver.E(driver.ErrUnreachable, nil, "the server with the number %d was asked about the log of number %d, and has not all of it", end.Place.Server, p.Place.Server)
			}
			if err := l.checkPlace(ctx, c, p, end); err != nil {
				return err
			}
		}
		settings, err := askLogSettings(ctx, c) // somebody may mend them before a crash is noticed
		if err != nil {
			return err
		}
		if len(settings.loose) > 0 {
			l.loosened.Store(true)
		}
		if st.End = end.String(); confirmed.Includes(end) {
			st.Behind = 0
			return nil
		}
		// An estimate: the newest unconfirmed change is no older than this.
		if at := int64(confirmed.Place.Time); at > 0 {
			st.Delay = max(time.Duration(int64(end.Place.Time)-at)*time.Second, time.Second)
		}
		st.Behind, err = bytesBetween(ctx, c, confirmed.Place, end.Place)
		if errors.Is(err, driver.ErrPermission) {
			err = nil
		}
		return err
	})
	switch {
	case l.settings.kept > 0:
		st.Message = fmt.Sprintf("The server keeps its binary log for %s, whether it was read or not (binlog_expire_logs_seconds).", l.settings.kept)
	default:
		st.Message = "The server keeps its binary log until somebody deletes it (PURGE BINARY LOGS)."
	}
	return st, err
}

// end returns where the log ends, asked at a time of ours, and compares the clocks.
func (l *changeLog) end(ctx context.Context, c *session.Session, asked time.Time) (binlog.Position, error) {
	end, err := logEnd(ctx, c)
	if err == nil {
		l.clock.Compare(asked, time.Unix(int64(end.Place.Time)+1, 0)) // it tells whole seconds
	}
	return end, err
}

// bytesBetween returns how many bytes of the log lie between two places, -1 if the list
// of files does not say.
func bytesBetween(ctx context.Context, c *session.Session, from, to binlog.Place) (int64, error) {
	sum, found := int64(0), false
	err := c.Query(ctx, "SHOW BINARY LOGS", func(row []*string) error {
		name, size := session.Text(row[0]), session.Integer(row[1])
		if name == from.File {
			found, sum = true, -int64(from.At)
		}
		if found {
			if name == to.File {
				size = int64(to.At)
			}
			sum += size
		}
		return nil
	})
	if !found || err != nil {
		return -1, err
	}
	return max(sum, 0), nil
}
