package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/session"
)

// differs says why a crash of the server may part a table from what the log says of it,
// "" if it cannot. Whether only the server was killed, whose system has what it wrote, or
// the machine went down with it, no server tells.
func (l *changeLog) differs(t *captured) string {
	switch {
	case t.engine == "memory": // emptied when the server starts, which it logs
		return ""
	case t.engine != "innodb" && t.engine != "rocksdb":
		return "a crash leaves rows of " + t.engine + " of which the log does not know"
	case len(l.settings.loose) > 0:
		return looseness(l.settings.loose)
	case t.after.Place.Loose:
		return looseness([]string{"sync_binlog or innodb_flush_log_at_trx_commit was another one"})
	}
	return ""
}

// isLoose reports whether the settings are such that a crash may part the log from the
// tables, or were since the log was taken up.
func (l *changeLog) isLoose() bool { return len(l.settings.loose) > 0 || l.loosened.Load() }

// looseness says what settings do to a log.
func looseness(settings []string) string {
	return strings.Join(settings, " and ") + ", so that a crash may leave the log without changes that the table has, or the table without changes that the log has: set sync_binlog and innodb_flush_log_at_trx_commit to 1"
}

// deleted is how a file ended that is not there any more.
const deleted = "was deleted, so that nobody knows whether the server crashed at its end"

// tornAt returns the tables of which the log may lack something behind the end of a file,
// with the reason. how is how it ended, "" if it is there to be seen.
func (l *changeLog) tornAt(end torn, how string) map[*captured]string {
	if how == "" {
		how = "was not ended by the server, as if it had crashed"
	}
	hit := map[*captured]string{}
	for _, t := range l.tables {
		place := t.after.Place
		if t.refused != nil || place.Server == l.server && isLaterFile(place.File, end.file) {
			continue
		}
		if end.off {
			hit[t] = fmt.Sprintf("behind the file %s the server went on without a binary log, as after an error of its disk: what was committed meanwhile is not in it", end.file)
		} else if why := l.differs(t); why != "" {
			hit[t] = fmt.Sprintf("the file %s of the binary log %s, and %s", end.file, how, why)
		}
	}
	return hit
}

// tornBefore refuses the tables that may lack something at the end of a file which is not
// read any more, because no transaction follows in it: the reading begins with the file
// first.
func (l *changeLog) tornBefore(ctx context.Context, first string) error {
	var place binlog.Place // the first that is before that file
	for _, t := range l.tables {
		at := t.after.Place
		if t.refused == nil && at.Server == l.server && isLaterFile(first, at.File) && (place.File == "" || isLaterFile(place.File, at.File) || place.File == at.File && at.At < place.At) {
			place = at
		}
	}
	if place.File == "" {
		return nil
	}
	ends, how := []torn{{file: place.File}}, deleted
	id, at := replicaID(l.capture, "look"), uint32(4)
	if place.At <= math.MaxUint32 {
		at = uint32(place.At)
	}
	r, err := l.source.dump(ctx, id, func(c *session.Session) error { return c.Dump(id, place.File, at, false) })
	switch {
	case errors.Is(err, driver.ErrReplaced):
	case err != nil:
		return err
	default:
		defer r.close()
		for r.place.File != first || r.place.Made == 0 {
			_, err := r.next(ctx)
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
		}
		ends, how = r.torn, ""
	}
	for _, end := range ends {
		for t, why := range l.tornAt(end, how) {
			t.refused = driver.E(driver.ErrReplaced, nil, "table %s: %s", t.table, why)
		}
	}
	return nil
}

// beginsFile reports whether an event is one that a file begins with, up to what tells
// whether the file follows the one before at all.
func beginsFile(e binlog.Event) bool {
	switch e.Type {
	case binlog.RotateEvent, binlog.FormatEvent, binlog.EncryptionEvent, binlog.GTIDListEvent, binlog.PreviousEvent:
		return true
	}
	return false
}

// tornFile ends the reading behind a file after which the log may lack something, if some tables
// may lack something there. A transaction that breaks off with the file was never
// committed.
func (s *stream) tornFile() error {
	if len(s.r.torn) == 0 {
		return nil
	}
	ends := s.r.torn
	s.r.torn = nil
	if s.now != nil {
		if len(s.touched) > 0 || len(s.undo.rows) > 0 {
			return s.loseTransaction(driver.ErrReplaced, "the server crashed amid "+s.where()+", which the log has a part of")
		}
		s.undo.endTransaction()
		s.now = nil
	}
	hit := map[*captured]string{}
	for _, end := range ends {
		maps.Copy(hit, s.l.tornAt(end, ""))
	}
	if len(hit) == 0 {
		return nil
	}
	if s.moved {
		if err := s.resume(); err != nil {
			return err
		}
	}
	var last error
	for t, why := range hit {
		last = s.lose(t, lostTable{why: why})
	}
	return last
}

// moveOn notes the place that the reader has reached, between two transactions at the end
// of the log, if it is in a file that the position does not name yet: the files before may
// expire though no transaction follows them. Nothing is torn up to there.
func (s *stream) moveOn(file string) bool {
	place, was := s.placed(0), s.state.Place
	if place.Made == 0 || place.File != file || place.File == was.File && place.Server == was.Server {
		return false
	}
	s.state.Place = place
	return true
}

// rest has a place to resume given, while nothing happens, if the server has begun
// another file.
func (s *stream) rest() {
	if s.now == nil && !s.moved && s.moveOn(s.r.place.File) {
		s.moved, s.since = true, time.Now()
	}
}

// Advice says, behind what Ready says, what a crash of the server would do, "" if nothing.
func (s *Capturer) Advice(ctx context.Context, c *session.Session) string {
	settings, err := askLogSettings(ctx, c)
	if err != nil || !settings.on || len(settings.loose) == 0 {
		return ""
	}
	return "; after a crash of the server every table is read whole again: " + looseness(settings.loose)
}
