package extract

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"headwater/connectors/driver"
	"headwater/handlers/landing/parts"
)

// A frame is a byte that says what it is, the length of the rest in four bytes
// (little endian), and the rest: JSON, or for the last three the number of a
// file in four bytes, then its bytes, or which table's it is in four.
const (
	frameSetup    = 'S' // to the child, first: what the Opener is made of
	frameOpen     = 'O' // to the child: openCall
	frameCheck    = 'C' // to the child: lookCall
	frameDiscover = 'D' // to the child: lookCall
	frameExtract  = 'X' // to the child: extractCall
	frameShare    = 'H' // to the child: shareCall
	frameCapture  = 'P' // to the child: driver.Capture
	frameChanges  = 'G' // to the child: changesCall
	frameConfirm  = 'K' // to the child: confirmCall
	frameStanding = 'U' // to the child: nothing
	frameHolds    = 'V' // to the child: releaseCall
	frameRelease  = 'Y' // to the child: releaseCall
	frameLanded   = 'k' // to the child, while frameChanges runs: confirmCall, without an answer
	frameWiden    = 'W' // to the child, at any time: Widener, without an answer
	frameClose    = 'Z' // to the child: closes the source, which may be opened again
	frameCancel   = 'c' // to the child: ends the running call
	frameReady    = 'r' // from the child: the answer to frameSetup
	frameLog      = 'L' // from the child: a line of its log, as slog's JSON
	frameResult   = 'R' // from the child: result, the end of a call
	frameMessage  = 'M' // from the child: Message
	frameChange   = 'N' // from the child: ChangesMessage
	frameCreate   = 'F' // from the child: a file begins
	frameBytes    = 'B' // from the child: more of a file
	frameEnd      = 'E' // from the child: the file is complete
)

// Bounds of what a child may send at once.
const (
	maxJSON  = 256 << 20 // the schema of 50,000 tables
	maxBytes = 1 << 20
	chunk    = 256 << 10 // what a child sends of a file at once
)

type openCall struct {
	Of        string          `json:"of"`
	Connector string          `json:"connector"`
	Public    json.RawMessage `json:"public"`
	Secret    json.RawMessage `json:"secret,omitempty"`
	Limits    driver.Limits   `json:"limits"`
}

// lookCall is a check or a discovery of a source that may want to know what it
// was before.
type lookCall struct {
	Known []driver.Table `json:"known,omitempty"`
}

type extractCall struct {
	Request
	Layout []byte // instead of the Request's
}

// shareCall has the child hold a moment for others.
type shareCall struct {
	Readers int `json:"readers"`
}

// changesCall reads the log that the child has taken up.
type changesCall struct {
	Tables    []changedTable `json:"tables"`
	PartSize  int64          `json:"part_size"`
	Memory    int64          `json:"memory"`
	TellEvery time.Duration  `json:"tell_every"`
}

// changedTable is a ChangedTable on the wire; one without a Layout is left out.
type changedTable struct {
	Table  driver.Table `json:"table"`
	Layout []byte       `json:"layout,omitempty"`
	Key    []string     `json:"key,omitempty"`
	Log    bool         `json:"log,omitempty"`
}

type confirmCall struct {
	Position string `json:"position"`
}

type releaseCall struct {
	Reader string `json:"reader"`
	Owner  string `json:"owner,omitempty"`
}

// captureResult is a Captured on the wire.
type captureResult struct {
	Moment   string           `json:"moment,omitempty"`
	Position string           `json:"position,omitempty"`
	Refused  map[int]*failure `json:"refused,omitempty"`
}

// result is the end of a call.
type result struct {
	Failure *failure       `json:"failure,omitempty"`
	Steps   []step         `json:"steps,omitempty"`
	Tables  []driver.Table `json:"tables,omitempty"`
	Knows   bool           `json:"knows,omitempty"`  // of an open: the source is a Knower
	Shares  bool           `json:"shares,omitempty"` // of an open: the source has moments to share
	Moment  string         `json:"moment,omitempty"` // of a share
	// Captures is of an open: the source has a log of changes. Captured is of a capture.
	Captures bool             `json:"captures,omitempty"`
	Captured *captureResult   `json:"captured,omitempty"`
	Standing *driver.Standing `json:"standing,omitempty"`
	Holds    bool             `json:"holds,omitempty"`
	Unread   []unread         `json:"unread,omitempty"` // beside Tables, and no Failure of the call
}

