package extract

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"headwater/connectors/driver"
)

// How long a child may take to be ready and to open its source, and for any other
// call but Extract: longer than the connectors' own limits, which end what hangs
// unless the child itself does.
const (
	openLimit = 45 * time.Second
	callLimit = 6 * time.Minute
)

// errMute is why a call ends whose child says nothing at all.
var errMute = driver.E(driver.ErrTimeout, nil, "the connector's process did not answer in time")

// remote is a source in a child.
type remote struct {
	*process
	reads   func() // is told that a table is read
	rest    func() // takes the child back when its source is closed
	ended   func() // last of all, once
	closing sync.Once
	knows   bool
	shares  bool
	follows follows
	known   []driver.Table
	busy    atomic.Bool // a call runs, or there will be no more
	failed  atomic.Bool // one did: the child is not used again
}

// open opens the source in a child, once that is ready. Any error is the
// caller's reason to close the Session.
func (s *remote) open(ctx context.Context, o openCall) error {
	ctx, done := context.WithTimeoutCause(ctx, openLimit, errMute)
	defer done()
	if s.busy.Load() {
		if _, err := s.wait(ctx); err != nil {
			return err
		}
	}
	r, err := s.call(ctx, frameOpen, o)
	s.follows.captures = err == nil && r.Captures
	s.knows, s.shares = err == nil && r.Knows, err == nil && r.Shares
	return err
}

// call makes one call and returns its result. When ctx ends the child is told
// to stop, and killed if it does not.
func (s *remote) call(ctx context.Context, kind byte, v any) (*result, error) {
	ctx, done := context.WithTimeoutCause(ctx, callLimit, errMute)
	defer done()
	if err := s.begin(ctx, kind, v); err != nil {
		return nil, err
	}
	return s.wait(ctx)
}

// begin sends a call. A child that reads nothing, as one that was stopped, is
// killed when ctx ends.
func (s *remote) begin(ctx context.Context, kind byte, v any) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.busy.Swap(true) {
		select {
		case <-s.dead:
			return s.err
		default:
			return errClosed
		}
	}
	stop := context.AfterFunc(ctx, func() { s.kill(nil) })
	err := s.in.sendJSON(kind, v)
	if !stop() {
		<-s.killed()
		return context.Cause(ctx)
	}
	if err != nil {
		return s.lost()
	}
	return nil
}

// lost says why a child takes nothing more: it has ended, or does.
func (s *remote) lost() error {
	dead := s.drained()
	select { // by itself, which tells more
	case <-dead:
	case <-time.After(closeGrace):
		s.kill(nil)
		<-dead
	}
	return s.err
}

// killed ends a child that cannot be talked to.
func (s *remote) killed() <-chan struct{} {
	s.kill(nil)
	return s.drained()
}

// drained returns dead, and keeps the child's last words from blocking it.
func (s *remote) drained() <-chan struct{} {
	go func() {
		for {
			select {
			case <-s.replies:
			case <-s.dead:
				return
			}
		}
	}()
	return s.dead
}

// wait returns the result of the running call, whose messages it drops.
func (s *remote) wait(ctx context.Context) (*result, error) {
	for {
		r, err := s.next(ctx)
		if err != nil || r.result != nil {
			return r.result, err
		}
	}
}

// next returns what the running call sends next. An error ends the call.
func (s *remote) next(ctx context.Context) (reply, error) {
	select {
	case r := <-s.replies:
		return r, s.took(r)
	case <-ctx.Done():
		s.failed.Store(true)
		s.cancel()
		return reply{}, context.Cause(ctx)
	case <-s.dead:
		select { // what it said before it died
		case r := <-s.replies:
			return r, s.took(r)
		default:
			return reply{}, s.err
		}
	}
}

// took notes what a reply means for the calls to come, and returns its error.
func (s *remote) took(r reply) error {
	if r.result == nil {
		return nil
	}
	err := r.result.Failure.err()
	if err != nil {
		s.failed.Store(true)
	}
	s.busy.Store(false)
	return err
}

// cancel ends the running call: by itself, or with the child.
func (s *remote) cancel() {
	timer := time.NewTimer(cancelGrace)
	defer timer.Stop()
	if s.in.send(frameCancel) != nil {
		s.kill(nil)
	}
	for {
		select {
		case r := <-s.replies:
			if r.result != nil {
				s.busy.Store(false)
				return
			}
		case <-timer.C:
			s.kill(nil)
		case <-s.dead:
			return
		}
	}
}

func (s *remote) Knows() bool { return s.knows }

// Know keeps the tables for the next Check and Discover.
func (s *remote) Know(tables []driver.Table) { s.known = tables }

func (s *remote) Check(ctx context.Context) ([]driver.Step, error) {
	r, err := s.call(ctx, frameCheck, lookCall{s.known})
	if r == nil {
		return nil, err
	}
	steps := make([]driver.Step, len(r.Steps))
	for i, step := range r.Steps {
		steps[i] = step.Step
		steps[i].Err = step.Err.err()
	}
	return steps, err
}

func (s *remote) Discover(ctx context.Context) ([]driver.Table, error) {
	r, err := s.call(ctx, frameDiscover, lookCall{s.known})
	if err != nil {
		return nil, err
	}
	return r.tables()
}

func (s *remote) Extract(ctx context.Context, r Request, to Files) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		layout, err := r.Layout.Marshal()
		if err != nil {
			yield(Message{}, err)
			return
		}
		s.reads()
		files := newUploads(to)
		s.use(files)
		defer func() {
			s.use(nil)
			files.close()
		}()
		if err := s.begin(ctx, frameExtract, extractCall{Request: r, Layout: layout}); err != nil {
			yield(Message{}, err)
			return
		}
		// A file that cannot be written ends the call like its caller does.
		ctx, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		go func() {
			select {
			case <-files.failed:
				stop(files.err)
			case <-ctx.Done():
			}
		}()
		for {
			reply, err := s.next(ctx)
			if err == nil && reply.result != nil {
				return
			}
			if err == nil {
				if err = errProtocol; reply.message != nil {
					err = files.name(reply.message)
				}
				if errors.Is(err, errAbandoned) {
					<-s.dead
					err = s.err
				}
				if err != nil {
					s.failed.Store(true)
					s.cancel()
				}
			}
			if err != nil {
				yield(Message{}, err)
				return
			}
			if m := reply.message; !yield(*m, nil) {
				if m.Checkpoint == nil || !m.Checkpoint.Final { // with rows still to come
					s.failed.Store(true)
				}
				s.cancel()
				return
			}
		}
	}
}

// use says where the files of the running call go.
func (s *remote) use(files *uploads) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = files
}

// Close closes the source, and ends its child unless that may have it again. It
// returns nil: what a source says at its end changes nothing.
func (s *remote) Close() error {
	s.closing.Do(func() {
		defer s.ended()
		if idle := !s.busy.Swap(true); idle && !s.failed.Load() && s.closeSource() && !s.follows.held() {
			s.rest()
			return
		}
		s.close()
	})
	return nil
}

// closeSource reports whether the child has closed its source and stands as at
// its start.
func (s *remote) closeSource() bool {
	ctx, done := context.WithTimeout(context.Background(), closeGrace)
	defer done()
	stop := context.AfterFunc(ctx, func() { s.kill(nil) })
	defer stop()
	if s.in.sendJSON(frameClose, struct{}{}) != nil {
		return false
	}
	select {
	case r := <-s.replies:
		return r.result != nil && r.result.Failure == nil
	case <-s.dead:
		return false
	}
}
