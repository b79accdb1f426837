package readers

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/event"
	"headwater/bus/wire"
)

// followBuffer is small because each follower has one.
const followBuffer = 8

// Follow returns a Watermill subscriber as Ordered does, for the many who follow
// the log at once: all of a process share one consumer, and what lies behind them
// is read in turns. Who does not take its messages costs only those in its
// channel, and reads on in the log when it does. A topic's filters must not
// overlap.
func (rs *Readers) Follow(after uint64) message.Subscriber {
	return &followers{ordered{of: rs, after: after, stop: make(chan struct{})}}
}

type followers struct{ ordered }

// Subscribe follows. The channel is closed when ctx ends or Close is called.
func (s *followers) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, wire.ErrClosed
	}
	f := &follower{of: s.of, last: s.after, filters: strings.Split(topic, ","), out: make(chan *message.Message, followBuffer)}
	var err error
	if f.member, f.known, err = s.of.feed.join(ctx, f.filters); err != nil {
		return nil, fmt.Errorf("follow %s: %w", topic, wire.Unavailable(err))
	}
	if err := s.begin(); err != nil {
		f.member.leave()
		return nil, err
	}
	f.ctx, f.cancel = context.WithCancel(ctx)
	s.readers.Add(2)
	go func() {
		defer s.readers.Done()
		defer s.end()
		defer f.cancel()
		defer close(f.out)
		defer f.member.leave()
		f.run()
	}()
	go func() {
		defer s.readers.Done()
		select {
		case <-s.stop:
			f.cancel()
		case <-f.ctx.Done():
		}
	}()
	return f.out, nil
}

// follower is one subscription: it reads the log up to where the feed tells it,
// and then what the feed tells, without a gap or a repeat between them.
type follower struct {
	of      *Readers
	filters []string
	member  *member
	out     chan *message.Message
	ctx     context.Context
	cancel  context.CancelFunc

	last  uint64 // everything up to it was handed on
	known uint64 // the feed tells of everything beyond it
}

func (f *follower) run() {
	for f.ctx.Err() == nil {
		if f.last < f.known && !f.catchUp() {
			continue
		}
		found, lost, at := f.member.take()
		for _, msg := range found {
			if sequence := wire.Number(msg, wire.MetaSequence); sequence > f.last {
				// The feed's message is everybody's.
				own := message.NewMessage(msg.UUID, msg.Payload)
				own.Metadata = maps.Clone(msg.Metadata)
				if !f.hand(own) {
					return
				}
				f.last = sequence
			}
		}
		if lost {
			f.known = max(f.known, at)
			continue
		}
		if len(found) > 0 {
			continue
		}
		select {
		case <-f.member.wake:
		case <-f.ctx.Done():
		}
	}
}

// catchUp reads the log up to where the feed begins, and reports whether it got
// there.
func (f *follower) catchUp() bool {
	newest, err := f.of.NewestOf(f.ctx, f.filters...)
	for end := min(newest, f.known); err == nil && f.last < end; {
		var found []*message.Message
		var at uint64
		if found, at, err = f.of.stretch(f.ctx, f.last, end, f.filters); err != nil {
			break
		}
		for i, msg := range found {
			if !f.hand(msg) {
				return false
			}
			f.last, found[i] = wire.Number(msg, wire.MetaSequence), nil
		}
		f.last = at
	}
	if err == nil {
		f.last = max(f.last, f.known)
		return true
	}
	if f.ctx.Err() == nil {
		f.of.broker.Log.Warn("cannot read the log, will try again", "after", f.last, "error", err)
		wire.Wait(f.ctx, 500*time.Millisecond)
	}
	return false
}

// hand gives a message to the follower, with its body.
func (f *follower) hand(msg *message.Message) bool {
	if msg.Metadata.Get(event.HeaderDataRef) != "" {
		// A large body is fetched when what was handed before is taken: one a
		// follower, not a channel full of them.
		for len(f.out) > 0 && wire.Wait(f.ctx, 5*time.Millisecond) {
		}
	}
	if !f.of.complete(f.ctx, msg) {
		return false
	}
	msg.SetContext(f.ctx)
	select {
	case f.out <- msg:
		return true
	case <-f.ctx.Done():
		return false
	}
}
