package projections

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/fold"
)

// Apply folds events, in the order of their sequences, into the store: all of
// them and the new position in one batch, or nothing. Events at or below the
// position are skipped. An event without Data, which is how an unknown or
// unreadable one is passed, only moves the position. The result depends on the
// events alone: not on the clock, not on how they were divided into batches.
func (s *Store) Apply(events ...*event.Event) error {
	s.write.Lock()
	defer s.write.Unlock()
	t, err := s.begin(s.Position(), stored{s.db}, true)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err = t.Fold(e); err != nil {
			break
		}
	}
	if err == nil {
		err = s.seal(t)
	}
	if err = s.commit(t, err); err != nil {
		s.cells = fold.NewCache(s.exists)
	}
	return err
}

// batch is what events come to, and the writes of Pebble that they become.
type batch struct {
	*fold.Batch
	writes *pebble.Batch
}

// begin begins a batch of what follows that sequence. The caller holds s.write
// until commit.
func (s *Store) begin(after uint64, db fold.Reader, count bool) (*batch, error) {
	if s.db == nil {
		return nil, ErrClosed
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	w := s.db.NewBatchWithSize(s.batchSize)
	return &batch{s.cells.Begin(db, writes{w}, after, count), w}, nil
}

// seal writes the rest of a batch. Nothing can be folded into it any more, and
// the next one can begin.
func (s *Store) seal(t *batch) error {
	err := t.Flush()
	s.batchSize = min(t.writes.Len()+t.writes.Len()/8, largestBatch) // the next is about as large
	return err
}

// commit applies a sealed batch or, with an error, throws it away. After an error
// memory knows what is not so.
func (s *Store) commit(t *batch, err error) error {
	e := &t.Effect
	if err == nil && e.Touched {
		err = t.writes.Commit(pebble.NoSync)
	}
	if err = s.fault(errors.Join(err, t.writes.Close())); err != nil {
		return fmt.Errorf("apply events after %d: %w", e.Start, err)
	}
	if e.Touched {
		s.position.Store(e.Position)
		s.waiting.wake(e.Position, e.Changed, e.Ended, e.Revoked, e.Scheduled)
	}
	return nil
}

// largestBatch is how much memory a batch begins with at most, in bytes.
const largestBatch = 64 << 20

// stored is the database as a batch reads it.
type stored struct{ db *pebble.DB }

func (r stored) Get(k []byte) ([]byte, io.Closer, error) {
	v, closer, err := r.db.Get(k)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil, nil
	}
	return v, closer, err
}

// writes is a batch of Pebble as the folding of events fills it.
type writes struct{ b *pebble.Batch }

func (w writes) Set(k, v []byte) error { return w.b.Set(k, v, nil) }

func (w writes) SetText(k string, v []byte) error {
	op := w.b.SetDeferred(len(k), len(v))
	copy(op.Key, k)
	copy(op.Value, v)
	return op.Finish()
}

func (w writes) Delete(k []byte) error { return w.b.Delete(k, nil) }
