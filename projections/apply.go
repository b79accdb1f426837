package projections

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/fold"
)

// Apply folds events into the store, in the order of their sequences. It commits
// all of them and the new position in one batch, or nothing. It skips events at
// or below the position. An event without Data, which stands for one that is
// unknown or unreadable, only moves the position. The result depends on the
// events alone, not on the clock or on how the events were divided into batches.
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

// batch is a batch of events and the Pebble batch that it writes to.
type batch struct {
	*fold.Batch
	writes *pebble.Batch
}

// begin starts a batch of the events after that sequence. The caller holds
// s.write until commit.
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

// seal writes what the batch has left to write. Nothing can be folded into it
// afterwards, and the next batch can begin.
func (s *Store) seal(t *batch) error {
	err := t.Flush()
	s.batchSize = min(t.writes.Len()+t.writes.Len()/8, largestBatch) // the next batch will be about as large
	return err
}

// commit writes a sealed batch, or discards it if err is not nil. After an error
// the cache is stale and is dropped.
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
		s.waiting.Wake(e.Position, e.Changed, e.Ended, e.Revoked, e.Scheduled)
	}
	return nil
}

// largestBatch is the largest initial buffer of a batch, in bytes.
const largestBatch = 64 << 20

// stored is the database as a batch reads it. It implements fold.Reader.
type stored struct{ db *pebble.DB }

func (r stored) Get(k []byte) ([]byte, io.Closer, error) {
	v, closer, err := r.db.Get(k)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil, nil
	}
	return v, closer, err
}

// writes is a Pebble batch that folding fills. It implements fold.Writer.
type writes struct{ b *pebble.Batch }

func (w writes) Set(k, v []byte) error { return w.b.Set(k, v, nil) }

func (w writes) SetText(k string, v []byte) error {
	op := w.b.SetDeferred(len(k), len(v))
	copy(op.Key, k)
	copy(op.Value, v)
	return op.Finish()
}

func (w writes) Delete(k []byte) error { return w.b.Delete(k, nil) }
