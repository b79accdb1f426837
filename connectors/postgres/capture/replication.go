package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// Types of messages while a log is streamed.
const (
	msgCopyBoth  = 'W'
	walData      = pglogrepl.XLogDataByteID
	walKeepalive = pglogrepl.PrimaryKeepaliveMessageByteID
	walStatus    = pglogrepl.StandbyStatusUpdateByteID
)

// replicate connects for the replication protocol, over which SQL can be sent as well.
// Values that come as text are written as in the session of a COPY.
func (s *Capturer) replicate(ctx context.Context, on catalog.Server) (*session.Session, error) {
	c, err := s.pool.ConnectWith(ctx, nil, map[string]string{"replication": "database"})
	if err != nil {
		return nil, replicationError(err)
	}
	sql := c.Unhurried() + "; SET statement_timeout = 0; SET lock_timeout = 0; SET extra_float_digits = 3; SET bytea_output = 'hex'; SET intervalstyle = 'iso_8601'; SET DateStyle = 'ISO'; SET TimeZone = 'UTC'; SET quote_all_identifiers = off"
	if c.IsASCII() {
		sql += "; SET client_encoding = 'SQL_ASCII'"
	}
	if on.MoneyScale == 2 {
		sql += "; SET lc_monetary = 'C'"
	}
	if err := c.Exec(ctx, sql); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// replicationError explains why there is no connection for the replication protocol.
func replicationError(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "WAL sender") || strings.Contains(text, "walsender") || strings.Contains(text, "replication role"):
		return driver.E(driver.ErrPermission, nil, "this account may not read the server's log of changes: ALTER ROLE ... REPLICATION (of a managed server the role that it names for this, such as rds_replication)")
	case strings.Contains(text, "max_wal_senders"):
		return driver.E(driver.ErrUnreachable, nil, "the server has no connection left for readers of its log: raise max_wal_senders")
	case strings.Contains(text, "startup parameter"):
		return driver.E(driver.ErrUnsupported, nil, "what answers is a pooler that does not speak the replication protocol: connect to the server itself")
	}
	return err
}

// feed is a log that is streamed over a session. One goroutine reads it; status and
// finish may be called at any time.
type feed struct {
	session *session.Session
	conn    net.Conn
	limit   int64 // most bytes of a message

	buf     []byte
	at, end int // buf[at:end] was read and is not taken yet

	writing   sync.Mutex
	confirmed *atomic.Uint64 // everything up to this position has landed
}

// startFeed makes the server send the changes of a slot from a position on. limit is the
// most bytes of a message.
func startFeed(ctx context.Context, c *session.Session, slot, publication string, from pglogrepl.LSN, inBinary bool, limit int64, confirmed *atomic.Uint64) (*feed, error) {
	options := fmt.Sprintf("proto_version '1', publication_names %s", session.Literal(session.Quote(publication)))
	if inBinary {
		options += ", binary 'true'"
	}
	if err := c.PG.SyncConn(ctx); err != nil {
		return nil, session.Classify(ctx, err, "")
	}
	f := &feed{session: c, conn: c.PG.Conn(), limit: limit, buf: make([]byte, session.ReadSize), confirmed: confirmed}
	stop := f.interrupt(ctx)
	err := f.begin(fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL %s (%s)", session.Quote(slot), from, options))
	if !stop() {
		return nil, driver.E(driver.ErrTimeout, context.Cause(ctx), "stopped")
	}
	return f, err
}

// interrupt ends a read when ctx ends. stop, which it returns, says whether that did not
// happen.
func (f *feed) interrupt(ctx context.Context) (stop func() bool) {
	fired := make(chan struct{})
	end := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = f.conn.SetReadDeadline(time.Unix(1, 0))
	})
	return func() bool {
		if end() {
			return true
		}
		<-fired
		return false
	}
}

func (f *feed) begin(sql string) error {
	query := append(make([]byte, 0, len(sql)+6), 'Q')
	query = binary.BigEndian.AppendUint32(query, uint32(len(sql)+5))
	if _, err := f.conn.Write(append(append(query, sql...), 0)); err != nil {
		return err
	}
	for {
		kind, body, err := f.message()
		if err != nil {
			return err
		}
		var failed error
		switch kind {
		case msgCopyBoth:
			return nil
		case session.MsgError, session.MsgNotice, session.MsgParameter:
			if done, err := f.session.Reply(kind, body, &failed); err != nil || done || failed != nil {
				return errors.Join(err, failed)
			}
		default:
			return binarycopy.ErrMalformed
		}
	}
}

