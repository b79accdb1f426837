package projections

import (
	"context"
	"errors"
	"io"

	"headwater/bus/event"
	"headwater/projections/fold"
)

const (
	// replayLeast is how many events a store must be behind for Follow to
	// replay.
	replayLeast = 2048
	replayBatch = 32768    // most events of a replay's batch
	replayBytes = 64 << 20 // payload bytes after which such a batch ends

	// uncompactedBatches is how many batches of a replay into an empty store are
	// written before compactions begin, about 2 GiB of keys and values.
	uncompactedBatches = 48
)

// Replayer is a Log that can read a stretch of existing history faster than
// Ordered.
type Replayer interface {
	// Replay calls each with the events after one sequence and up to another, in
	// order. An unreadable event comes with an error, as from Log.Decode. size
	// is that of the payload, in bytes. Replay returns nil once it has reached
	// last or an event after it, else the error of each or the reason why it
	// cannot continue.
	Replay(ctx context.Context, after, last uint64, each func(sequence uint64, e *event.Event, size int, err error) error) error
}

// catchUp brings a store that is far behind close to the end of the log, from
// where Follow continues. It returns at once if the store is not far behind, or
// if the log cannot replay.
func (s *Store) catchUp(ctx context.Context, log Log, last uint64) error {
	from, can := log.(Replayer)
	if !can || last < s.Position()+replayLeast {
		return nil
	}
	return s.replay(ctx, from, last, replayBatch)
}

// replay applies the log up to last in batches of up to most events. After a
// crash the store holds the history up to the last flush. Apply waits until the
// replay has ended; Close ends it early.
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
		s.compactions.Hold(true)
		defer s.compactions.Hold(false)
	}
	err := errors.Join(from.Replay(ctx, r.at, last, r.take), r.end())
	if settled := r.settle(); err == nil {
		err = settled
	}
	if err != nil {
		s.cells = fold.NewCache(s.exists)
		return err
	}
	return s.fault(s.db.Flush()) // so that a restart finds it
}

// replayed is the part of the log that is being replayed. While one batch is
// committed, the next is gathered. Events are folded at once rather than
// collected, because the garbage collector would scan those of a whole batch
// repeatedly.
type replayed struct {
	store *Store
	most  int
	at    uint64 // sequence that the batches have reached
	ended int    // number of batches

	batch        *batch // nil between two batches
	events, size int

	committing chan error // result of the batch being committed; nil for none
	failed     error      // why a batch could not be committed
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

// end starts the commit of the batch, after that of the previous one.
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
		r.store.compactions.Hold(false)
	}
	done := make(chan error, 1)
	r.committing = done
	go func() { done <- r.store.commit(t, nil) }()
	return nil
}

// settle waits until the previous batch is committed.
func (r *replayed) settle() error {
	if r.committing != nil {
		r.failed = <-r.committing
		r.committing = nil
	}
	return r.failed
}

// settled is the database including the previous batch. It implements
// fold.Reader.
type settled struct{ *replayed }

func (s settled) Get(k []byte) ([]byte, io.Closer, error) {
	if err := s.settle(); err != nil {
		return nil, nil, err
	}
	return stored{s.store.db}.Get(k)
}
