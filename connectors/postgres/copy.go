package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
	"headwater/connectors/sqldb"
)

// readSize is how much is asked of the network at a time. The less often a
// reader calls, the fewer times the server is woken.
const readSize = 256 << 10

// What the server says during a COPY; pgproto3 would make a value of each.
const (
	msgCopyData, msgCopyOut, msgCopyDone, msgComplete = 'd', 'H', 'c', 'C'
	msgError, msgNotice, msgParameter, msgNotify      = 'E', 'N', 'S', 'A'
	msgColumns, msgRow, msgReady                      = 'T', 'D', 'Z'
)

// longRow is a row beyond the limit, of which no more than the beginning was
// read.
type longRow struct {
	size  int64
	begin []byte
}

func (e *longRow) Error() string { return "a row is too long" }

// errRewritten says that another heap came between a snapshot and the lock on it.
var errRewritten = driver.E(driver.ErrUnreachable, nil, "the table was truncated or rewritten just now: try again")

// maxReply bounds every message that is no row.
const maxReply = 1 << 20

// rowTaker takes the rows of a COPY.
type rowTaker interface {
	// Message takes the bytes of a row as they lie in the network's buffer, and
	// keeps nothing of them.
	Message(p []byte) error
	// Announce says how long the next row is, before it is read into memory.
	Announce(size int64) error
}

// copyOut sends statements of which one is a COPY TO STDOUT, and one may be
// unreplaced, and hands the bytes of each CopyData message, which are one row, to
// rows. A row longer than limit is a *longRow. The first row may take as long as
// patience says. After an error that did not come from the server the session is
// broken and was dropped.
//
// It reads the socket itself: through pgconn, every row costs two calls through
// interfaces and a copy.
func (c *session) copyOut(ctx context.Context, sql string, limit int64, patience time.Duration, rows rowTaker) error {
	if err := c.pg.SyncConn(ctx); err != nil {
		return classify(ctx, err, "")
	}
	conn := c.pg.Conn()
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = conn.SetDeadline(time.Unix(1, 0)) // ends the read or write in flight
	})
	c.wait(patience)
	err := c.exchange(sql, limit, rows)
	c.wait(0)
	if !stop() {
		<-fired
		c.abort()
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "stopped")
	}
	var server *pgconn.PgError
	if err != nil && !errors.As(err, &server) {
		c.abort()
	}
	return err
}

// wait sets how long the session's reads may wait, 0 for the idle limit.
func (c *session) wait(limit time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sqldb.Patience(c.sockets[0], limit)
}

// exchange sends the query and takes the answer up to ReadyForQuery.
func (c *session) exchange(sql string, limit int64, rows rowTaker) error {
	conn := c.pg.Conn()
	query := append(make([]byte, 0, len(sql)+6), 'Q')
	query = binary.BigEndian.AppendUint32(query, uint32(len(sql)+5))
	query = append(append(query, sql...), 0)
	if _, err := conn.Write(query); err != nil {
		return err
	}
	buf := make([]byte, readSize)
	at, end := 0, 0 // what was read and not yet taken
	var failed error
	announced, begun := false, false
	for {
		need := 5
		for end-at >= 5 {
			kind := buf[at]
			size := int64(binary.BigEndian.Uint32(buf[at+1:])) - 4
			switch {
			case size < 0 || kind != msgCopyData && size > maxReply:
				return binarycopy.ErrMalformed
			case kind == msgCopyData && size > limit:
				if need = 5 + int(min(size, binarycopy.LongBegin)); end-at < need {
					break
				}
				return &longRow{size, buf[at+5 : at+need]}
			}
			if kind == msgCopyData && size > limit {
				break
			}
			if kind == msgCopyData && size > binarycopy.LongSize && !announced {
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
			if kind == msgCopyData {
				if !begun && size > 19 { // not the header alone
					begun = true
					c.wait(0)
				}
				if err := rows.Message(body); err != nil {
					return err
				}
				announced = false
				continue
			}
			done, err := c.reply(kind, body, &failed)
			if err != nil {
				return err
			}
			if done {
				if at != end { // nobody may speak after that
					return binarycopy.ErrMalformed
				}
				return failed
			}
		}
		buf, at, end = room(buf, at, end, need, announced)
		n, err := conn.Read(buf[end:])
		end += n
		if n == 0 && err != nil {
			return err
		}
	}
}

// reply takes a message that is no row and reports whether the answer is over.
func (c *session) reply(kind byte, body []byte, failed *error) (done bool, err error) {
	switch kind {
	case msgReady:
		c.idle = len(body) == 1 && body[0] == 'I'
		return true, nil
	case msgError:
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
	case msgRow: // of unreplaced
		if string(body) != "\x00\x01\x00\x00\x00\x01f" {
			return false, errRewritten
		}
	case msgColumns, msgCopyDone, msgComplete, msgNotice, msgParameter, msgNotify:
	default:
		return false, binarycopy.ErrMalformed
	}
	return false, nil
}

// room makes place behind end for a message of need bytes that begins at at. It
// grows a long row's buffer as its bytes come, not on the server's word, but for
// an announced one, of which there is one at a time, and does not keep it.
func room(buf []byte, at, end, need int, announced bool) ([]byte, int, int) {
	to := buf
	switch {
	case announced && need > len(buf):
		to = make([]byte, need)
	case at == end && len(buf) > readSize:
		to = make([]byte, readSize)
	case end-at == len(buf) && need > len(buf):
		to = make([]byte, min(2*len(buf), need))
	case at == 0:
		return buf, at, end
	}
	n := copy(to, buf[at:end])
	return to, 0, n
}

// abort asks the server to stop what it does and drops the session.
func (c *session) abort() {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit) // the call that failed may be over
	defer cancel()
	_ = c.pg.CancelRequest(ctx)
	c.drop()
	c.close()
}
