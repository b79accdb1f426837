package readers

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
	"headwater/bus/wire"
)

const (
	// A smaller window can stop nats.go's pulling until a heartbeat is missed.
	orderedWindow = 1000
	// orderedExpiry limits such a stall.
	orderedExpiry = 5 * time.Second
	// A consumer lives on one server. When that server dies, its reader notices
	// after twice orderedPulse.
	orderedPulse  = time.Second
	orderedBuffer = 256
)

// Ordered returns a Watermill subscriber that reads events in the order of the
// log, each once, starting after the given sequence. Its topic is a subject
// filter, or several separated by commas; each Subscribe reads independently.
//
// Nothing is acknowledged: Ack and Nack have no effect, and the next message
// waits for neither. A reader stores its own position and starts after it. After
// a sequence beyond the end of the log, nothing is read until the log reaches
// it: compare with EventsState first. Reading continues across lost connections
// until ctx is done or Close is called.
func (rs *Readers) Ordered(after uint64) message.Subscriber {
	return rs.OrderedOf(event.Stream, after)
}

// OrderedOf is Ordered for any stream.
func (rs *Readers) OrderedOf(stream string, after uint64) message.Subscriber {
	return &ordered{of: rs, stream: stream, after: after, stop: make(chan struct{})}
}

type ordered struct {
	of     *Readers
	stream string
	after  uint64
	inline bool // large bodies are not fetched

	stop    chan struct{}
	mu      sync.Mutex
	closed  bool
	active  int
	readers sync.WaitGroup
}

// begin and end register the subscriber with the bus while it reads. An event
// stream for a client creates one and ends its context without calling Close.
func (o *ordered) begin() error {
	o.active++
	return o.of.broker.Track(o)
}

func (o *ordered) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.active--; o.active == 0 {
		o.of.broker.Untrack(o)
	}
}

// Subscribe starts reading. The channel is closed when ctx is done or Close is
// called; the messages' context lasts until then.
func (o *ordered) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, wire.ErrClosed
	}
	r := &orderedReader{ordered: o, filters: strings.Split(topic, ","), last: o.after, out: make(chan *message.Message, orderedBuffer)}
	messages, err := wire.Retry(ctx, wire.PublishTry, r.open)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, wire.Unavailable(err))
	}
	if err := o.begin(); err != nil {
		messages.Stop()
		return nil, err
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	o.readers.Add(2)
	go func() {
		defer o.readers.Done()
		defer o.end()
		defer r.cancel()
		defer close(r.out)
		r.run(messages)
	}()
	go func() {
		defer o.readers.Done()
		select {
		case <-o.stop:
			r.cancel()
		case <-r.ctx.Done():
		}
	}()
	return r.out, nil
}

// Close ends every subscription and waits for their end. It may be called twice.
func (o *ordered) Close() error {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.stop)
	}
	o.mu.Unlock()
	o.readers.Wait()
	return nil
}

// orderedReader is one subscription. It replaces a consumer that failed or lost
// a delivery by one that starts after the last message passed on.
type orderedReader struct {
	*ordered
	filters []string
	out     chan *message.Message
	ctx     context.Context
	cancel  context.CancelFunc

	last      uint64 // sequence passed on
	consumer  string // name of the current consumer
	delivered uint64 // the consumer's own count, which has a gap only if a delivery was lost
}

// open creates a consumer. It does not use nats.go's OrderedConsumer, which
// replaces a lost consumer inside Next, where no context can end the wait.
func (r *orderedReader) open(ctx context.Context) (jetstream.MessagesContext, error) {
	ctx, cancel := context.WithTimeout(ctx, wire.PublishTry)
	defer cancel()
	cfg := jetstream.ConsumerConfig{
		Name:              wire.SecretName(),
		FilterSubjects:    r.filters,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       r.last + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: 5 * time.Minute,
		Replicas:          1,
		MemoryStorage:     true,
	}
	consumer, err := r.of.broker.JS.CreateConsumer(ctx, r.stream, cfg)
	if err != nil {
		return nil, err
	}
	r.consumer, r.delivered = cfg.Name, 0
	return consumer.Messages(jetstream.PullMaxMessages(orderedWindow), jetstream.PullExpiry(orderedExpiry), jetstream.PullHeartbeat(orderedPulse),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
}

// drop removes a consumer that is no longer needed. If that fails the broker
// removes it later.
func (r *orderedReader) drop(messages jetstream.MessagesContext) {
	messages.Stop()
	r.of.dropConsumer(r.ctx, r.consumer)
}

func (r *orderedReader) run(messages jetstream.MessagesContext) {
	for {
		r.read(messages)
		r.drop(messages)
		for {
			if r.ctx.Err() != nil {
				return
			}
			var err error
			if messages, err = r.open(r.ctx); err == nil {
				break
			}
			if r.ctx.Err() == nil {
				r.of.broker.Log.Warn("cannot read the log, will try again", "after", r.last, "error", err)
			}
			wire.Wait(r.ctx, 500*time.Millisecond)
		}
	}
}

// read passes messages on until the consumer fails or skips a message, or the
// reader ends.
func (r *orderedReader) read(messages jetstream.MessagesContext) {
	ctx, forget := r.of.broker.Reconnected.Until(r.ctx)
	defer forget()
	for {
		in, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			if r.ctx.Err() == nil {
				r.of.broker.Log.Debug("a reader's consumer ended, making another", "after", r.last, "error", err)
			}
			return
		}
		msg, meta, err := wire.Receive(in)
		if msg == nil {
			return
		}
		if r.delivered++; meta.Sequence.Consumer != r.delivered {
			return
		}
		if err != nil {
			r.of.broker.Log.Error("an event has headers that are not ours", "sequence", meta.Sequence.Stream, "error", err)
		}
		if !r.inline && !r.of.complete(r.ctx, msg) || !r.of.broker.Synced(r.ctx, event.Stream, meta.Sequence.Stream) {
			return
		}
		msg.SetContext(r.ctx)
		select {
		case r.out <- msg:
			r.last = meta.Sequence.Stream
		case <-r.ctx.Done():
			return
		}
	}
}
