package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/wire"
)

// ackLimit is the time for the broker to confirm an ack, including the election
// of a leader.
const ackLimit = 15 * time.Second

var errNacked = errors.New("the handler gave the message back without a reason")

// subscription is what one Subscribe started.
type subscription struct {
	jobs     *subscriber
	topic    string
	consumer jetstream.Consumer
	out      chan<- *message.Message
	supply   supply
	fetched  chan jetstream.Msg

	fetching     context.Context // when it ends, nothing more is fetched
	stopFetching context.CancelFunc
	working      context.Context // when it ends, handlers have run out of time
	stopWorking  context.CancelFunc
}

// work is one worker: it takes a message when it is free, and keeps it until it
// is settled.
func (s *subscription) work() {
	for in := range s.fetched {
		s.handle(in, nil)
		s.supply.ended()
	}
}

// handle passes one message to the handler and settles it. ready, if not nil, is
// called first; if it returns false it has settled the message.
func (s *subscription) handle(in jetstream.Msg, ready func(*delivery) bool) {
	msg, meta, err := wire.Receive(in)
	if msg == nil {
		s.jobs.broker.Log.Error("unusable delivery", "topic", s.topic, "error", err)
		return
	}
	ctx, result := withOutcome(s.working)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	msg.SetContext(ctx)

	d := &delivery{subscription: s, in: in, msg: msg, meta: meta}
	defer d.heartbeat(ctx)()

	// The broker delivers the messages of a batch before it syncs them.
	if !s.jobs.broker.Synced(ctx, meta.Stream, meta.Sequence.Stream) {
		d.giveBack(ctx)
		return
	}
	if err == nil {
		err = s.jobs.broker.Bodies.Resolve(ctx, msg)
	}
	if err != nil {
		d.failed(ctx, err)
		return
	}
	if d.failures() >= s.jobs.cfg.MaxDeliver {
		// The workers that had the message died, or were interrupted before they
		// could give it up.
		d.failed(ctx, &UnansweredError{d.failures()})
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
		d.done(ctx)
	case <-msg.Nacked():
		err := result.err
		if err == nil {
			err = errNacked
		}
		if s.working.Err() != nil && errors.Is(err, context.Canceled) {
			d.giveBack(ctx) // this process interrupted it; that is no failure of the handler
			return
		}
		d.failed(ctx, err)
	case <-s.working.Done():
		d.giveBack(ctx)
	}
}