type step struct {
	driver.Step
	Err *failure // instead of the Step's
}

type unread struct {
	driver.UnreadTable
	Err *failure // instead of the UnreadTable's
}

func (r *result) tables() ([]driver.Table, error) {
	if len(r.Unread) == 0 {
		return r.Tables, nil
	}
	e := &driver.UnreadTables{}
	for _, t := range r.Unread {
		t.UnreadTable.Err = t.Err.err()
		e.Tables = append(e.Tables, t.UnreadTable)
	}
	return r.Tables, e
}

// failure is an error on the wire. Errors of sources are scrubbed before.
type failure struct {
	Kind      int    `json:"kind"` // index of kinds; -1 for an error of no kind
	Message   string `json:"message"`
	Cancelled bool   `json:"cancelled,omitempty"`
}

var kinds = []error{
	driver.ErrInvalidConfig, driver.ErrUnreachable, driver.ErrAuthentication, driver.ErrPermission, driver.ErrNotFound,
	driver.ErrBadData, driver.ErrUnsupported, driver.ErrLimit, driver.ErrTimeout, parts.ErrStorage, driver.ErrReplaced, driver.ErrRetyped,
}

func failureOf(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Kind: -1, Message: err.Error(), Cancelled: errors.Is(err, context.Canceled)}
	for i, kind := range kinds {
		if errors.Is(err, kind) {
			f.Kind = i
			break
		}
	}
	return f
}

func (f *failure) err() error {
	if f == nil {
		return nil
	}
	var cause error
	if f.Cancelled {
		cause = context.Canceled
	}
	if f.Kind < 0 || f.Kind >= len(kinds) {
		if f.Cancelled {
			return cause
		}
		return errors.New(f.Message)
	}
	return &driver.Error{Kind: kinds[f.Kind], Message: f.Message, Cause: cause}
}

// pipe writes frames. It is safe for concurrent use.
type pipe struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func newPipe(w io.Writer) *pipe { return &pipe{w: bufio.NewWriterSize(w, chunk)} }

// send writes one frame whose payload is the parts one after another.
func (p *pipe) send(kind byte, payload ...[]byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, b := range payload {
		n += len(b)
	}
	var head [5]byte
	head[0] = kind
	binary.LittleEndian.PutUint32(head[1:], uint32(n))
	if _, err := p.w.Write(head[:]); err != nil {
		return err
	}
	for _, b := range payload {
		if _, err := p.w.Write(b); err != nil {
			return err
		}
	}
	return p.w.Flush()
}

func (p *pipe) sendJSON(kind byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	if len(b) > maxJSON {
		return driver.E(driver.ErrLimit, nil, "the answer has %d MiB; at most %d are read", len(b)>>20, maxJSON>>20)
	}
	return p.send(kind, b)
}

// payloads are those of frames of bytes that nobody needs any more. They are most
// of what goes through a pipe.
var payloads = sync.Pool{New: func() any { return new([chunk + 4]byte) }}

// giveUp gives up a payload of frameBytes.
func giveUp(payload []byte) {
	if cap(payload) == chunk+4 {
		payloads.Put((*[chunk + 4]byte)(payload[:chunk+4]))
	}
}

// receive reads one frame. Its payload is the caller's, who may give one of
// frameBytes up by giveUp.
func receive(r *bufio.Reader) (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[1:])
	limit := uint32(maxJSON)
	if head[0] == frameBytes {
		limit = maxBytes + 4
	}
	if n > limit {
		return 0, nil, fmt.Errorf("a frame %q of %d bytes", head[0], n)
	}
	if head[0] == frameBytes && n <= chunk+4 {
		payload = payloads.Get().(*[chunk + 4]byte)[:n]
	} else {
		payload = make([]byte, n)
	}
	_, err = io.ReadFull(r, payload)
	return head[0], payload, err
}
