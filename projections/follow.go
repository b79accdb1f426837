package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"headwater/bus/event"
	"headwater/projections/layout"
)

const (
	batchEvents   = 256      // most events of a batch
	batchBytes    = 8 << 20  // payload bytes after which a batch ends
	inFlightBytes = 32 << 20 // most payload bytes that are decoded and not yet applied
)

// Log is the log of events that Follow applies. The wiring adapts the bus to it.
type Log interface {
	// State returns the first and the last sequence that the stream holds, and
	// when the stream was created.
	State(ctx context.Context) (first, last uint64, created time.Time, err error)
	// Ordered returns a subscriber to the events after that sequence, in order.
	// Follow closes it.
	Ordered(after uint64) message.Subscriber
	// Decode reads a message. The sequence is valid even if err is not nil:
	// every node skips an unreadable event.
	Decode(msg *message.Message) (sequence uint64, e *event.Event, err error)
}

// Follow applies the log from the store's position on, and new events as they
// arrive. It applies up to 256 waiting events as one batch. It returns nil when
// ctx is done. It returns ErrOtherLog if the store followed another stream,
// ErrAhead if the store is ahead of the log, ErrTruncated if the log begins
// after the store's position, and another error if the subscription ends by
// itself. After an error the store can still be read. Follow never empties the
// store: it may be the only copy of what the log has lost.
func (s *Store) Follow(ctx context.Context, log Log) error {
	last, err := s.agree(ctx, log)
	if err != nil {
		return unlessDone(ctx, fmt.Errorf("follow: %w", err))
	}
	if err := s.catchUp(ctx, log, last); err != nil {
		return unlessDone(ctx, fmt.Errorf("follow: %w", err))
	}
	s.setReady(s.Position() >= last)
	subscriber := log.Ordered(s.Position())
	messages, err := subscriber.Subscribe(ctx, event.SubjectPrefix+".>")
	if err == nil {
		err = s.fold(ctx, log, messages, last)
	}
	return unlessDone(ctx, errors.Join(err, subscriber.Close()))
}

func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Ready returns a channel that is closed once Follow has applied every event
// that was in the log when it started.
func (s *Store) Ready() <-chan struct{} {
	s.readyMu.Lock()
	defer s.readyMu.Unlock()
	return s.ready
}

func (s *Store) setReady(ready bool) {
	s.readyMu.Lock()
	defer s.readyMu.Unlock()
	select {
	case <-s.ready:
		if !ready {
			s.ready = make(chan struct{})
		}
	default:
		if ready {
			close(s.ready)
		}
	}
}

// agree checks that the log continues the store, and returns the log's last
// sequence.
func (s *Store) agree(ctx context.Context, log Log) (last uint64, err error) {
	first, last, identity, err := StateOf(ctx, log)
	if err != nil {
		return 0, err
	}
	// A deposed leader that does not know it yet may answer with an old state.
	for try := 0; try < 4 && last < s.Position(); try++ {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(500 * time.Millisecond):
		}
		if first, last, identity, err = StateOf(ctx, log); err != nil {
			return 0, err
		}
	}
	if err := s.fits(s.Position(), first, last, identity); err != nil {
		return 0, err
	}
	if s.Position() == 0 {
		if err := s.Adopt(identity); err != nil {
			return 0, err
		}
	}
	s.setReady(s.Position() >= last)
	return last, nil
}

// StateOf returns where the log begins and ends, and which stream it is.
func StateOf(ctx context.Context, log Log) (first, last uint64, identity string, err error) {
	first, last, created, err := log.State(ctx)
	return first, last, created.UTC().Format(time.RFC3339Nano), err
}

// Agree returns the error that Follow would return at once because the log
// cannot be the continuation of the store, the error of reading the log's state,
// or nil.
func (s *Store) Agree(ctx context.Context, log Log) error {
	position := s.Position() // read first, because it moves while the log is asked
	first, last, identity, err := StateOf(ctx, log)
	if err != nil {
		return err
	}
	return s.fits(position, first, last, identity)
}

