package projections

import (
	"context"
	"errors"
	"fmt"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// Wait waits until the log is applied up to sequence. It returns ctx's error if
// ctx is done first, or ErrClosed if the store is closed.
func (s *Store) Wait(ctx context.Context, sequence uint64) error {
	reached := func() bool { return s.Position() >= sequence }
	if reached() {
		return nil
	}
	woken, stop := s.waiting.Sequence(sequence, reached)
	if woken == nil {
		return nil
	}
	select {
	case <-woken:
		return nil
	case <-s.closed:
	case <-ctx.Done():
	}
	switch {
	case stop(): // woken meanwhile
		return nil
	case ctx.Err() == nil:
		return ErrClosed
	}
	return fmt.Errorf("wait for sequence %d: %w", sequence, context.Cause(ctx))
}

// WaitOperation waits until the operation has ended, even if nothing is known of
// it yet, and returns it. If ctx is done first, it returns ctx's error and the
// operation as it is by then, or the zero Operation if it is unknown.
func (s *Store) WaitOperation(ctx context.Context, organization, workspace, id string) (Operation, error) {
	// Register first and look afterwards: the end is then either seen or
	// signalled.
	ended, stop := s.waiting.Operation(string(layout.Key(layout.KeyOperation, organization, workspace, id)))
	defer stop()
	o, err := s.Operation(organization, workspace, id)
	if err == nil && o.Ended() || err != nil && !isNotFound(err) {
		return o, err
	}
	select {
	case <-ended:
		return s.Operation(organization, workspace, id)
	case <-s.closed:
		return o, ErrClosed
	case <-ctx.Done():
		if o, err = s.Operation(organization, workspace, id); err == nil && o.Ended() {
			return o, nil
		}
		return o, fmt.Errorf("wait for operation %s: %w", id, context.Cause(ctx))
	}
}

// WatchSource returns a channel that receives a signal after events of that
// source were applied; signals do not accumulate. Read the source first, then
// wait. The channel is never closed; it is unregistered when ctx is done.
func (s *Store) WatchSource(ctx context.Context, a event.Address) <-chan struct{} {
	return s.waiting.Source(ctx, a)
}

// WatchSchedules is like WatchSource, for changes of the times at which runs of
// schedules are due.
func (s *Store) WatchSchedules(ctx context.Context) <-chan struct{} { return s.waiting.Schedules(ctx) }

// OnRevoked registers a function that is called with the id of each API token
// that is revoked from now on, once the store has applied the event. It must not
// block. It is called once for each applied event.
func (s *Store) OnRevoked(told func(id string)) { s.waiting.OnRevoked(told) }

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }
