package projections

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
)

// Apply folds events, in the order of their sequences, into the store: all of
// them and the new position in one batch, or nothing. Events at or below the
// position are skipped. An event without Data, which is how an unknown or
// unreadable one is passed, only moves the position. The result depends on the
// events alone: not on the clock, not on how they were divided into batches.
func (s *Store) Apply(events ...*event.Event) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.db == nil {
		return ErrClosed
	}
	if err := s.Err(); err != nil {
		return err
	}
	t := &turn{db: s.db, memory: s.memory, position: s.position.Load()}
	t.memory.trim()
	t.batch = s.db.NewBatchWithSize(s.batchSize)
	err := t.run(events)
	if err == nil && t.touched {
		err = t.batch.Commit(pebble.NoSync)
	}
	s.batchSize = min(t.batch.Len(), largestBatch) // the next is about as large
	if err = s.fault(errors.Join(err, t.batch.Close())); err != nil {
		s.memory = newMemory(s.written)
		return fmt.Errorf("apply events after %d: %w", s.position.Load(), err)
	}
	if t.touched {
		s.position.Store(t.position)
		s.waiting.wake(t.position, t.changed, t.ended)
	}
	return nil
}

// largestBatch is how much memory a batch begins with at most, in bytes.
const largestBatch = 8 << 20

// turn is one call of Apply.
type turn struct {
	*memory
	db       *pebble.DB
	batch    *pebble.Batch
	position uint64
	touched  bool // any event moved the position

	changed map[event.Address]struct{} // sources of which anything was applied
	ended   []string                   // keys of operations that have their outcome

	// What a later event of the batch would write again is written once.
	documents map[string][]byte             // current documents by key, nil for none
	results   map[string]*event.TableResult // tables of syncs by key
	moment    []byte                        // key of the time of the event before
	until     uint64                        // its sequence

	// Of the event at hand.
	sequence uint64
	at       time.Time
	address  event.Address
	source   *cell[Source]
	document bool // the source's document changed
}

func (t *turn) run(events []*event.Event) error {
	start := t.position
	t.changed = make(map[event.Address]struct{})
	t.documents, t.results = make(map[string][]byte), make(map[string]*event.TableResult)
	for _, e := range events {
		if e.Sequence <= t.position {
			if e.Sequence == 0 {
				return fmt.Errorf("event %s has no sequence", e.ID)
			}
			continue
		}
		t.position, t.touched = e.Sequence, true
		if e.Data == nil {
			continue
		}
		if err := t.apply(e); err != nil {
			return fmt.Errorf("event %d (%s): %w", e.Sequence, e.Name(), err)
		}
	}
	if !t.touched {
		return nil
	}
	if err := errors.Join(t.writeLast(), t.flush(t.batch)); err != nil {
		return err
	}
	if err := t.batch.Set([]byte{keyPosition}, putSequence(nil, t.position), nil); err != nil {
		return err
	}
	return t.batch.Set(putSequence([]byte{keyMark}, t.position), putSequence(nil, start), nil)
}

// apply folds one event: first what it says of the source and its sync, then
// what it means for the operation that asked for it.
func (t *turn) apply(e *event.Event) error {
	t.sequence, t.at, t.document = e.Sequence, e.Time.UTC(), false
	// Events of a sync mostly follow each other.
	if address := e.Address(); t.source == nil || address != t.address {
		t.changed[address] = struct{}{}
		source, err := t.sources.get(t.db, addressKey(keySource, address))
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
	k := timeKey(t.at)
	if string(k) != string(t.moment) {
		if err := t.writeMoment(); err != nil {
			return err
		}
	}
	t.moment, t.until = k, t.sequence
	return nil
}

// writeMoment writes the last sequence of a millisecond. Events of one mostly
// follow each other.
func (t *turn) writeMoment() error {
	if t.moment == nil {
		return nil
	}
	return t.batch.Set(t.moment, putSequence(nil, t.until), nil)
}

// writeLast writes what the events of the batch left of keys that each of them
// would have written anew.
func (t *turn) writeLast() error {
	for k, doc := range t.documents {
		var err error
		if doc == nil {
			err = t.batch.Delete([]byte(k), nil)
		} else {
			err = t.batch.Set([]byte(k), doc, nil)
		}
		if err != nil {
			return err
		}
	}
	for k, r := range t.results {
		doc, err := tableState(r)
		if err != nil {
			return fmt.Errorf("table %s: %w", r.Name, err)
		}
		if err := t.batch.Set([]byte(k), frame([]byte(r.Status), doc), nil); err != nil {
			return err
		}
	}
	return t.writeMoment()
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
	case *event.SourceRemoved:
		return t.removed(d)
	case *event.SourceRestored:
		return t.restored(d)
	case *event.SourcePurged:
		return t.purged(d)
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
