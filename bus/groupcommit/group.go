// Package groupcommit stores messages that arrive together in one atomic batch,
// which the embedded broker syncs once instead of once for each message.
// DESIGN.md says what it relies on in the broker. With a broker that it does not
// know, Begin refuses, and messages are appended one by one.
package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/wire"
)

const (
	// batchFrom is how many messages must be waiting to be stored as a batch: a
	// batch takes the broker as long as four messages that it syncs one by one.
	batchFrom = 5
	batchMost = 128
	// batchBytes is the largest batch; a message of half that size or more is
	// stored alone.
	batchBytes = 256 << 10
	// batchWait is the time after which an unanswered batch counts as lost. The
	// broker is in this process.
	batchWait = time.Minute
	// healthAfter is the time after which an unanswered batch makes the group
	// check the broker's health.
	healthAfter = 5 * time.Second
	// batchPause is how long messages are stored one by one after the broker
	// refused a batch for a reason that is not one of its messages.
	batchPause = 10 * time.Second
)

// errNoAnswer says that the broker did not confirm a batch within batchWait.
var errNoAnswer = errors.New("the broker does not answer")

// Config says what a Group stores and how. All fields are required.
type Config struct {
	Log *slog.Logger
	// Append stores one message and returns when it is synced. It retries
	// transient errors.
	Append func(context.Context, *nats.Msg) (*jetstream.PubAck, error)
	// Batch stores all or none of several messages and returns the sequence of
	// the last one; see Batches.
	Batch func(context.Context, []*nats.Msg) (last uint64, err error)
	// Chain returns the name of what orders a subject's messages, such as the
	// history of an event's source; "" for none. A batch contains at most one
	// message of a chain, because the broker does not compare the expected end
	// of a history with what the batch itself adds to it.
	Chain func(subject string) string
	// Health returns the reason why the broker no longer writes to the stream,
	// or nil.
	Health func() error
	// Confirmed is the sequence up to which the stream is synced.
	Confirmed uint64
}

// Group stores the messages of one stream of the embedded broker. While many
// messages wait, it stores them as one atomic batch, which is synced once. A few
// are stored one by one, which is sooner. It is safe for concurrent use.
//
// The broker delivers the messages of a batch to consumers before it syncs them;
// readers and workers wait for that with Synced.
type Group struct {
	log    *slog.Logger
	append func(context.Context, *nats.Msg) (*jetstream.PubAck, error)
	batch  func(context.Context, []*nats.Msg) (last uint64, err error)
	chain  func(subject string) string
	health func() error

	mu     sync.Mutex
	single int      // messages being stored one by one
	queue  []*write // waiting messages
	failed error    // set for good when the broker cannot write
	pause  time.Time

	flight    atomic.Pointer[flight] // the batch being stored; nil for none
	confirmed atomic.Uint64          // last sequence of the last batch
}

// New returns the group of one stream.
func New(cfg Config) *Group {
	g := &Group{log: cfg.Log, append: cfg.Append, batch: cfg.Batch, chain: cfg.Chain, health: cfg.Health}
	g.confirmed.Store(cfg.Confirmed)
	return g
}

// flight is a batch that is being stored.
type flight struct{ ended chan struct{} }

// write is a message that waits to be stored.
type write struct {
	msg     *nats.Msg
	chain   string        // name of its chain; "" for none
	decided chan struct{} // closed when it is stored, is to go alone, or has failed
	left    bool          // its caller no longer waits
	alone   bool
	ack     *jetstream.PubAck
	err     error
}

// Store stores a message, alone or in a batch, and returns when it is synced. If
// the broker's disk has failed it returns the broker's error, as do all later
// calls. If ctx is done first it returns ctx's error, and the message may be
// stored or not.
func (g *Group) Store(ctx context.Context, msg *nats.Msg) (*jetstream.PubAck, error) {
	w, err := g.enter(msg)
	if err != nil {
		return nil, err
	}
	if w != nil {
		select {
		case <-w.decided:
		case <-ctx.Done():
			if g.leave(w) {
				return nil, ctx.Err()
			}
		}
		if !w.alone {
			return w.ack, w.err
		}
	}
	ack, err := g.append(ctx, msg)
	g.appended(ack, err)
	if err == nil && ack.Duplicate && !g.Synced(ctx, ack.Sequence) {
		return nil, ctx.Err() // the batch with the message may not be on disk
	}
	return ack, err
}

// enter returns nil for a message that is to be stored alone at once.
func (g *Group) enter(msg *nats.Msg) (*write, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil {
		return nil, g.failed
	}
	if msg.Size() > batchBytes/2 || g.flight.Load() == nil && len(g.queue) == 0 && g.single < batchFrom {
		g.single++
		return nil, nil
	}
	w := &write{msg: msg, chain: g.chain(msg.Subject), decided: make(chan struct{})}
	g.queue = append(g.queue, w)
	g.next()
	return w, nil
}

