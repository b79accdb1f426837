// Package groupcommit stores messages that arrive together in one atomic batch,
// which the embedded broker syncs once, instead of one by one, each of which it
// syncs by itself. DESIGN.md says what it relies on in the broker; where the broker
// is another one, Begin refuses and messages are appended one by one.
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
	// batchFrom is how many messages must wait before they are stored together: a
	// batch takes the broker as long as four that it syncs one by one.
	batchFrom = 5
	batchMost = 128
	// batchBytes bounds a batch; a message of half of it goes alone.
	batchBytes = 256 << 10
	// batchWait is until a batch counts as lost that the broker, which is in
	// this process, says nothing of.
	batchWait = time.Minute
	// healthAfter is from when on a batch without an answer makes the broker's
	// health a question.
	healthAfter = 5 * time.Second
	// batchPause is how long nothing is stored together after the broker refused
	// a batch for another reason than one of its messages.
	batchPause = 10 * time.Second
)

// errNoAnswer says that the broker did not confirm a batch, whatever the time.
var errNoAnswer = errors.New("the broker does not answer")

// Config says what a Group stores and how.
type Config struct {
	Log *slog.Logger
	// Append stores one message by itself and returns when it is synced. It
	// repeats what is transient.
	Append func(context.Context, *nats.Msg) (*jetstream.PubAck, error)
	// Batch stores all or none of several messages and returns the sequence of the
	// last one: Batches of the broker.
	Batch func(context.Context, []*nats.Msg) (last uint64, err error)
	// Chain names what orders a message among others, by its subject, such as the
	// history of an event's source; "" for none. A batch takes one message of a
	// chain: the broker does not compare the end that is expected of a history
	// with what the batch itself adds to it.
	Chain func(subject string) string
	// Health returns why the broker writes to the stream no more, or nil.
	Health func() error
	// Confirmed is the sequence up to which the stream is synced.
	Confirmed uint64
}

// Group stores the messages of one stream of the embedded broker, which syncs
// each by itself: while many wait, they go as one atomic batch, which is synced
// once. Few go one by one, which is sooner. It may be used concurrently.
//
// The broker hands the messages of a batch to consumers before it syncs them;
// readers and workers wait for that (Synced).
type Group struct {
	log    *slog.Logger
	append func(context.Context, *nats.Msg) (*jetstream.PubAck, error)
	batch  func(context.Context, []*nats.Msg) (last uint64, err error)
	chain  func(subject string) string
	health func() error

	mu     sync.Mutex
	single int      // messages on their way one by one
	queue  []*write // that wait
	failed error    // set when the broker cannot write, for good
	pause  time.Time

	flight    atomic.Pointer[flight] // the batch on its way, nil without
	confirmed atomic.Uint64          // last sequence of the last batch
}

// New returns the group of one stream.
func New(cfg Config) *Group {
	g := &Group{log: cfg.Log, append: cfg.Append, batch: cfg.Batch, chain: cfg.Chain, health: cfg.Health}
	g.confirmed.Store(cfg.Confirmed)
	return g
}

// flight is a batch on its way.
type flight struct{ ended chan struct{} }

// write is a message that waits to be stored.
type write struct {
	msg     *nats.Msg
	chain   string        // of which a batch takes one, "" for any number
	decided chan struct{} // closed when it is: stored, to go alone, or failed
	left    bool          // nobody waits for it
	alone   bool
	ack     *jetstream.PubAck
	err     error
}

// Store stores a message, by itself or with others, and returns when it is synced.
// The error is that of the broker, also for all that follows when its disk has
// failed, or that of ctx; when that ends before, the message may be stored
// nevertheless.
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
		return nil, ctx.Err() // the batch that it is in may not be on disk
	}
	return ack, err
}

// enter returns no write for a message that goes alone at once.
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

// leave gives up waiting; it returns false when it was decided before.
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

// appended ends what went alone.
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

// confirm notes that all up to a sequence is synced, for the broker writes one
// after the other. The lock is held.
func (g *Group) confirm(sequence uint64) {
	g.confirmed.Store(max(sequence, g.confirmed.Load()))
}

// next decides about those who wait. The lock is held.
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

// together picks what may be in one batch, first come first served.
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

// fly stores writes as a batch, or has each go alone when the broker refuses
// the batch, as it does when one of them is a repeat or its history moved on.
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
		// What the broker could not sync it hands out and takes for stored until it
		// is started again. So the flight never ends, and nothing follows it.
		g.fail(err)
		return
	}
	g.flight.Store(nil)
	close(f.ended)
	g.next()
}

// send asks the broker to store a batch. It gives up early when the broker's
// disk has failed, for then there is no answer.
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

// fail has nothing more stored. The lock is held.
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

// Synced waits until a message that a consumer handed out is on disk, and
// returns false when ctx ended before. Only the batch on its way may not be.
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
