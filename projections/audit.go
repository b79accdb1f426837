package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"headwater/bus/event"
)

// AuditResult is the result of one audit.
type AuditResult struct {
	Sequence uint64 // up to which the store was compared with the log
	Took     time.Duration
	Ended    time.Time
	Drift    []string // tables that differ from the log; nil for none
}

// Audit folds the log from its first event into a second store and compares the
// two table by table, as of the same position. It uses at most share of one
// processor. The second store has the folder of s with "-audit" appended, and is
// removed at the end; if the audit is interrupted, the next one continues with
// it. An error means that nothing was compared. Only one Audit may run at a
// time; cancel ctx before Close.
func (s *Store) Audit(ctx context.Context, log Log, share float64) (r AuditResult, err error) {
	began := time.Now()
	// Otherwise the audit would wait for a log that ends before the store.
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
	// The fresh store is brought close to the end before the live one is hashed
	// and then exactly to its position: hashing keeps the files of its moment
	// from being compacted.
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

// Differing returns the tables whose hashes differ between a and b, nil for
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

// openAudit opens the store to compare with: that of an interrupted audit, if it
// followed this log and is not ahead of the live store, else an empty one.
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

// auditFold applies events in batches, at the pace of an audit.
type auditFold struct {
	store *Store
	last  uint64
	pace  *pace
	batch []*event.Event
	size  int
}

// take adds an event and returns true if it was the last one.
func (f *auditFold) take(ctx context.Context, e *event.Event, size int) (ended bool, err error) {
	// An event after the last sequence shows that the last one is missing.
	if e.Sequence <= f.last {
		f.batch, f.size = append(f.batch, e), f.size+size
	}
	if full := len(f.batch) == batchEvents || f.size >= batchBytes; !full && e.Sequence < f.last {
		return false, nil
	}
	return f.apply(ctx, e.Sequence)
}

// apply applies the batch, which reaches that sequence, and pauses.
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
