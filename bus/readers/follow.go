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

// followBuffer is small because every follower has one.
const followBuffer = 8

// Follow returns a Watermill subscriber like that of Ordered, for many
// concurrent followers: those of a process share one consumer, and take turns
// reading older events. A follower that does not take its messages delays only
// itself, and continues from the log. The filters of a topic must not overlap.
func (rs *Readers) Follow(after uint64) message.Subscriber {
	return &followers{ordered{of: rs, after: after, stop: make(chan struct{})}}
}

type followers struct{ ordered }

// Subscribe follows the log. The channel is closed when ctx is done or Close is
// called.
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

// follower is one subscription: it reads the log up to where the feed starts,
// and then follows the feed, without a gap or a repeat.
type follower struct {
	of      *Readers
	filters []string
	member  *member
	out     chan *message.Message
	ctx     context.Context
	cancel  context.CancelFunc

	last  uint64 // everything up to this sequence has been passed on
	known uint64 // the feed has everything after this sequence
}

func (f *follower) run() {
	for f.ctx.Err() == nil {
		if f.last < f.known && !f.catchUp() {
			continue
		}
		found, lost, at := f.member.take()
		for _, msg := range found {
			if sequence := wire.Number(msg, wire.MetaSequence); sequence > f.last {
				// All followers share the feed's message.
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

// catchUp reads the log up to where the feed starts. It returns false if it
// could not.
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

// hand passes a message on, with its body.
func (f *follower) hand(msg *message.Message) bool {
	if msg.Metadata.Get(event.HeaderDataRef) != "" {
		// A large body is fetched only after the channel is empty, so that each
		// follower holds one of them at most.
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