// leave removes a waiting message. It returns false if the message is no longer
// waiting.
func (g *Group) leave(w *write) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.decided:
		return false
	default:
	}
	w.left = true
	g.queue = slices.DeleteFunc(g.queue, func(q *write) bool { return q == w })
	return true
}

// appended ends the storing of a message alone.
func (g *Group) appended(ack *jetstream.PubAck, err error) {
	var broken error
	if err != nil && wire.IsTransient(err) { // there was no answer
		broken = g.health()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil && !ack.Duplicate {
		g.confirm(ack.Sequence)
	}
	if broken != nil {
		g.fail(broken)
	}
	g.single--
	g.next()
}

// confirm records that everything up to a sequence is synced: the broker writes
// in order. The caller holds the lock.
func (g *Group) confirm(sequence uint64) {
	g.confirmed.Store(max(sequence, g.confirmed.Load()))
}

// next decides what happens to waiting messages. The caller holds the lock.
func (g *Group) next() {
	if g.flight.Load() != nil {
		return
	}
	if len(g.queue) >= batchFrom && time.Now().After(g.pause) {
		if writes, rest := together(g.queue); len(writes) >= batchFrom {
			f := &flight{ended: make(chan struct{})}
			g.flight.Store(f)
			g.queue = rest
			go g.fly(f, writes)
			return
		}
	}
	for len(g.queue) > 0 && g.single < batchFrom {
		w := g.queue[0]
		g.queue = slices.Delete(g.queue, 0, 1)
		g.goAlone(w)
	}
}

// together picks the messages for one batch, in order of arrival.
func together(queue []*write) (writes, rest []*write) {
	size, taken := 0, map[string]bool{}
	for _, w := range queue {
		if len(writes) == batchMost || size >= batchBytes || taken[w.chain] {
			rest = append(rest, w)
			continue
		}
		writes = append(writes, w)
		size += w.msg.Size()
		taken[w.chain] = w.chain != ""
	}
	return writes, rest
}

func (g *Group) goAlone(w *write) {
	w.alone = true
	g.single++
	close(w.decided)
}

// fly stores messages as a batch. If the broker refuses the batch, as it does if
// one message is a repeat or its history has changed, each message is stored
// alone.
func (g *Group) fly(f *flight, writes []*write) {
	messages := make([]*nats.Msg, len(writes))
	for i, w := range writes {
		messages[i] = w.msg
	}
	last, err := g.send(messages)
	refused := errors.Is(err, errRefused)
	unknown := err != nil && !refused
	if unknown {
		err = errors.Join(err, g.health())
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		g.confirm(last)
	}
	for i, w := range writes {
		switch {
		case w.left:
			continue
		case refused:
			g.goAlone(w)
			continue
		case err == nil:
			w.ack = &jetstream.PubAck{Sequence: last - uint64(len(writes)-1-i)}
		}
		w.err = err
		close(w.decided)
	}
	if refused && !refusedOne(err) {
		g.pause = time.Now().Add(batchPause)
		g.log.Warn("the broker stores messages one by one for a while", "error", err)
	}
	if unknown {
		// The broker delivers messages that it could not sync, and treats them
		// as stored until it is restarted. So the flight never ends, and nothing
		// follows it.
		g.fail(err)
		return
	}
	g.flight.Store(nil)
	close(f.ended)
	g.next()
}

// send asks the broker to store a batch. It gives up early if the broker's disk
// has failed, because then there is no answer.
func (g *Group) send(messages []*nats.Msg) (last uint64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), batchWait)
	defer cancel()
	watch := time.AfterFunc(healthAfter, func() {
		if g.health() != nil {
			cancel()
		}
	})
	defer watch.Stop()
	if last, err = g.batch(ctx, messages); err != nil && ctx.Err() != nil {
		err = errNoAnswer
	}
	return last, err
}

// fail stops the group for good. The caller holds the lock.
func (g *Group) fail(cause error) {
	if g.failed != nil {
		return
	}
	g.failed = fmt.Errorf("%w; it takes nothing more until it is started again", cause)
	for _, w := range g.queue {
		w.err = g.failed
		close(w.decided)
	}
	g.queue = nil
}

// Failure returns why nothing more can be stored, or nil.
func (g *Group) Failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil {
		return g.failed
	}
	return g.health()
}

// Synced waits until a message that a consumer delivered is on disk, and returns
// false if ctx is done first. Only a message of the batch being stored may not
// be on disk yet.
func (g *Group) Synced(ctx context.Context, sequence uint64) bool {
	f := g.flight.Load()
	if f == nil || sequence <= g.confirmed.Load() {
		return true
	}
	select {
	case <-f.ended:
		return true
	case <-ctx.Done():
		return false
	}
}
