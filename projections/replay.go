package projections

import (
	"context"
	"errors"
	"io"

	"headwater/bus/event"
	"headwater/projections/fold"
)

const (
	// replayLeast is how far behind the log a store must be for Follow to replay.
	replayLeast = 2048
	replayBatch = 32768    // a batch of a replay ends with either
	replayBytes = 64 << 20 // of payloads

	// uncompactedBatches of an empty store are not compacted before all are written,
	// some 2 GiB of keys and values. Of a longer history the rest is, as always.
	uncompactedBatches = 48
)

// Replayer is a Log that reads a stretch of history which is known to be there
// faster than Ordered does.
type Replayer interface {
	// Replay hands the events after one sequence up to another to the function,
	// in order. What cannot be read comes with an error, as from Log.Decode.
	// size is that of the payload. It returns nil when it has reached last or
	// what lies behind it, or the function's error, or why it cannot go on.
	Replay(ctx context.Context, after, last uint64, each func(sequence uint64, e *event.Event, size int, err error) error) error
}

// catchUp brings a store that is far behind near the end of the log, where
// Follow goes on. It returns at once for one that is not, and for a log that
// cannot replay.
func (s *Store) catchUp(ctx context.Context, log Log, last uint64) error {
	from, can := log.(Replayer)
	if !can || last < s.Position()+replayLeast {
		return nil
	}
	return s.replay(ctx, from, last, replayBatch)
}

// replay folds the log up to last in batches of so many events. A crash leaves
// the beginning of the history that was flushed last, as always. Whoever applies
// something else meanwhile waits; Close ends the replay.
func (s *Store) replay(ctx context.Context, from Replayer, last uint64, most int) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.db == nil {
		return ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.closed:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	r := &replayed{store: s, most: most, at: s.Position()}
	if r.at == 0 {
		s.compactions.hold(true)
		defer s.compactions.hold(false)
	}
	err := errors.Join(from.Replay(ctx, r.at, last, r.take), r.end())
	if settled := r.settle(); err == nil {
		err = settled
	}
	if err != nil {
		s.cells = fold.NewCache(s.exists)
		return err
	}
	return s.fault(s.db.Flush()) // where a restart finds it
}

// replayed is the part of the log that is being folded. While one batch is
// committed the next gathers. Events are garbage as soon as they are folded: the
// collector would look at those of a whole batch again and again.
type replayed struct {
	store *Store
	most  int
	at    uint64 // what the batches reached
	ended int    // batches

	batch        *batch // nil between two
	events, size int

	committing chan error // nil for no batch
	failed     error      // why one was not committed
}

// take folds the next event.
func (r *replayed) take(sequence uint64, e *event.Event, size int, unread error) error {
	if r.batch == nil {
		t, err := r.store.begin(r.at, settled{r}, false)
		if err != nil {
			return err
		}
		r.batch, r.events, r.size = t, 0, 0
	}
	if err := r.batch.Fold(r.store.readable(sequence, e, unread)); err != nil {
		t := r.batch
		r.batch = nil
		return r.store.commit(t, err)
	}
	if r.events, r.size = r.events+1, r.size+size; r.events < r.most && r.size < replayBytes {
		return nil
	}
	return r.end()
}

// end has the batch committed, after the one before.
func (r *replayed) end() error {
	t := r.batch
	if t == nil {
		return nil
	}
	r.batch = nil
	if err := r.store.seal(t); err != nil {
		return r.store.commit(t, err)
	}
	if err := r.settle(); err != nil {
		return errors.Join(err, t.writes.Close())
	}
	if r.at, r.ended = t.Position, r.ended+1; r.ended == uncompactedBatches {
		r.store.compactions.hold(false)
	}
	done := make(chan error, 1)
	r.committing = done
	go func() { done <- r.store.commit(t, nil) }()
	return nil
}

// settle waits until the batch before is committed.
func (r *replayed) settle() error {
	if r.committing != nil {
		r.failed = <-r.committing
		r.committing = nil
	}
	return r.failed
}

// settled is the database with what the batch before wrote.
type settled struct{ *replayed }

func (s settled) Get(k []byte) ([]byte, io.Closer, error) {
	if err := s.settle(); err != nil {
		return nil, nil, err
	}
	return stored{s.store.db}.Get(k)
}
