package extract

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"

	"headwater/connectors/driver"
	"headwater/connectors/reuse"
	"headwater/handlers/landing/parts"
)

// Serve runs this process as a child of a Pool: it carries out the calls that come on
// in, answers on out, and returns when in ends. setup makes the Opener from
// PoolConfig.Setup; lines of the log that it is given go to PoolConfig.Log. Serve returns
// the error of the pipes, or that of setup.
func Serve(ctx context.Context, in io.Reader, out io.Writer, setup func(json.RawMessage, *slog.Logger) (Opener, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, c := bufio.NewReader(in), &child{out: newPipe(out), before: retained()}
	kind, payload, err := receive(r)
	if err != nil || kind != frameSetup {
		return fmt.Errorf("no setup came: %w", err)
	}
	lines := writerFunc(func(line []byte) (int, error) { return len(line), c.out.send(frameLog, line) })
	opener, err := setup(payload, slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err := errors.Join(c.out.sendJSON(frameReady, failureOf(err)), err); err != nil {
		return err
	}
	defer func() {
		if c.session != nil {
			c.session.Close()
		}
	}()
	// Frames are read while a call runs, so that it can be cancelled and ends
	// with the parent.
	calls := make(chan call)
	ended := make(chan error, 1)
	running := atomic.Pointer[context.CancelCauseFunc]{}
	go func() {
		defer cancel()
		defer close(calls)
		for {
			kind, payload, err := receive(r)
			if err != nil {
				ended <- err
				return
			}
			switch kind {
			case frameCancel:
				if stop := running.Load(); stop != nil {
					(*stop)(nil)
				}
				continue
			case frameLanded:
				c.landed(ctx, payload, running.Load())
				continue
			case frameWiden:
				if w := c.widens.Load(); w != nil {
					(*w).Widen()
				}
				continue
			}
			ctx, stop := context.WithCancelCause(ctx)
			running.Store(&stop)
			calls <- call{ctx, kind, payload}
		}
	}()
	for call := range calls {
		answer := c.handle(call, opener)
		(*running.Load())(nil)
		if err := c.out.sendJSON(frameResult, answer); err != nil {
			return err
		}
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

type call struct {
	ctx     context.Context
	kind    byte
	payload []byte
}

type child struct {
	out      *pipe
	session  Session
	widens   atomic.Pointer[Widener] // the session's
	files    atomic.Uint32
	confirms confirming
	before   int64 // what was retained before there was a source
}

// handle carries one call out.
func (c *child) handle(call call, opener Opener) (answer result) {
	fail := func(err error) result { return result{Failure: failureOf(err)} }
	if call.kind != frameOpen && c.session == nil {
		return fail(errors.New("no source is open"))
	}
	c.confirms.wait() // what was confirmed before the call is known to the source before it
	switch call.kind {
	case frameCapture, frameChanges, frameConfirm, frameStanding, frameHolds, frameRelease:
		return c.follow(call)
	case frameOpen:
		var o openCall
		err := json.Unmarshal(call.payload, &o)
		if err == nil && c.session != nil {
			err = errors.New("a source is open")
		}
		if err == nil {
			c.session, err = opener.Open(call.ctx, o.Of, o.Connector, o.Public, o.Secret, o.Limits)
		}
		answer := fail(err)
		if w, ok := c.session.(Widener); ok && err == nil {
			c.widens.Store(&w)
		}
		if k, ok := c.session.(Knower); ok && err == nil {
			answer.Knows = k.Knows()
		}
		if s, ok := c.session.(Sharer); ok && err == nil {
			answer.Shares = s.Shares()
		}
		if s, ok := c.session.(Capturer); ok && err == nil {
			answer.Captures = s.Captures()
		}
		return answer
	case frameCheck:
		if err := c.know(call.payload); err != nil {
			return fail(err)
		}
		steps, err := c.session.Check(call.ctx)
		answer := fail(err)
		for _, s := range steps {
			e := failureOf(s.Err)
			s.Err = nil
			answer.Steps = append(answer.Steps, step{s, e})
		}
		return answer
	case frameDiscover:
		if err := c.know(call.payload); err != nil {
			return fail(err)
		}
		tables, err := c.session.Discover(call.ctx)
		var some *driver.UnreadTables
		if !errors.As(err, &some) {
			return result{Failure: failureOf(err), Tables: tables}
		}
		answer := result{Tables: tables}
		for _, t := range some.Tables {
			e := failureOf(t.Err)
			t.Err = nil
			answer.Unread = append(answer.Unread, unread{t, e})
		}
		return answer
	case frameShare:
		var s shareCall
		if err := json.Unmarshal(call.payload, &s); err != nil {
			return fail(err)
		}
		return c.share(call.ctx, s)
	case frameExtract:
		var x extractCall
		err := json.Unmarshal(call.payload, &x)
		if err == nil {
			x.Request.Layout, err = parts.UnmarshalLayout(x.Layout)
		}
		if err == nil {
			err = c.extract(call.ctx, x.Request)
		}
		return fail(err)
	case frameClose:
		err := c.session.Close()
		c.session = nil
		c.widens.Store(nil)
		c.giveBack(worthGivingIdle)
		return fail(err)
	}
	return fail(fmt.Errorf("an unknown call %q", call.kind))
}

// know hands the source what the caller knows of it.
func (c *child) know(payload []byte) error {
	var l lookCall
	if err := json.Unmarshal(payload, &l); err != nil {
		return err
	}
	if k, ok := c.session.(Knower); ok && l.Known != nil {
		k.Know(l.Known)
	}
	return nil
}

func (c *child) extract(ctx context.Context, r Request) error {
	if r.Digest != nil { // the service's own half, which follows, needs memory too
		c.giveBack(worthGiving)
		defer c.giveBack(worthGiving)
	}
	for m, err := range c.session.Extract(ctx, r, c) {
		if err == nil {
			err = c.out.sendJSON(frameMessage, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// worthGiving is how much a process must have left over for it to be given back:
// that takes a collection, and whoever needs it again pays for it again. A process
// without a source may wait for one for a while, beside those that work.
const (
	worthGiving     = 16 << 20
	worthGivingIdle = 4 << 20
)

// giveBack returns to the system what calls before have left over, if it is that much.
func (c *child) giveBack(worth int64) {
	if retained() > c.before+worth {
		reuse.Drop()
		debug.FreeOSMemory()
	}
}

// retained returns the bytes of the heap that the system has not got back.
func retained() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapSys - m.HeapReleased)
}

// NextName names a part by its number; the parent knows where it lies.
func (c *child) NextName() string {
	return remotePrefix + strconv.FormatUint(uint64(c.files.Add(1)), 10)
}

// remotePrefix begins the name of every part that a child makes.
const remotePrefix = "part-"

// Create sends what is written to the parent, which makes it durable before it
// believes any Message that names the part.
func (c *child) Create(name string) (io.WriteCloser, error) { return c.create(name) }

// create makes a part, of the table that table names where there are several.
func (c *child) create(name string, table ...byte) (io.WriteCloser, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(name, remotePrefix), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("a part called %q", name)
	}
	f := &remoteFile{out: c.out}
	binary.LittleEndian.PutUint32(f.number[:], uint32(n))
	f.buffer = bufio.NewWriterSize(writerFunc(f.send), chunk)
	return f, f.out.send(frameCreate, f.number[:], table)
}

// remoteFile is a part on its way to the parent.
type remoteFile struct {
	out    *pipe
	number [4]byte
	buffer *bufio.Writer
	closed bool
}

func (f *remoteFile) Write(p []byte) (int, error) { return f.buffer.Write(p) }

func (f *remoteFile) send(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxBytes)
		if err := f.out.send(frameBytes, f.number[:], rest[:n]); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

func (f *remoteFile) Close() error {
	if f.closed {
		return nil
	}
	f.closed = true
	if err := f.buffer.Flush(); err != nil {
		return err
	}
	return f.out.send(frameEnd, f.number[:])
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// LocalOpener opens sources of this process: what a child's setup returns.
type LocalOpener struct {
	OpenSource func(ctx context.Context, of, connector string, public, secret json.RawMessage, limits driver.Limits) (Source, error)
	Log        *slog.Logger
}

// Open returns the source as a Session of this process.
func (o LocalOpener) Open(ctx context.Context, of, connector string, public, secret json.RawMessage, limits driver.Limits) (Session, error) {
	s, err := o.OpenSource(ctx, of, connector, public, secret, limits)
	if err != nil {
		return nil, err
	}
	return Local(s, o.Log), nil
}

// Forget does nothing: nothing is kept in this process.
func (o LocalOpener) Forget(string) {}
