package bus

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"headwater/bus/event"
	"headwater/bus/wire"
)

// wireConn speaks as much of NATS' client protocol as pulling from a consumer of
// the broker in this process takes. nats.go makes a map of each message's
// headers, a slice of its body and a string of its subject, which costs more
// than all that the projection does with the event; here a chunk of messages is
// one piece of memory.
type wireConn struct {
	conn  net.Conn
	in    *bufio.Reader
	inbox string
	next  string // subject of pulls
	owed  int    // messages that were asked for and have not come

	fields [][]byte // of the line before
}

var (
	errWire = errors.New("the broker says what a replay does not understand")
	errGone = errors.New("the broker dropped the consumer")
)

// pull reads from the named consumer until the last message, or until it breaks
// or skips one.
func (r *replay) pull(consumer string) error {
	conn, err := r.bus.broker.server.InProcessConn()
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	defer conn.Close()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // a read knows no context
		select {
		case <-r.ctx.Done():
			_ = conn.Close()
		case <-stop:
		}
	}()
	w := &wireConn{conn: conn, in: bufio.NewReaderSize(&patient{Conn: conn}, 128<<10), inbox: "_INBOX." + wire.SecretName(), next: "$JS.API.CONSUMER.MSG.NEXT." + StreamEvents + "." + consumer}
	if err := w.connect(r.bus.broker.user, r.bus.broker.password); err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	return r.gather(w)
}

// gather reads until the last message or a gap.
func (r *replay) gather(w *wireConn) error {
	for delivered := uint64(1); ; delivered++ {
		if err := w.ask(); err != nil {
			return err
		}
		m, consumer, err := w.read(r)
		if err != nil {
			return err
		}
		if consumer != delivered || r.skips(m.sequence) { // what came behind the gap comes again
			return nil
		}
		if r.chunk().add(m); !r.pass(m.sequence) {
			return nil
		}
	}
}

func (w *wireConn) connect(user, password string) error {
	hello, err := json.Marshal(map[string]any{
		"name": "headwater-replay", "lang": "go", "version": "1", "protocol": 1, "verbose": false, "pedantic": false,
		"headers": true, "no_responders": true, "user": user, "pass": password,
	})
	if err != nil {
		return err
	}
	if _, err := w.line(); err != nil { // INFO
		return err
	}
	if err := w.write("CONNECT " + string(hello) + "\r\nSUB " + w.inbox + " 1\r\nPING\r\n"); err != nil {
		return err
	}
	for {
		line, err := w.line()
		if err != nil {
			return err
		}
		switch {
		case bytes.Equal(line, []byte("PONG")):
			return nil
		case bytes.HasPrefix(line, []byte("-ERR")):
			return fmt.Errorf("%w: %s", errWire, line)
		}
	}
}

func (w *wireConn) write(text string) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(orderedExpiry)); err != nil {
		return err
	}
	_, err := io.WriteString(w.conn, text)
	return err
}

// patient is a connection on which something comes before two pulls have ended:
// a broker in this process does not die by itself, but a busy machine is slow.
type patient struct {
	net.Conn
	set time.Time // the deadline was, last
}

func (p *patient) Read(b []byte) (int, error) {
	// A deadline is a timer, which not each of 200,000 reads a second needs anew.
	if now := time.Now(); now.Sub(p.set) > time.Second {
		if err := p.SetReadDeadline(now.Add(2 * orderedExpiry)); err != nil {
			return 0, err
		}
		p.set = now
	}
	return p.Conn.Read(b)
}

