package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// groupFrom is how many messages must wait before they are stored together: a
	// batch takes the broker as long as four that it syncs one by one.
	groupFrom = 5
	groupMost = 128
	// groupBytes bounds a batch; a message of half of it goes alone.
	groupBytes = 256 << 10
	// groupWait is until a batch counts as lost that the broker, which is in
	// this process, says nothing of.
	groupWait = time.Minute
	// groupPause is how long nothing is stored together after the broker refused
	// a batch for another reason than one of its messages.
	groupPause = 10 * time.Second
)

// errNoAnswer says that the broker did not confirm a batch, whatever the time.
var errNoAnswer = errors.New("the broker does not answer")

// group stores the messages of one stream of the embedded broker, which syncs
// each by itself: while many wait, they go as one atomic batch, which is synced
// once. Few go one by one, which is sooner.
//
// The broker hands the messages of a batch to consumers before it syncs them;
// our own readers and workers wait for that (synced).
type group struct {
	log *slog.Logger
	// alone stores one message, batch all or none of several, whose last
	// sequence it returns.
	alone func(context.Context, *nats.Msg) (*jetstream.PubAck, error)
	batch func(context.Context, []*nats.Msg) (last uint64, err error)
	// health returns why the broker writes to the stream no more, or nil.
	health func() error

	mu     sync.Mutex
	apart  int      // messages on their way one by one
	queue  []*write // that wait
	failed error    // set when the broker cannot write, for good
	pause  time.Time

	flight    atomic.Pointer[flight] // the batch on its way, nil without
	confirmed atomic.Uint64          // last sequence of the last batch
}

// flight is a batch on its way.
type flight struct{ ended chan struct{} }

// write is a message that waits to be stored.
type write struct {
	msg   *nats.Msg
	chain string        // of which a batch takes one, "" for any number
	turn  chan struct{} // closed when it is decided: stored, to go alone, or failed
	left  bool          // nobody waits for it
	alone bool
	ack   *jetstream.PubAck
	err   error
}

// chainOf returns what orders a message among others: the history of an event's
// source. Within a batch the broker does not compare the end that is expected of
// a history with what the batch itself adds to it.
func chainOf(subject string) string {
	if streamOf(subject) != StreamEvents {
		return ""
	}
	return subject[:strings.LastIndexByte(subject, '.')]
}

// store stores a message, alone or with others, and returns when it is synced.
// When ctx ends before, it may be stored nevertheless.
func (g *group) store(ctx context.Context, msg *nats.Msg) (*jetstream.PubAck, error) {
	w, err := g.enter(msg)
	if err != nil {
		return nil, err
	}
	if w != nil {
		select {
		case <-w.turn:
		case <-ctx.Done():
			if g.leave(w) {
				return nil, ctx.Err()
			}
		}
		if !w.alone {
			return w.ack, w.err
		}
	}
	ack, err := g.alone(ctx, msg)
	g.landed(ack, err)
	if err == nil && ack.Duplicate && !g.synced(ctx, ack.Sequence) {
		return nil, ctx.Err() // the batch that it is in may not be on disk
	}
	return ack, err
}

// enter returns no write for a message that goes alone at once.
func (g *group) enter(msg *nats.Msg) (*write, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil {
		return nil, g.failed
	}
	if msg.Size() > groupBytes/2 || g.flight.Load() == nil && len(g.queue) == 0 && g.apart < groupFrom {
		g.apart++
		return nil, nil
	}
	w := &write{msg: msg, chain: chainOf(msg.Subject), turn: make(chan struct{})}
	g.queue = append(g.queue, w)
	g.next()
	return w, nil
}

// leave gives up waiting; it returns false when it was decided before.
func (g *group) leave(w *write) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.turn:
		return false
	default:
	}
	w.left = true
	g.queue = slices.DeleteFunc(g.queue, func(q *write) bool { return q == w })
	return true
}

// landed ends what went alone.
func (g *group) landed(ack *jetstream.PubAck, err error) {
	var broken error
	if err != nil && passing(err) { // there was no answer
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
	g.apart--
	g.next()
}

// confirm notes that all up to a sequence is synced, for the broker writes one
// after the other. The lock is held.
func (g *group) confirm(sequence uint64) {
	g.confirmed.Store(max(sequence, g.confirmed.Load()))
}

// next decides about those who wait. The lock is held.
func (g *group) next() {
	if g.flight.Load() != nil {
		return
	}
	if len(g.queue) >= groupFrom && time.Now().After(g.pause) {
		if writes, rest := together(g.queue); len(writes) >= groupFrom {
			f := &flight{ended: make(chan struct{})}
			g.flight.Store(f)
			g.queue = rest
			go g.fly(f, writes)
			return
		}
	}
	for len(g.queue) > 0 && g.apart < groupFrom {
		w := g.queue[0]
		g.queue = slices.Delete(g.queue, 0, 1)
		g.goAlone(w)
	}
}

// together picks what may be in one batch, first come first served.
func together(queue []*write) (writes, rest []*write) {
	size, taken := 0, map[string]bool{}
	for _, w := range queue {
		if len(writes) == groupMost || size >= groupBytes || taken[w.chain] {
			rest = append(rest, w)
			continue
		}
		writes = append(writes, w)
		size += w.msg.Size()
		taken[w.chain] = w.chain != ""
	}
	return writes, rest
}

func (g *group) goAlone(w *write) {
	w.alone = true
	g.apart++
	close(w.turn)
}

// fly stores writes as a batch, or has each go alone when the broker refuses
// the batch, as it does when one of them is a repeat or its history moved on.
func (g *group) fly(f *flight, writes []*write) {
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
		close(w.turn)
	}
	if refused && !refusedOne(err) {
		g.pause = time.Now().Add(groupPause)
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
func (g *group) send(messages []*nats.Msg) (last uint64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), groupWait)
	defer cancel()
	watch := time.AfterFunc(publishTry, func() {
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
func (g *group) fail(cause error) {
	if g.failed != nil {
		return
	}
	g.failed = fmt.Errorf("%w; it takes nothing more until it is started again", cause)
	for _, w := range g.queue {
		w.err = g.failed
		close(w.turn)
	}
	g.queue = nil
}

// failure returns why nothing more can be stored, or nil.
func (g *group) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil {
		return g.failed
	}
	return g.health()
}

// synced waits until a message that a consumer handed out is on disk, and
// returns false when ctx ended before. Only the batch on its way may not be.
func (g *group) synced(ctx context.Context, sequence uint64) bool {
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

// synced is group.synced of a message of a stream.
func (b *Bus) synced(ctx context.Context, stream string, sequence uint64) bool {
	g := b.groups[stream]
	return g == nil || g.synced(ctx, sequence)
}
