package projections

import (
	"context"
	"errors"

	"headwater/bus/event"
)

// FoldTo applies the log up to that sequence and no further. It calls rest after
// each batch, and ends with the cause of ctx when that returns false. Nothing else
// may be applied to the store meanwhile.
func (s *Store) FoldTo(ctx context.Context, log Log, last uint64, rest func(context.Context) bool) (err error) {
	if s.Position() >= last {
		return nil
	}
	f := &foldTo{store: s, last: last, rest: rest, batch: make([]*event.Event, 0, batchEvents)}
	if from, can := log.(Replayer); can { // a Replayer detects events that the log has lost
		err := from.Replay(ctx, s.Position(), last, func(sequence uint64, e *event.Event, size int, err error) error {
			_, err = f.take(ctx, s.readable(sequence, e, err), size)
			return err
		})
		if err == nil {
			_, err = f.apply(ctx, last)
		}
		return err
	}
	subscriber := log.Ordered(s.Position())
	defer func() { err = errors.Join(err, subscriber.Close()) }()
	messages, err := subscriber.Subscribe(ctx, event.SubjectPrefix+".>")
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case msg, ok := <-messages:
			if !ok {
				return errors.Join(ctx.Err(), errors.New("the subscription ended"))
			}
			e, err := s.decode(log, msg)
			if err != nil {
				return err
			}
			if ended, err := f.take(ctx, e, len(msg.Payload)); ended || err != nil {
				return err
			}
		}
	}
}

// foldTo applies events in batches, with a rest after each.
type foldTo struct {
	store *Store
	last  uint64
	rest  func(context.Context) bool
	batch []*event.Event
	size  int
}

// take adds an event and reports whether it was the last.
func (f *foldTo) take(ctx context.Context, e *event.Event, size int) (ended bool, err error) {
	// An event after the last sequence shows that the last one is missing.
	if e.Sequence <= f.last {
		f.batch, f.size = append(f.batch, e), f.size+size
	}
	if full := len(f.batch) == batchEvents || f.size >= batchBytes; !full && e.Sequence < f.last {
		return false, nil
	}
	return f.apply(ctx, e.Sequence)
}

// apply empties the batch, which reaches that sequence, and rests.
func (f *foldTo) apply(ctx context.Context, reached uint64) (ended bool, err error) {
	if err := f.store.Apply(f.batch...); err != nil {
		return false, err
	}
	clear(f.batch)
	f.batch, f.size = f.batch[:0], 0
	if reached >= f.last {
		return true, nil
	}
	if !f.rest(ctx) {
		return false, context.Cause(ctx)
	}
	return false, nil
}