// line reads a line of the protocol; it is good until the next read.
func (w *wireConn) line() ([]byte, error) {
	line, err := w.in.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

// ask keeps enough messages coming.
func (w *wireConn) ask() error {
	if w.owed > replayWindow/2 {
		return nil
	}
	body := fmt.Sprintf(`{"batch":%d,"max_bytes":%d,"expires":%d,"idle_heartbeat":%d}`, replayWindow, replayBytes, orderedExpiry, orderedPulse)
	w.owed += replayWindow
	return w.write(fmt.Sprintf("PUB %s %s %d\r\n%s\r\n", w.next, w.inbox, len(body), body))
}

// read returns the next message, which lies in the memory of the chunk at hand,
// and its place among those of the consumer.
func (w *wireConn) read(r *replay) (m replayed, consumer uint64, err error) {
	for {
		line, err := w.line()
		if err != nil {
			return m, 0, err
		}
		switch verb, args, _ := bytes.Cut(line, []byte(" ")); {
		case bytes.EqualFold(verb, []byte("HMSG")), bytes.EqualFold(verb, []byte("MSG")):
			told, err := w.message(r.chunk(), args, len(verb) == len("HMSG"))
			if err != nil {
				return m, 0, err
			}
			if told.sequence > 0 {
				w.owed--
				return told.replayed, told.consumer, nil
			}
			if w.owed -= told.pending; told.over {
				return m, 0, errGone
			}
			if told.idle && r.bus.readable(r.ctx, r.at+1) != nil {
				return m, 0, errGone
			}
			if err := w.ask(); err != nil {
				return m, 0, err
			}
		case bytes.EqualFold(verb, []byte("PING")):
			if err := w.write("PONG\r\n"); err != nil {
				return m, 0, err
			}
		case bytes.EqualFold(verb, []byte("PONG")), bytes.EqualFold(verb, []byte("INFO")), bytes.EqualFold(verb, []byte("+OK")):
		default:
			return m, 0, fmt.Errorf("%w: %q", errWire, line)
		}
	}
}

// told is what one message says of itself: an event has its places, anything
// else is a status.
type told struct {
	replayed
	consumer uint64
	pending  int  // messages of a pull that ended without them
	over     bool // the consumer is gone
	idle     bool // it has nothing for us
}

// message reads what stands behind "MSG " or "HMSG ": subject, subscription,
// perhaps where to answer, the size of the headers if there are any, and of all;
// then these.
func (w *wireConn) message(c *chunk, args []byte, headed bool) (told, error) {
	fields, header, sizes := w.fields[:0], 0, 1
	for field := range bytes.FieldsSeq(args) {
		fields = append(fields, field)
	}
	if w.fields = fields; headed {
		sizes = 2
	}
	if n := len(fields) - sizes; n != 2 && n != 3 {
		return told{}, fmt.Errorf("%w: a message of %q", errWire, args)
	}
	size, err := strconv.Atoi(string(fields[len(fields)-1]))
	if err == nil && headed {
		header, err = strconv.Atoi(string(fields[len(fields)-2]))
	}
	if err != nil || header < 0 || size < header || size > 2*maxPayload {
		return told{}, fmt.Errorf("%w: a message of %q", errWire, args)
	}
	var t told
	if len(fields)-sizes == 3 {
		t.sequence, t.consumer = places(fields[2])
	}
	subject := len(fields[0])
	text := c.take(subject + header)
	copy(text, fields[0]) // before the line is read over
	if _, err := io.ReadFull(w.in, text[subject:]); err != nil {
		return told{}, err
	}
	// The texts of the event will point into its body, long after its neighbours
	// are forgotten.
	body := make([]byte, size-header)
	if _, err := io.ReadFull(w.in, body); err != nil {
		return told{}, err
	}
	if end, err := w.line(); err != nil || len(end) > 0 {
		return told{}, errors.Join(err, errWire)
	}
	headers := headersOf(shared(text[subject:]))
	if t.sequence == 0 {
		return headers.status(), nil
	}
	t.subject, t.headers, t.body = shared(text[:subject]), headers, body
	return t, nil
}

// take returns memory that nothing else is read into.
func (c *chunk) take(size int) []byte {
	if cap(c.text)-len(c.text) < size {
		c.text = make([]byte, 0, max(size, chunkText))
	}
	begin := len(c.text)
	c.text = c.text[:begin+size]
	return c.text[begin:len(c.text):len(c.text)]
}

// chunkText is what messages of a chunk are read into at a time.
const chunkText = 64 << 10

// shared returns the bytes, which never change again, as a string.
func shared(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// places reads the numbers of an event's acknowledgement subject,
// $JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<deliveries>.<stream
// sequence>.<consumer sequence>.<time>.<pending>[.<token>], 0 for any other.
func places(subject []byte) (stream, consumer uint64) {
	rest, ok := bytes.CutPrefix(subject, []byte("$JS.ACK."))
	if !ok {
		return 0, 0
	}
	skip := 3
	if n := bytes.Count(rest, []byte(".")); n >= 8 {
		skip = 5
	}
	for range skip {
		_, rest, _ = bytes.Cut(rest, []byte("."))
	}
	first, rest, _ := bytes.Cut(rest, []byte("."))
	second, _, _ := bytes.Cut(rest, []byte("."))
	return digits(first), digits(second)
}

// digits returns a decimal number, 0 for anything else.
func digits(text []byte) (n uint64) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// wireHeaders are those of a message that a reader of events asks for.
type wireHeaders struct{ id, kind, time, causation, trace, ref, pending, first string }

// headersOf reads a header block. Of a repeated header the first value counts.
func headersOf(block string) *wireHeaders {
	h := &wireHeaders{}
	h.first, block, _ = strings.Cut(block, "\r\n")
	for len(block) > 2 {
		var line string
		line, block, _ = strings.Cut(block, "\r\n")
		colon := strings.IndexByte(line, ':')
		if colon < 0 {
			continue
		}
		if into := h.field(line[:colon]); into != nil && *into == "" {
			*into = strings.TrimSpace(line[colon+1:])
		}
	}
	return h
}

func (h *wireHeaders) field(name string) *string {
	switch name {
	case event.HeaderID:
		return &h.id
	case event.HeaderType:
		return &h.kind
	case event.HeaderTime:
		return &h.time
	case event.HeaderCausationID:
		return &h.causation
	case event.HeaderTraceParent:
		return &h.trace
	case event.HeaderDataRef:
		return &h.ref
	case "Nats-Pending-Messages":
		return &h.pending
	}
	return nil
}

// Get returns the value of a header that event.Parse asks for, "" where there is
// none.
func (h *wireHeaders) Get(name string) string {
	if v := h.field(name); v != nil {
		return *v
	}
	return ""
}

// status reads what came in the place of an event: a heartbeat, or the end of a
// pull.
func (h *wireHeaders) status() told {
	code, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(h.first, "NATS/1.0"), " "), " ")
	pending, err := strconv.Atoi(h.pending)
	switch {
	case code == "100":
		return told{idle: true}
	case err == nil && pending >= 0: // the end of a pull, by its count, size or time
		return told{pending: pending}
	}
	return told{over: true}
}
