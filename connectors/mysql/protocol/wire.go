// Package protocol is the packets of an authenticated MySQL connection: statements go
// out, rows come back where the network put them. go-sql-driver logs in; what it
// does not know of that is in Login.
package protocol

import (
	"bytes"
	"errors"
	"io"
	"net"

	"headwater/connectors/mysql/lenenc"
)

var (
	// ErrPacket says that the other side does not keep to the protocol.
	ErrPacket = errors.New("a packet is not of the form that was expected")
	// ErrTooLong is a packet beyond the limit. It was not read.
	ErrTooLong = errors.New("a packet is longer than the limit")
)

const (
	headerLen = 4
	maxFrame  = 1<<24 - 1 // a frame of this length is followed by another of its packet
	// readSize is how much one read of the socket takes at most: a reader that
	// falls back a little costs both sides fewer wake-ups.
	readSize = 256 << 10
)

// wire reads and writes the packets of an authenticated connection. It reads
// rows where the network put them. It is not safe for concurrent use.
type wire struct {
	conn  net.Conn
	limit int64  // bytes of one packet
	seq   byte   // of the next frame, either way
	buf   []byte // buf[r:w] is read and not yet handed out
	r, w  int
	whole []byte // a packet that came in several frames
}

func newWire(conn net.Conn, limit int64) *wire {
	return &wire{conn: conn, limit: limit, buf: make([]byte, readSize)}
}

// command sends a command, the first packet of an exchange.
func (w *wire) command(code byte, text string) error {
	n := 1 + len(text)
	if n >= maxFrame {
		return ErrTooLong
	}
	packet := make([]byte, 0, headerLen+n)
	packet = append(packet, byte(n), byte(n>>8), byte(n>>16), 0, code)
	packet = append(packet, text...)
	w.seq = 1
	_, err := w.conn.Write(packet)
	return err
}

// packet returns the next packet's payload, which is valid until the next call.
// A packet over the limit is errTooLong before it is read, an end within one is
// io.ErrUnexpectedEOF.
func (w *wire) packet() ([]byte, error) {
	w.whole = w.whole[:0]
	p, more, err := w.frame(w.limit)
	if err != nil || !more {
		return p, err
	}
	for {
		w.whole = append(w.whole, p...)
		if !more {
			break
		}
		if p, more, err = w.frame(w.limit - int64(len(w.whole))); err != nil {
			return nil, err
		}
	}
	whole := w.whole
	if cap(whole) > 4*readSize { // one huge row must not stay
		w.whole = nil
	}
	return whole, nil
}

// skippedBegin is how much of a packet that is skipped is kept.
const skippedBegin = 256

// skip reads past the packet of which packet has just returned ErrTooLong, and returns
// how it begins, skippedBegin bytes at most, and how long it is.
func (w *wire) skip() (begin []byte, size int64, err error) {
	begin, size = bytes.Clone(w.whole[:min(len(w.whole), skippedBegin)]), int64(len(w.whole))
	w.whole = nil
	for more := true; more; {
		n, err := w.header()
		if err != nil {
			return nil, 0, err
		}
		w.r, size, more = w.r+headerLen, size+int64(n), n == maxFrame
		for n > 0 {
			if w.w == w.r {
				if err := w.fill(1); err != nil {
					return nil, 0, err
				}
			}
			part := w.buf[w.r:min(w.w, w.r+n)]
			begin = append(begin, part[:min(len(part), skippedBegin-len(begin))]...)
			w.r, n = w.r+len(part), n-len(part)
		}
		w.seq++
	}
	return begin, size, nil
}

// header returns the length of the next frame, which stays to be read. It is ErrPacket
// for a frame out of turn.
func (w *wire) header() (n int, err error) {
	if w.w-w.r < headerLen {
		if err := w.fill(headerLen); err != nil {
			return 0, err
		}
	}
	h := w.buf[w.r : w.r+headerLen]
	if h[3] != w.seq {
		return 0, ErrPacket
	}
	return int(h[0]) | int(h[1])<<8 | int(h[2])<<16, nil
}

// frame returns one frame and whether its packet goes on.
func (w *wire) frame(limit int64) (p []byte, more bool, err error) {
	if w.w-w.r < headerLen {
		if err := w.fill(headerLen); err != nil {
			return nil, false, err
		}
	}
	h := w.buf[w.r : w.r+headerLen]
	n, seq := int(h[0])|int(h[1])<<8|int(h[2])<<16, h[3]
	if int64(n) > limit {
		return nil, false, ErrTooLong
	}
	if w.w-w.r < headerLen+n {
		if err := w.fill(headerLen + n); err != nil {
			return nil, false, err
		}
	}
	p = w.buf[w.r+headerLen : w.r+headerLen+n : w.r+headerLen+n]
	w.r += headerLen + n
	// A server that is shut down speaks up between two packets of others.
	if seq != w.seq && !isErr(p) {
		return nil, false, ErrPacket
	}
	w.seq = seq + 1
	return p, n == maxFrame, nil
}

// fill reads until n bytes are there.
func (w *wire) fill(n int) error {
	switch {
	case n > len(w.buf):
		grown := make([]byte, n)
		w.w = copy(grown, w.buf[w.r:w.w])
		w.buf = grown
	case w.r == w.w && len(w.buf) > 4*readSize:
		w.buf, w.w = make([]byte, max(n, readSize)), 0
	default:
		w.w = copy(w.buf, w.buf[w.r:w.w])
	}
	w.r = 0
	for w.w < n {
		read, err := w.conn.Read(w.buf[w.w:])
		w.w += read
		if err != nil && w.w < n {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// Field returns the first length-encoded string, nil for NULL, and what lies
// behind it.
func Field(p []byte) (text, rest []byte, ok bool) {
	if len(p) > 0 && p[0] == Null {
		return nil, p[1:], true
	}
	return lenenc.String(p)
}

// FieldAt returns the field with that index, nil for NULL.
func FieldAt(p []byte, index int) (text []byte, ok bool) {
	for range index + 1 {
		if text, p, ok = Field(p); !ok {
			return nil, false
		}
	}
	return text, true
}
