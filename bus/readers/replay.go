package readers

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
	"headwater/bus/wire"
)

const (
	replayWindow = 10000    // most messages in flight
	replayBytes  = 16 << 20 // most bytes in flight
	chunkEvents  = 256
	chunkBytes   = 256 << 10
	largeAhead   = 4  // most chunks ahead with a large body, of up to 64 MiB each
	chunksAhead  = 80 // most chunks read and not passed on
)

// Replay calls each with the events after one sequence and up to another, in
// order, each once. It is several times as fast as Ordered, since it creates no
// Watermill messages and decodes on all processors; the events must exist. An
// unreadable event is passed with EventOf's error instead. size is the length of
// the body in bytes.
//
// It returns nil when it has read the last sequence or one after it; the error
// of each, which ends it; wire.ErrHistoryMissing if the embedded broker's log
// has lost an event of the stretch; or the reason why it cannot continue: ctx is
// done or the bus is closed. It replaces lost connections and consumers, and
// waits for a sequence beyond the end of the log.
func (rs *Readers) Replay(ctx context.Context, after, last uint64, each func(sequence uint64, e *event.Event, size int, err error) error) error {
	if after >= last {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	r := &replay{of: rs, ctx: ctx, cancel: cancel, at: after, last: last, decode: make(chan *chunk, chunksAhead), chunks: make(chan *chunk, chunksAhead), large: make(chan struct{}, largeAhead)}
	end := &ending{cancel}
	if err := rs.broker.Track(end); err != nil {
		cancel(err)
		return fmt.Errorf("replay: %w", err)
	}
	var working sync.WaitGroup
	defer func() {
		cancel(nil)
		working.Wait()
		rs.broker.Untrack(end)
	}()
	working.Go(r.run)
	for range min(4, runtime.GOMAXPROCS(0)) {
		working.Go(r.work)
	}
	for {
		select {
		case c, more := <-r.chunks:
			if !more {
				return nil
			}
			select {
			case <-c.decoded:
			case <-ctx.Done():
				return fmt.Errorf("replay: %w", context.Cause(ctx))
			}
			for i := range c.messages {
				m := &c.messages[i]
				if !rs.broker.Synced(ctx, event.Stream, m.sequence) {
					return fmt.Errorf("replay: %w", context.Cause(ctx))
				}
				if err := each(m.sequence, m.event, m.size, m.err); err != nil {
					return err
				}
			}
			if c.large {
				<-r.large
			}
		case <-ctx.Done():
			return fmt.Errorf("replay: %w", context.Cause(ctx))
		}
	}
}

// ending lets the bus end a replay when it is closed.
type ending struct{ cancel context.CancelCauseFunc }

func (e *ending) Close() error { e.cancel(wire.ErrClosed); return nil }

// replay is one call of Replay: read, decode on several goroutines, pass on in
// order.
type replay struct {
	of     *Readers
	ctx    context.Context
	cancel context.CancelCauseFunc
	at     uint64 // sequence that has been read
	last   uint64
	decode chan *chunk
	chunks chan *chunk   // closed after the last chunk is read
	large  chan struct{} // one slot for each chunk ahead that ends with a large body

	filling *chunk
}

// chunk is a run of consecutive messages.
type chunk struct {
	messages []replayed
	bytes    int           // size of the bodies
	large    bool          // the last body is in the object store
	decoded  chan struct{} // closed when the chunk is decoded
}

// replayed is a message, and after decoding its event.
type replayed struct {
	sequence uint64
	subject  string
	headers  nats.Header
	body     []byte

	event *event.Event
	size  int
	err   error
}

// run reads chunks until the last message, with as many consumers as that takes.
func (r *replay) run() {
	defer close(r.decode)
	for r.ctx.Err() == nil {
		err := r.consume()
		if r.at < r.last {
			// The consumer failed, skipped an event or has none: check whether
			// the next event is lost.
			if lost := r.of.readable(r.ctx, r.at+1); lost != nil {
				r.cancel(lost)
				return
			}
		}
		if err != nil && r.ctx.Err() == nil {
			r.of.broker.Log.Warn("cannot read the log, will try again", "after", r.at, "error", err)
			wire.Wait(r.ctx, 500*time.Millisecond)
		}
		if r.at >= r.last {
			close(r.chunks)
			return
		}
	}
}

// consume reads until the last message. It also returns nil if its consumer
// fails or skips a message.
func (r *replay) consume() error {
	cfg := jetstream.ConsumerConfig{
		Name:          wire.SecretName(), // without a filter: the stream has events only
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.at + 1,
		AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: 5 * time.Minute, Replicas: 1, MemoryStorage: true,
	}
	try, cancel := context.WithTimeout(r.ctx, wire.PublishTry)
	consumer, err := r.of.broker.JS.CreateConsumer(try, event.Stream, cfg)
	cancel()
	if err != nil {
		return wire.Unavailable(err)
	}
	defer r.of.dropConsumer(r.ctx, cfg.Name)
	return r.read(consumer)
}

// read reads what the consumer delivers, until the last message or a gap.
func (r *replay) read(consumer jetstream.Consumer) error {
	ctx, forget := r.of.broker.Reconnected.Until(r.ctx)
	defer forget()
	// The callback runs on one goroutine at a time, and nothing else uses what
	// it collects until the consumer is closed.
	ended, once := make(chan struct{}), sync.Once{}
	end := func() { once.Do(func() { close(ended) }) }
	delivered, over := uint64(0), false
	var progress atomic.Uint64
	consuming, err := consumer.Consume(func(in jetstream.Msg) {
		if over {
			return
		}
		meta, err := in.Metadata()
		delivered++
		if err == nil && meta.Sequence.Consumer == delivered && !r.skips(meta.Sequence.Stream) {
			r.chunk().add(replayed{sequence: meta.Sequence.Stream, subject: in.Subject(), headers: in.Headers(), body: in.Data()})
			more := r.pass(meta.Sequence.Stream)
			if progress.Store(meta.Sequence.Stream); more {
				return
			}
		}
		over = true
		end()
	}, jetstream.PullMaxMessagesWithBytesLimit(replayWindow, replayBytes), jetstream.PullExpiry(orderedExpiry), jetstream.PullHeartbeat(orderedPulse),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			if errors.Is(err, jetstream.ErrNoHeartbeat) || errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConnectionClosed) {
				r.of.broker.Log.Debug("a replay's consumer ended, making another", "error", err)
				end()
			}
		}))
	if err != nil {
		return wire.Unavailable(err)
	}
	r.watch(ctx, ended, consuming.Closed(), &progress)
	consuming.Stop()
	<-consuming.Closed()
	return nil
}