// message returns the next message of the server, valid until the next call. A message
// beyond the limit is a *session.LongRow.
func (f *feed) message() (kind byte, body []byte, err error) {
	need := 5
	for {
		if f.end-f.at >= 5 {
			size := int64(binary.BigEndian.Uint32(f.buf[f.at+1:])) - 4
			kind = f.buf[f.at]
			switch {
			case size < 0 || kind != session.MsgCopyData && size > session.MaxReply:
				return 0, nil, binarycopy.ErrMalformed
			case size > f.limit:
				if need = 5 + longHead; f.end-f.at >= need {
					return kind, nil, &session.LongRow{Size: size, Begin: f.buf[f.at+5 : f.at+need]}
				}
			default:
				if need = 5 + int(size); f.end-f.at >= need {
					body = f.buf[f.at+5 : f.at+need]
					f.at += need
					return kind, body, nil
				}
			}
		}
		f.buf, f.at, f.end = session.MakeRoom(f.buf, f.at, f.end, need, false)
		n, err := f.conn.Read(f.buf[f.end:])
		f.end += n
		if n == 0 && err != nil {
			return 0, nil, err
		}
	}
}

// longHead is what is read of a message that is too long: it ends with the number of
// the table.
const longHead = 30

// pass leaves out the message that was too long.
func (f *feed) pass(long *session.LongRow) error {
	rest := 5 + long.Size
	for {
		n := min(rest, int64(f.end-f.at))
		f.at += int(n)
		if rest -= n; rest == 0 {
			return nil
		}
		f.at, f.end = 0, 0
		n2, err := f.conn.Read(f.buf)
		f.end = n2
		if n2 == 0 && err != nil {
			return err
		}
	}
}

// next returns the body of the next CopyData message, valid until the next call. An
// error of the server is a *pgconn.PgError.
func (f *feed) next() ([]byte, error) {
	for {
		kind, body, err := f.message()
		if err != nil {
			return nil, err
		}
		var failed error
		switch kind {
		case session.MsgCopyData:
			return body, nil
		case session.MsgCopyDone, session.MsgComplete, session.MsgReady:
			return nil, driver.E(driver.ErrUnreachable, nil, "the server has ended the stream of changes: it is shutting down or was told to")
		default:
			if _, err := f.session.Reply(kind, body, &failed); err != nil || failed != nil {
				return nil, errors.Join(err, failed)
			}
		}
	}
}

// status tells the server the confirmed position. With reply it asks for a sign of life,
// which has the end of the server's log.
func (f *feed) status(reply bool) error {
	m := make([]byte, 0, 39)
	m = binary.BigEndian.AppendUint32(append(m, session.MsgCopyData), 38)
	m = append(m, walStatus)
	at := f.confirmed.Load()
	for range 3 { // written, flushed, applied
		m = binary.BigEndian.AppendUint64(m, at)
	}
	m = binary.BigEndian.AppendUint64(m, uint64(time.Since(epoch).Microseconds()))
	if reply {
		m = append(m, 1)
	} else {
		m = append(m, 0)
	}
	f.writing.Lock()
	defer f.writing.Unlock()
	_ = f.conn.SetWriteDeadline(time.Now().Add(statusLimit))
	_, err := f.conn.Write(m)
	return err
}

// epoch is where PostgreSQL counts time from.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// statusLimit bounds the writing of a status. The server reads while it waits for us to
// read.
const statusLimit = 10 * time.Second

// finish ends the stream and closes the connection.
func (f *feed) finish() {
	f.writing.Lock()
	defer f.writing.Unlock()
	_ = f.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = f.conn.Write([]byte{session.MsgCopyDone, 0, 0, 0, 4, 'X', 0, 0, 0, 4})
	f.session.Drop()
	f.session.Close()
}

// streamError explains why the server ended a stream, or did not begin one.
func (l *changeLog) streamError(ctx context.Context, err error) error {
	var server *pgconn.PgError
	var long *session.LongRow
	switch {
	case errors.As(err, &long):
		return l.tooLong("one change", long)
	case errors.Is(err, binarycopy.ErrMalformed):
		return driver.E(driver.ErrBadData, nil, "the log of changes: %v", err)
	case !errors.As(err, &server):
		return session.Classify(ctx, err, "the log of changes")
	}
	switch text := server.Message; {
	case server.Code == "55006":
		return driver.E(driver.ErrUnreachable, nil, "another reader has taken the slot %s: %s. If it is no copy of this source, give that program a slot of its own", l.slot, text)
	case server.Code == "42704" && strings.Contains(text, "publication"):
		return driver.E(driver.ErrReplaced, nil, "the publication %s did not exist for a part of the log (%s), so changes of that time are not to be had: %s", l.publication, text, sqldb.ReadAnew)
	case server.Code == "42704":
		return driver.E(driver.ErrReplaced, nil, "the slot %s is gone (%s): %s", l.slot, text, sqldb.ReadAnew)
	case server.Code == "58P01", server.Code == "55000" && (strings.Contains(text, "slot") || strings.Contains(text, "WAL")):
		return driver.E(driver.ErrReplaced, nil, "the server has given up what it kept for the slot %s (%s): %s", l.slot, text, sqldb.ReadAnew)
	}
	return session.Classify(ctx, err, "the log of changes")
}

// tooLong returns the error of a change beyond the limit.
func (l *changeLog) tooLong(what string, long *session.LongRow) error {
	return driver.E(driver.ErrLimit, nil, "%s has %d bytes in the log of changes, more than the limit of %d: set connection_config.max_row_mib to %d or more, or exclude the table from the sync", what, long.Size, l.source.pool.Limits.MaxRowBytes, long.Size>>20+1)
}
