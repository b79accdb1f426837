package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	fetchExpiry = 20 * time.Second // of one pull request that waits for work
	ackLimit    = 15 * time.Second // for the broker to confirm an ack, across the election of a leader
	fetchPulse  = 2 * time.Second  // a request without a sign of life for twice as long was forgotten by the broker
	// ackPause lets the next command be stored before the ack of this one: a
	// stream of commands that becomes empty begins a new file.
	ackPause = 10 * time.Millisecond
	maxAcks  = 64 // under way beside the workers of one subscription
)

var errNacked = errors.New("the handler gave the message back without a reason")

// jobSubscription is what one Subscribe started.
type jobSubscription struct {
	jobs     *jobs
	topic    string
	consumer jetstream.Consumer
	out      chan<- *message.Message

	fetching     context.Context // ends: fetch no more
	stopFetching context.CancelFunc
	working      context.Context // ends: handlers are out of time
	stopWorking  context.CancelFunc

	acks   chan struct{} // a place for each ack under way
	acking sync.WaitGroup
}

// work is one worker: it fetches a message when it is free, and holds it until
// the broker has confirmed what became of it.
func (s *jobSubscription) work() {
	for s.fetching.Err() == nil {
		in, err := s.next()
		if err == nil {
			s.handle(in, nil)
			continue
		}
		s.missed(err)
	}
}

// missed mends what it can after a fetch that brought nothing.
func (s *jobSubscription) missed(err error) {
	if s.fetching.Err() != nil || isPassingFetch(err) {
		return
	}
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrConsumerDeleted) {
		s.jobs.bus.log.Warn("the durable consumer is gone, making it again", "topic", s.topic)
		if _, err := s.jobs.consumer(s.fetching, s.topic); err != nil {
			s.jobs.bus.log.Error("cannot make the durable consumer", "topic", s.topic, "error", err)
		}
	}
	wait(s.fetching, 250*time.Millisecond)
}

// next waits for one message. Messages(PullMaxMessages(1)) would do the same
// with less traffic, but can stop pulling.
func (s *jobSubscription) next() (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(s.fetching, fetchExpiry)
	defer cancel()
	ctx, forget := s.jobs.bus.back.until(ctx)
	defer forget()
	in, err := s.consumer.Next(jetstream.FetchContext(ctx), jetstream.FetchHeartbeat(fetchPulse))
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.Canceled) {
		return nil, jetstream.ErrNoMessages
	}
	return in, err
}

// handle passes one message on and settles it. ready, unless nil, is asked
// before it is passed on; when it returns false it has settled the message.
func (s *jobSubscription) handle(in jetstream.Msg, ready func(*delivery) bool) {
	msg, meta, err := receive(in)
	if msg == nil {
		s.jobs.bus.log.Error("unusable delivery", "topic", s.topic, "error", err)
		return
	}
	ctx, result := withOutcome(s.working)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	msg.SetContext(ctx)

	d := &delivery{jobSubscription: s, in: in, msg: msg, meta: meta}
	stopBeating := d.heartbeat(ctx)
	later := false
	defer func() {
		if !later {
			stopBeating()
		}
	}()

	if err == nil {
		err = s.jobs.bus.payloads.resolve(ctx, msg)
	}
	if err != nil {
		d.failed(ctx, err)
		return
	}
	if d.failures() >= s.jobs.cfg.MaxDeliver {
		// The workers that had it died with it, or were cut off before they
		// could give it up.
		d.failed(ctx, fmt.Errorf("%d workers ended without an answer", d.failures()))
		return
	}
	if ready != nil && !ready(d) {
		return
	}
	select {
	case s.out <- msg:
	case <-s.fetching.Done():
		d.giveBack(ctx)
		return
	}
	select {
	case <-msg.Acked():
		if later = ready == nil && s.ackLater(d, stopBeating); !later {
			d.done(ctx)
		}
	case <-msg.Nacked():
		err := result.err
		if err == nil {
			err = errNacked
		}
		if s.working.Err() != nil && errors.Is(err, context.Canceled) {
			d.giveBack(ctx) // cut off by us, which is not its failure
			return
		}
		d.failed(ctx, err)
	case <-s.working.Done():
		d.giveBack(ctx)
	}
}

// ackLater acks a message that was handled beside the worker, which goes on
// with the next. It returns false when that many are under way that the worker
// had better wait itself. A process that dies in between has the message come
// again, as one does that dies before any ack.
func (s *jobSubscription) ackLater(d *delivery, stopBeating func()) bool {
	select {
	case s.acks <- struct{}{}:
	default:
		return false
	}
	s.acking.Go(func() {
		defer func() { <-s.acks }()
		defer stopBeating()
		wait(s.fetching, ackPause)
		d.done(s.working)
	})
	return true
}