// watch waits until reading has ended, or until it is stuck because the broker's
// log has lost the next event and therefore does not deliver it.
func (r *replay) watch(ctx context.Context, ended, closed <-chan struct{}, progress *atomic.Uint64) {
	pulse := time.NewTicker(orderedPulse)
	defer pulse.Stop()
	for before := progress.Load(); ; {
		select {
		case <-ended:
			return
		case <-closed:
			return
		case <-ctx.Done():
			return
		case <-pulse.C:
			at := progress.Load()
			if at > 0 && at == before && r.of.readable(ctx, at+1) != nil {
				return
			}
			before = at
		}
	}
}

// skips reports whether events between the last one read and this one were not
// delivered. A cluster's log may have sequences without an event, and the
// beginning of any log may be cut off.
func (r *replay) skips(sequence uint64) bool {
	if !r.of.broker.Embedded || sequence == r.at+1 {
		return false
	}
	state, err := r.of.EventsState(r.ctx)
	return err != nil || sequence != state.First
}

// chunk returns the chunk that is being filled.
func (r *replay) chunk() *chunk {
	if r.filling == nil {
		r.filling = &chunk{messages: make([]replayed, 0, chunkEvents), decoded: make(chan struct{})}
	}
	return r.filling
}

func (c *chunk) add(m replayed) { c.messages, c.bytes = append(c.messages, m), c.bytes+len(m.body) }

// pass passes the chunk on if it is full or ends with the last message. It
// returns false if there is nothing more to read.
func (r *replay) pass(sequence uint64) bool {
	c := r.filling
	newest := &c.messages[len(c.messages)-1]
	r.at = sequence
	if sequence > r.last { // the last event itself is missing from the log
		c.messages = c.messages[:len(c.messages)-1]
	}
	c.large = newest.headers.Get(event.HeaderDataRef) != ""
	if sequence < r.last && len(c.messages) < chunkEvents && c.bytes < chunkBytes && !c.large {
		return true
	}
	r.filling = nil
	if c.large {
		select {
		case r.large <- struct{}{}:
		case <-r.ctx.Done():
			return false
		}
	}
	for _, to := range []chan *chunk{r.decode, r.chunks} {
		select {
		case to <- c:
		case <-r.ctx.Done():
			return false
		}
	}
	return sequence < r.last
}

// work decodes chunks until there are no more.
func (r *replay) work() {
	for c := range r.decode {
		for i := range c.messages {
			c.messages[i].parse(r)
		}
		close(c.decoded)
	}
}

func (m *replayed) parse(r *replay) {
	body := m.body
	if ref := m.headers.Get(event.HeaderDataRef); ref != "" && len(body) == 0 {
		body = r.resolve(ref, m.sequence)
	}
	m.size = len(body)
	e, err := event.Parse(m.headers.Get, body)
	if err == nil && !e.Address().Publishes(m.subject, e.Name()) {
		err = fmt.Errorf("%w: event of %s on subject %s", wire.ErrPoison, e.Subject(), m.subject)
	}
	m.headers, m.body = nil, nil
	if err != nil {
		m.err = fmt.Errorf("message %d: %w", m.sequence, err)
		return
	}
	e.Sequence = m.sequence
	m.event = e
}

// resolve fetches a large body, however long that takes. It returns nil if the
// body is lost for good, which Parse reports.
func (r *replay) resolve(ref string, sequence uint64) []byte {
	for {
		body, err := r.of.broker.Bodies.Get(r.ctx, ref)
		if err == nil {
			return body
		}
		if errors.Is(err, wire.ErrPoison) {
			r.of.broker.Log.Error("an event's body is lost", "sequence", sequence, "error", err)
			return nil
		}
		if !wire.Wait(r.ctx, time.Second) {
			return nil
		}
	}
}
