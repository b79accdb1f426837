package extract

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"headwater/connectors/driver"
)

// follows is what a remote Session knows of its source's log of changes.
type follows struct {
	captures bool
	mu       sync.Mutex
	holds    bool // a log was taken up: its child is not used again
	reading  bool
}

func (f *follows) set(reading bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading = reading
}

func (f *follows) held() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.holds
}

func (s *remote) Captures() bool { return s.follows.captures }

func (s *remote) Capture(ctx context.Context, c driver.Capture) (Captured, error) {
	if !s.follows.captures {
		return Captured{}, uncaptured
	}
	s.follows.mu.Lock()
	s.follows.holds = true
	s.follows.mu.Unlock()
	r, err := s.call(ctx, frameCapture, c)
	if err != nil {
		return Captured{}, err
	}
	if r.Captured == nil {
		return Captured{}, errProtocol
	}
	got := Captured{Moment: r.Captured.Moment, Position: r.Captured.Position, Refused: map[int]error{}}
	for i, why := range r.Captured.Refused {
		if why == nil || i < 0 || i >= len(c.Tables) {
			return Captured{}, errProtocol
		}
		got.Refused[i] = why.err()
	}
	return got, nil
}

// Confirm sends a position beside a running Changes, which ends with an error where
// the source does not take it.
func (s *remote) Confirm(ctx context.Context, position string) error {
	s.follows.mu.Lock()
	if s.follows.reading {
		err := s.in.sendJSON(frameLanded, confirmCall{position})
		s.follows.mu.Unlock()
		if err != nil {
			return s.lost()
		}
		return nil
	}
	s.follows.mu.Unlock()
	_, err := s.call(ctx, frameConfirm, confirmCall{position})
	return err
}

func (s *remote) Standing(ctx context.Context) (driver.Standing, error) {
	r, err := s.call(ctx, frameStanding, struct{}{})
	if err != nil {
		return driver.Standing{}, err
	}
	if r.Standing == nil {
		return driver.Standing{}, errProtocol
	}
	return *r.Standing, nil
}

func (s *remote) Holds(ctx context.Context, reader string) (bool, error) {
	if !s.follows.captures {
		return false, nil
	}
	r, err := s.call(ctx, frameHolds, releaseCall{Reader: reader})
	if err != nil {
		return false, err
	}
	return r.Holds, nil
}

func (s *remote) Release(ctx context.Context, reader, owner string) error {
	if !s.follows.captures {
		return nil
	}
	_, err := s.call(ctx, frameRelease, releaseCall{reader, owner})
	return err
}

func (s *remote) Changes(ctx context.Context, r ChangesRequest) iter.Seq2[ChangesMessage, error] {
	return func(yield func(ChangesMessage, error) bool) {
		x, err := r.call()
		if err != nil {
			yield(ChangesMessage{}, err)
			return
		}
		to := make([]Files, len(r.Tables))
		for i, t := range r.Tables {
			if t.Layout.Schema != nil {
				to[i] = t.Files
			}
		}
		files := newUploads(to...)
		s.use(files)
		defer func() {
			s.use(nil)
			files.close()
		}()
		if err := s.begin(ctx, frameChanges, x); err != nil {
			yield(ChangesMessage{}, err)
			return
		}
		s.follows.set(true)
		ctx, stop := context.WithCancelCause(ctx)
		q := newQueue()
		go func() { // a file that cannot be written ends the call like its caller does
			select {
			case <-files.failed:
				stop(files.err)
			case <-ctx.Done():
			}
		}()
		go func() { q.end(s.pump(ctx, files, q)) }()
		defer func() {
			stop(nil)
			<-q.ended
		}()
		for {
			m, err, more := q.take()
			if !more {
				return
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// pump takes what the child tells of until the call ends, so that the child goes on
// while the caller commits.
func (s *remote) pump(ctx context.Context, files *uploads, q *queue) error {
	defer s.follows.set(false)
	for {
		reply, err := s.nextWithin(ctx, muteLimit)
		if err == nil && reply.result != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if reply.changes == nil {
			err = errProtocol
		} else {
			reply.changes.unseal()
			err = files.nameChanges(reply.changes)
		}
		if errors.Is(err, errAbandoned) {
			<-s.dead
			return s.err
		}
		if err == nil {
			err = q.put(ctx, *reply.changes)
		}
		if err != nil {
			s.failed.Store(true)
			s.cancel()
			return err
		}
	}
}

// muteLimit is how long a child may say nothing of a log, of which it tells every few
// seconds how its reader stands. It is longer than any driver waits for its server.
var muteLimit = callLimit // tests shorten it

// nextWithin is next of a child that must say something in time.
func (s *remote) nextWithin(ctx context.Context, limit time.Duration) (reply, error) {
	ctx, done := context.WithTimeoutCause(ctx, limit, errMute)
	defer done()
	return s.next(ctx)
}

// flushesAhead is how many flushes may wait for the caller of Changes.
const flushesAhead = 2

// queue holds messages for the caller of Changes. Those that only count become one.
type queue struct {
	mu       sync.Mutex
	messages []ChangesMessage
	flushes  int
	err      error
	over     bool
	news     chan struct{} // has an element where there may be something new
	room     chan struct{} // the same where a flush was taken
	ended    chan struct{}
}

func newQueue() *queue {
	return &queue{news: make(chan struct{}, 1), room: make(chan struct{}, 1), ended: make(chan struct{})}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put adds a message, and waits until the caller has not more to do than it may.
func (q *queue) put(ctx context.Context, m ChangesMessage) error {
	q.mu.Lock()
	if n := len(q.messages); n > 0 && q.messages[n-1].Flush == nil && m.Flush == nil {
		last := &q.messages[n-1]
		last.Rows, last.Bytes, last.Notes = last.Rows+m.Rows, last.Bytes+m.Bytes, append(last.Notes, m.Notes...)
		if m.Standing != nil {
			last.Standing = m.Standing
		}
	} else {
		q.messages = append(q.messages, m)
	}
	if m.Flush != nil {
		q.flushes++
	}
	for q.flushes > flushesAhead {
		q.mu.Unlock()
		signal(q.news)
		select {
		case <-q.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		q.mu.Lock()
	}
	q.mu.Unlock()
	signal(q.news)
	return nil
}

// end says that no more comes.
func (q *queue) end(err error) {
	q.mu.Lock()
	q.err, q.over = err, true
	q.mu.Unlock()
	close(q.ended)
	signal(q.news)
}

// take waits for the next message, or the error at the end; it is false after it.
func (q *queue) take() (m ChangesMessage, err error, more bool) {
	for {
		q.mu.Lock()
		if len(q.messages) > 0 {
			m, q.messages = q.messages[0], q.messages[1:]
			if m.Flush != nil {
				q.flushes--
			}
			q.mu.Unlock()
			signal(q.room)
			return m, nil, true
		}
		if q.over {
			err, q.err = q.err, nil
			q.mu.Unlock()
			return ChangesMessage{}, err, err != nil
		}
		q.mu.Unlock()
		<-q.news
	}
}
