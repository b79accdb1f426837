package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"headwater/bus/event"
)

// AuditResult is what one audit found.
type AuditResult struct {
	Sequence uint64 // up to which the store was compared with the log
	Took     time.Duration
	Ended    time.Time
	Drift    []string // tables that differ from what the log says; nil for none
}

// Audit folds the log from its first event into a fresh store and compares the
// two table by table, as of one moment. It works at a share of one processor.
// The fresh store lies beside the store, with "-audit" behind the name, and is
// removed at the end; after a cut the next Audit goes on with it. An error says
// that nothing was compared. One Audit at a time; end ctx before Close.
func (s *Store) Audit(ctx context.Context, log Log, share float64) (r AuditResult, err error) {
	began := time.Now()
	// A log that ends before the store would be waited for.
	if err := s.Agree(ctx, log); err != nil {
		return r, fmt.Errorf("audit: %w", err)
	}
	fresh, err := s.openAudit(ctx, log)
	if err != nil {
		return r, fmt.Errorf("audit: %w", err)
	}
	done := false
	defer func() {
		err = errors.Join(err, fresh.Close())
		if done {
			err = errors.Join(err, s.fs.RemoveAll(fresh.dir))
		}
	}()
	p := newPace(share)
	// First near the end, then the store as it is, then exactly as far: hashing
	// keeps the files of its moment from being compacted.
	if err := fresh.foldTo(ctx, log, s.Position(), p); err != nil {
		return r, fmt.Errorf("audit: %w", err)
	}
	position, live, err := s.hashTables(ctx, p)
	if err != nil {
		return r, fmt.Errorf("audit: %w", err)
	}
	if err := fresh.foldTo(ctx, log, position, p); err != nil {
		return r, fmt.Errorf("audit: %w", err)
	}
	reached, told, err := fresh.hashTables(ctx, p)
	if err != nil {
		return r, fmt.Errorf("audit: %w", err)
	}
	done = true
	if reached != position {
		return r, fmt.Errorf("audit: the log has no event %d, which the projection has applied", position)
	}
	return AuditResult{Sequence: position, Took: time.Since(began), Ended: time.Now(), Drift: Differing(live, told)}, nil
}

// Differing returns the tables that do not have the same hash in both, nil for
// none.
func Differing(a, b []TableHash) (tables []string) {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			tables = append(tables, b[i].Table)
		case i >= len(b) || a[i] != b[i]:
			tables = append(tables, a[i].Table)
		}
	}
	return tables
}

// openAudit opens the store to compare with: the one of an audit that was cut
// off, if it is of this log and not beyond what is to be compared.
func (s *Store) openAudit(ctx context.Context, log Log) (*Store, error) {
	first, _, identity, err := state(ctx, log)
	if err != nil {
		return nil, err
	}
	opts := s.options(s.dir + "-audit")
	fresh, err := Open(opts)
	if err != nil {
		return nil, err
	}
	stored, err := fresh.identity()
	if err != nil {
		return nil, errors.Join(err, fresh.Close())
	}
	if position := fresh.Position(); position > s.Position() || position > 0 && string(stored) != identity {
		if err := errors.Join(fresh.Close(), s.fs.RemoveAll(opts.Dir)); err != nil {
			return nil, err
		}
		if fresh, err = Open(opts); err != nil {
			return nil, err
		}
	}
	if position := fresh.Position(); first > position+1 {
		return nil, errors.Join(fmt.Errorf("%w: it begins at %d, an audit begins at %d", ErrTruncated, first, position+1), fresh.Close())
	}
	if err := fresh.adopt(identity); err != nil {
		return nil, errors.Join(err, fresh.Close())
	}
	return fresh, nil
}

// foldTo applies the log up to that sequence and no further.
func (s *Store) foldTo(ctx context.Context, log Log, last uint64, p *pace) (err error) {
	if s.Position() >= last {
		return nil
	}
	f := &auditFold{store: s, last: last, pace: p, batch: make([]*event.Event, 0, batchEvents)}
	if from, can := log.(Replayer); can { // which finds out what the log has lost
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

// auditFold applies events in batches, at the pace of an audit.
type auditFold struct {
	store *Store
	last  uint64
	pace  *pace
	batch []*event.Event
	size  int
}

// take adds an event and reports whether it was the last.
func (f *auditFold) take(ctx context.Context, e *event.Event, size int) (ended bool, err error) {
	// An event beyond the last shows that the last is not there.
	if e.Sequence <= f.last {
		f.batch, f.size = append(f.batch, e), f.size+size
	}
	if full := len(f.batch) == batchEvents || f.size >= batchBytes; !full && e.Sequence < f.last {
		return false, nil
	}
	return f.apply(ctx, e.Sequence)
}

// apply empties the batch, which reaches that sequence, and rests.
func (f *auditFold) apply(ctx context.Context, reached uint64) (ended bool, err error) {
	if err := f.store.Apply(f.batch...); err != nil {
		return false, err
	}
	clear(f.batch)
	f.batch, f.size = f.batch[:0], 0
	if reached >= f.last {
		return true, nil
	}
	if !f.pace.rest(ctx) {
		return false, context.Cause(ctx)
	}
	return false, nil
}
