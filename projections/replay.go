package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
)

const (
	// replayLeast is how far behind the log a store must be for Follow to replay.
	replayLeast = 2048
	replayBatch = 8192     // a batch of a replay ends with either
	replayBytes = 16 << 20 // of payloads
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
// the beginning of the history that was flushed last, as always.
func (s *Store) replay(ctx context.Context, from Replayer, last uint64, most int) (err error) {
	if s.Position() == 0 {
		if err := s.reopen(true); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.reopen(false)) }()
	}
	batch, size := make([]*event.Event, 0, most), 0
	fold := func() error {
		err := s.Apply(batch...)
		clear(batch)
		batch, size = batch[:0], 0
		return err
	}
	err = from.Replay(ctx, s.Position(), last, func(sequence uint64, e *event.Event, bytes int, err error) error {
		batch, size = append(batch, s.readable(sequence, e, err)), size+bytes
		if len(batch) < most && size < replayBytes {
			return nil
		}
		return fold()
	})
	return errors.Join(err, fold())
}

// bulkOptions are for folding a long history into an empty store: what is
// flushed is not compacted before there are 64 tables over each other, some 2 GiB
// of keys and values. The next open compacts them beside its work.
func bulkOptions(opts *pebble.Options) {
	opts.MemTableStopWritesThreshold = 4
	opts.L0CompactionThreshold = 64
}

// reopen flushes the database and opens it again with other options. Reads wait
// for it. After an error the store is closed for reads and writes.
func (s *Store) reopen(bulk bool) error {
	s.write.Lock()
	defer s.write.Unlock()
	s.open.Lock()
	defer s.open.Unlock()
	if s.db == nil {
		return ErrClosed
	}
	if err := s.Err(); err != nil {
		return err
	}
	err := errors.Join(s.db.Flush(), s.db.Close())
	s.db = nil
	if err == nil {
		s.bulk = bulk
		s.db, err = s.openDB()
	}
	if err != nil {
		return fmt.Errorf("reopen projection %s: %w", s.dir, s.fault(err))
	}
	return nil
}