func (s *Store) fits(position, first, last uint64, identity string) error {
	if position > 0 {
		stored, err := s.Identity()
		if err != nil {
			return err
		}
		if stored != identity {
			return fmt.Errorf("%w: this one was begun at %s, the projection followed one that was begun at %s; restore the broker's data, or remove %s to go on with this log",
				ErrOtherLog, identity, stored, s.dir)
		}
	}
	if last < position {
		return fmt.Errorf("%w: it ends at %d, the projection knows of %d; restore the broker's data, or remove %s to go on without what was lost", ErrAhead, last, position, s.dir)
	}
	if first > position+1 {
		return fmt.Errorf("%w: it begins at %d, the projection needs %d; restore the broker's data, or start from a snapshot that reaches %d", ErrTruncated, first, position+1, first-1)
	}
	return nil
}

// Identity returns which stream the store follows, as StateOf tells streams apart,
// "" for none yet.
func (s *Store) Identity() (string, error) {
	db, done, err := s.using()
	if err != nil {
		return "", err
	}
	defer done()
	v, err := s.get(db, []byte{layout.KeyFollowed, 's'})
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return string(v), err
}

// delivery is a decoded event on its way to a batch.
type delivery struct {
	event *event.Event
	size  int64 // size of its payload, counted in budget
}

// fold applies messages until the channel is closed. It decodes and applies
// concurrently, because the two cost about the same: while one batch is applied,
// the next is gathered.
func (s *Store) fold(ctx context.Context, log Log, messages <-chan *message.Message, last uint64) error {
	group, ctx := errgroup.WithContext(ctx)
	deliveries := make(chan delivery, batchEvents)
	budget := semaphore.NewWeighted(inFlightBytes)
	group.Go(func() error { return s.receive(ctx, log, messages, deliveries, budget) })
	group.Go(func() error {
		batch := make([]*event.Event, 0, batchEvents)
		for {
			select {
			case <-ctx.Done():
				return nil
			case d := <-deliveries:
				var size int64
				batch, size = gather(d, deliveries, batch[:0])
				if err := s.Apply(batch...); err != nil {
					return err
				}
				budget.Release(size)
				clear(batch)
			}
			if s.Position() >= last {
				s.setReady(true)
			}
		}
	})
	return group.Wait()
}

// receive decodes messages until the channel is closed. It waits while more than
// inFlightBytes of payloads are decoded and not applied.
func (s *Store) receive(ctx context.Context, log Log, messages <-chan *message.Message, deliveries chan<- delivery, budget *semaphore.Weighted) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg, ok := <-messages:
			if !ok {
				return errors.New("follow: the subscription ended")
			}
			d := delivery{size: min(int64(len(msg.Payload)), inFlightBytes)}
			if budget.Acquire(ctx, d.size) != nil {
				return nil
			}
			e, err := s.decode(log, msg)
			if err != nil {
				return fmt.Errorf("follow: %w", err)
			}
			d.event = e
			select {
			case deliveries <- d:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// decode reads a message. An unreadable one becomes an event without Data. It
// fails if the message has no sequence.
func (s *Store) decode(log Log, msg *message.Message) (*event.Event, error) {
	sequence, e, err := log.Decode(msg)
	if sequence == 0 {
		return nil, fmt.Errorf("message %s has no place in the log: %w", msg.UUID, err)
	}
	// The position is the acknowledgement; this only releases the transport.
	msg.Ack()
	return s.readable(sequence, e, err), nil
}

// readable returns the event, or one without Data if it cannot be read.
func (s *Store) readable(sequence uint64, e *event.Event, err error) *event.Event {
	if err != nil {
		if !errors.Is(err, event.ErrUnknown) {
			s.log.Error("an event cannot be read and is skipped", "sequence", sequence, "error", err)
		}
		e = &event.Event{}
	}
	e.Sequence = sequence
	return e
}

// gather returns the events of d and of the deliveries that are ready, and the
// sum of their sizes.
func gather(d delivery, deliveries <-chan delivery, batch []*event.Event) ([]*event.Event, int64) {
	for size := int64(0); ; {
		batch, size = append(batch, d.event), size+d.size
		if len(batch) == batchEvents || size >= batchBytes {
			return batch, size
		}
		select {
		case d = <-deliveries:
		default:
			return batch, size
		}
	}
}
