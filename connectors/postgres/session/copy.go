package session

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
	"headwater/connectors/sqldb"
)

// ReadSize is how many bytes are asked of the network at a time. Fewer, longer reads
// wake the server less often.
const ReadSize = 256 << 10

// Types of the server's messages. pgproto3 would allocate a value for each message.
const (
	MsgCopyData, msgCopyOut, MsgCopyDone, MsgComplete = 'd', 'H', 'c', 'C'
	MsgError, MsgNotice, MsgParameter, msgNotify      = 'E', 'N', 'S', 'A'
	msgColumns, msgRow, MsgReady                      = 'T', 'D', 'Z'
)

// LongRow is the error for a row longer than the limit. Only its beginning was read.
type LongRow struct {
	Size  int64
	Begin []byte
}

// Error returns the text of the error.
func (e *LongRow) Error() string { return "a row is too long" }

// ErrRewritten says that a heap was replaced between the snapshot and our lock on it.
var ErrRewritten = driver.E(driver.ErrUnreachable, nil, "the table was truncated or rewritten just now: try again")

// MaxReply is the most bytes of a message that is not a row.
const MaxReply = 1 << 20

// rowTaker takes the rows of a COPY.
type rowTaker interface {
	// Message takes the bytes of a row from the network's buffer. It keeps none of them.
	Message(p []byte) error
	// Announce says how long the next row is, before a long row is read into memory.
	Announce(size int64) error
}

// CopyOut sends statements of which one is a COPY TO STDOUT, and hands each CopyData
// message, which is one row, to rows. A row longer than limit is a *LongRow. One further
// statement may return a row, which has to be false: otherwise the error is ErrRewritten.
// The first row may take firstRow. After an error that is not the server's the session is
// closed.
//
// CopyOut reads the socket itself: through pgconn each row costs two calls through
// interfaces and a copy.
func (c *Session) CopyOut(ctx context.Context, sql string, limit int64, firstRow time.Duration, rows rowTaker) error {
	if err := c.PG.SyncConn(ctx); err != nil {
		return Classify(ctx, err, "")
	}
	conn := c.PG.Conn()
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = conn.SetDeadline(time.Unix(1, 0)) // ends a read or write that waits
	})
	c.SetReadTimeout(firstRow)
	err := c.exchange(sql, limit, rows)
	c.SetReadTimeout(0)
	if !stop() {
		<-fired
		c.Abort()
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "stopped")
	}
	var server *pgconn.PgError
	if err != nil && !errors.As(err, &server) {
		c.Abort()
	}
	return err
}

// SetReadTimeout sets how long a read may wait for the server, 0 for the idle limit.
func (c *Session) SetReadTimeout(limit time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sqldb.SetReadTimeout(c.sockets[0], limit)
}

// exchange sends statements and takes the answer up to ReadyForQuery.
func (c *Session) exchange(sql string, limit int64, rows rowTaker) error {
	conn := c.PG.Conn()
	query := append(make([]byte, 0, len(sql)+6), 'Q')
	query = binary.BigEndian.AppendUint32(query, uint32(len(sql)+5))
	query = append(append(query, sql...), 0)
	if _, err := conn.Write(query); err != nil {
		return err
	}
	buf := make([]byte, ReadSize)
	at, end := 0, 0 // buf[at:end] was read and is not taken yet
	var failed error
	announced, begun := false, false
	for {
		need := 5
		for end-at >= 5 {
			kind := buf[at]
			size := int64(binary.BigEndian.Uint32(buf[at+1:])) - 4
			switch {
			case size < 0 || kind != MsgCopyData && size > MaxReply:
				return binarycopy.ErrMalformed
			case kind == MsgCopyData && size > limit:
				if need = 5 + int(min(size, binarycopy.LongBegin)); end-at < need {
					break
				}
				return &LongRow{size, buf[at+5 : at+need]}
			}
			if kind == MsgCopyData && size > limit {
				break
			}
			if kind == MsgCopyData && size > binarycopy.LongSize && !announced {
				if err := rows.Announce(size); err != nil {
					return err
				}
				announced = true
			}
			if need = 5 + int(size); end-at < need {
				break
			}
			body := buf[at+5 : at+need]
			at, need = at+need, 5
			if kind == MsgCopyData {
				if !begun && size > 19 { // it is more than the header
					begun = true
					c.SetReadTimeout(0)
				}
				if err := rows.Message(body); err != nil {
					return err
				}
				announced = false
				continue
			}
			done, err := c.Reply(kind, body, &failed)
			if err != nil {
				return err
			}
			if done {
				if at == end {
					return failed
				}
				if !slices.Contains(unasked, buf[at]) { // nothing else may follow
					return binarycopy.ErrMalformed
				}
				c.Drop() // the session cannot read it again
				c.Close()
				return failed
			}
		}
		buf, at, end = MakeRoom(buf, at, end, need, announced)
		n, err := conn.Read(buf[end:])
		end += n
		if n == 0 && err != nil {
			return err
		}
	}
}

// unasked are the messages that a server may send at any time: that it ends, or that a
// setting has changed.
var unasked = []byte{MsgError, MsgNotice, MsgParameter, msgNotify}

// Reply takes a message that is not a row. It returns true at the end of the answer. The
// first error of the server is put into failed.
func (c *Session) Reply(kind byte, body []byte, failed *error) (done bool, err error) {
	switch kind {
	case MsgReady:
		c.Idle = len(body) == 1 && body[0] == 'I'
		return true, nil
	case MsgError:
		var e pgproto3.ErrorResponse
		if err := e.Decode(body); err != nil {
			return false, binarycopy.ErrMalformed
		}
		if *failed == nil {
			*failed = pgconn.ErrorResponseToPgError(&e)
		}
	case msgCopyOut:
		if len(body) == 0 || body[0] != 1 { // not the binary format
			return false, binarycopy.ErrMalformed
		}
	case msgRow: // the answer whether a heap was replaced
		if string(body) != "\x00\x01\x00\x00\x00\x01f" {
			return false, ErrRewritten
		}
	case msgColumns, MsgCopyDone, MsgComplete, MsgNotice, MsgParameter, msgNotify:
	default:
		return false, binarycopy.ErrMalformed
	}
	return false, nil
}

// MakeRoom makes place in buf for a message of need bytes that begins at at, and returns
// the buffer with the new at and end. The buffer of a long row grows as bytes come,
// because the server's word for its length is not trusted, unless the row was announced.
// It is not kept afterwards.
func MakeRoom(buf []byte, at, end, need int, announced bool) ([]byte, int, int) {
	to := buf
	switch {
	case announced && need > len(buf):
		to = make([]byte, need)
	case at == end && len(buf) > ReadSize:
		to = make([]byte, ReadSize)
	case end-at == len(buf) && need > len(buf):
		to = make([]byte, min(2*len(buf), need))
	case at == 0:
		return buf, at, end
	}
	n := copy(to, buf[at:end])
	return to, 0, n
}

// Abort asks the server to cancel what it does, then closes the session.
func (c *Session) Abort() {
	ctx, cancel := context.WithTimeout(context.Background(), CloseLimit) // the context of the call may have ended
	defer cancel()
	_ = c.PG.CancelRequest(ctx)
	c.Drop()
	c.Close()
}
