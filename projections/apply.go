package projections

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// Apply folds events, in the order of their sequences, into the store: all of
// them and the new position in one batch, or nothing. Events at or below the
// position are skipped. An event without Data, which is how an unknown or
// unreadable one is passed, only moves the position. The result depends on the
// events alone: not on the clock, not on how they were divided into batches.
func (s *Store) Apply(events ...*event.Event) error {
	s.write.Lock()
	defer s.write.Unlock()
	t, err := s.turn(s.Position(), s.db)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err = t.fold(e); err != nil {
			break
		}
	}
	if err == nil {
		err = s.seal(t)
	}
	if err = s.commit(t, err); err != nil {
		s.memory = newMemory(s.written)
	}
	return err
}

// turn begins a batch of what follows that sequence. The caller holds s.write
// until commit.
func (s *Store) turn(after uint64, db getter) (*turn, error) {
	if s.db == nil {
		return nil, ErrClosed
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	s.memory.trim()
	return &turn{
		memory: s.memory, db: db, batch: s.db.NewBatchWithSize(s.batchSize), start: after, position: after,
		changed: make(map[event.Address]struct{}), documents: make(map[string]*document), results: make(map[string]*result),
	}, nil
}

// seal writes the rest of a batch. Nothing can be folded into it any more, and
// the next one can begin.
func (s *Store) seal(t *turn) error {
	err := t.flush()
	s.batchSize = min(t.batch.Len()+t.batch.Len()/8, largestBatch) // the next is about as large
	return err
}

// commit applies a sealed batch or, with an error, throws it away. After an error
// memory knows what is not so.
func (s *Store) commit(t *turn, err error) error {
	if err == nil && t.touched {
		err = t.batch.Commit(pebble.NoSync)
	}
	if err = s.fault(errors.Join(err, t.batch.Close())); err != nil {
		return fmt.Errorf("apply events after %d: %w", t.start, err)
	}
	if t.touched {
		s.position.Store(t.position)
		s.waiting.wake(t.position, t.changed, t.ended)
	}
	return nil
}

// largestBatch is how much memory a batch begins with at most, in bytes.
const largestBatch = 64 << 20

// turn is one batch of events.
type turn struct {
	*memory
	db       getter
	batch    *pebble.Batch
	start    uint64 // the position before
	position uint64
	touched  bool // any event moved the position

	changed map[event.Address]struct{} // sources of which anything was applied, nil for not counted
	ended   []string                   // keys of operations that have their outcome

	// What a later event of the batch would write again is written once.
	documents map[string]*document // current documents of sources by key
	results   map[string]*result   // tables of syncs by key

	// Of the event at hand.
	sequence uint64
	at       time.Time
	address  event.Address
	source   *cell[Source]
	moments  *cell[layout.Moments]
	span     int64 // of moments
	document bool  // the source's document changed
}

// document is the current document of a source, framed, as a batch leaves it.
type document struct {
	v    []byte
	gone bool
}

// result is what a batch leaves of one table of a sync.
type result struct{ *event.TableResult }

// fold takes the next event into the batch.
func (t *turn) fold(e *event.Event) error {
	if e.Sequence <= t.position {
		if e.Sequence == 0 {
			return fmt.Errorf("event %s has no sequence", e.ID)
		}
		return nil
	}
	t.position, t.touched = e.Sequence, true
	if e.Data == nil {
		return nil
	}
	if err := t.apply(e); err != nil {
		return fmt.Errorf("event %d (%s): %w", e.Sequence, e.Name(), err)
	}
	return nil
}

// flush writes what the events left, and how far they came.
func (t *turn) flush() error {
	if !t.touched {
		return nil
	}
	if err := errors.Join(t.writeLast(), t.memory.flush(t.batch)); err != nil {
		return err
	}
	if err := t.batch.Set([]byte{layout.KeyPosition}, layout.PutSequence(nil, t.position), nil); err != nil {
		return err
	}
	return t.batch.Set(layout.PutSequence([]byte{layout.KeyMark}, t.position), layout.PutSequence(nil, t.start), nil)
}

// apply folds one event: first what it says of the source and its sync, then
// what it means for the operation that asked for it.
func (t *turn) apply(e *event.Event) error {
	t.sequence, t.at, t.document = e.Sequence, e.Time.UTC(), false
	// Events of a sync mostly follow each other.
	if address := e.Address(); t.source == nil || address != t.address {
		if t.changed != nil {
			t.changed[address] = struct{}{}
		}
		source, err := t.sources.get(t.db, t.key(layout.KeySource, address.Organization, address.Workspace, address.Owner, address.Source))
		if err != nil {
			return err
		}
		t.source, t.address = source, address
	}
	news, err := t.tell(e)
	if err != nil {
		return err
	}
	if err := t.report(e.Data.Header(), news); err != nil {
		return err
	}
	if t.source.exists {
		t.source.v.LastSequence = t.sequence
		t.sources.touch(t.source)
	}
	if t.document {
		if err := t.writeDocument(); err != nil {
			return err
		}
	}
	return t.moment()
}

// writeLast writes what the events of the batch left of keys that each of them
// would have written anew.
func (t *turn) writeLast() error {
	for k, doc := range t.documents {
		var err error
		if doc.gone {
			err = t.batch.Delete([]byte(k), nil)
		} else {
			err = set(t.batch, k, doc.v)
		}
		if err != nil {
			return err
		}
	}
	v := t.room
	for k, r := range t.results {
		var err error
		if v, err = layout.AppendSyncTable(v[:0], r.TableResult); err != nil {
			return fmt.Errorf("table %s: %w", r.Name, err)
		}
		if err := set(t.batch, k, v); err != nil {
			return err
		}
	}
	return nil
}

// tell applies the event to the source and its sync and returns what there is
// to say of the operation's target, nil for nothing.
func (t *turn) tell(e *event.Event) (*news, error) {
	switch d := e.Data.(type) {
	case *event.OperationAccepted:
		return nil, t.accepted(d)
	case *event.CommandRejected:
		return t.rejected(d)
	case *event.ConnectionTested:
		return t.tested(d), nil
	case *event.SourceConnected:
		return t.connected(d)
	case *event.SourceConnectFailed:
		return &news{name: d.Name, status: outcome(d.Reason), reason: d.Reason, message: d.Message}, nil
	case *event.SchemaDiscovered:
		return t.discovered(d)
	case *event.SyncStarted:
		return t.syncStarted(d)
	case *event.SyncProgressed:
		return nil, t.syncProgressed(d)
	case *event.SyncCompleted:
		return t.syncCompleted(d)
	case *event.SyncFailed:
		return t.syncFailed(d)
	case *event.SyncCancelled:
		return t.syncCancelled(d)
	case *event.TableVerified:
		return t.verified(d), nil
	case *event.SourceRemoved:
		return t.removed(d)
	case *event.SourceRestored:
		return t.restored(d)
	case *event.SourcePurged:
		return t.purged(d)
	case *event.SourceDestroyed:
		return t.destroyed(d), nil
	case *event.WebhookCreated, *event.WebhookRotated, *event.WebhookDeleted, *event.RequestRefused:
		return nil, nil // what callers did, which the log alone tells
	}
	return nil, nil
}

// outcome is the status of a target that ended for a reason.
func outcome(reason event.Reason) string {
	if reason == event.ReasonCancelled {
		return StatusCancelled
	}
	return StatusFailed
}
