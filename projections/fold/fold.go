// Package fold defines how each event changes the read model. It reads stored
// values through a Reader and writes through a Writer. The same events cause the
// same writes, however they are divided into batches. It knows no store and no
// clock.
package fold

import (
	"errors"
	"fmt"
	"time"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// Effect is what a batch changed, for whoever commits it and wakes waiters.
type Effect struct {
	Start    uint64 // the position before the batch
	Position uint64
	Touched  bool // some event moved the position

	Changed   map[event.Address]struct{} // sources with applied events; nil if not counted
	Ended     []string                   // keys of operations that have ended
	Scheduled bool                       // the time of some schedule's next run has changed
	Revoked   []string                   // ids of revoked API tokens
}

// Batch is one batch of events, in the order of their sequences. It is not safe
// for concurrent use.
type Batch struct {
	*Cache
	Effect
	db  Reader
	out Writer

	// Values that a later event of the batch would overwrite are written once,
	// at the end.
	documents map[string]*document // current documents of sources, by key
	results   map[string]*result   // tables of syncs, by key

	// About the current event.
	sequence uint64
	at       time.Time
	address  event.Address
	source   *cell[layout.Source]
	moments  *cell[layout.Moments]
	span     int64 // of its time
	document bool  // the source's document has changed
	live     bool  // only what is no version of the document has changed
}

// document is the current document of a source, framed, as the batch leaves it.
type document struct {
	v    []byte
	gone bool
}

// result is the state in which a batch leaves one table of a sync.
type result struct{ *event.TableResult }

// Fold adds the next event to the batch. It skips an event at or below the
// position. An event without Data, which stands for one that is unknown or
// unreadable, only moves the position. After an error the batch and its Cache
// must be discarded.
func (t *Batch) Fold(e *event.Event) error {
	if e.Sequence <= t.Position {
		if e.Sequence == 0 {
			return fmt.Errorf("event %s has no sequence", e.ID)
		}
		return nil
	}
	t.Position, t.Touched = e.Sequence, true
	if e.Data == nil {
		return nil
	}
	if err := t.apply(e); err != nil {
		return fmt.Errorf("event %d (%s): %w", e.Sequence, e.Name(), err)
	}
	return nil
}

// Flush writes what the events changed, and the new position. Afterwards nothing
// can be folded into the batch, and the next one can begin. After an error the
// Cache must be discarded.
func (t *Batch) Flush() error {
	if !t.Touched {
		return nil
	}
	if err := errors.Join(t.writeLast(), t.Cache.flush(t.out)); err != nil {
		return err
	}
	if err := t.out.Set([]byte{layout.KeyPosition}, layout.PutSequence(nil, t.Position)); err != nil {
		return err
	}
	return t.out.Set(layout.PutSequence([]byte{layout.KeyMark}, t.Position), layout.PutSequence(nil, t.Start))
}

// apply folds one event: first its effect on the source and its sync, then on
// the operation that caused it.
func (t *Batch) apply(e *event.Event) error {
	t.sequence, t.at, t.document, t.live = e.Sequence, e.Time.UTC(), false, false
	// Consecutive events are mostly of the same sync.
	if address := e.Address(); t.source == nil || address != t.address {
		if t.Changed != nil {
			t.Changed[address] = struct{}{}
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
	if t.document || t.live {
		if err := t.writeDocument(); err != nil {
			return err
		}
	}
	return t.moment()
}

// writeLast writes the values that were held back until the end of the batch.
func (t *Batch) writeLast() error {
	for k, doc := range t.documents {
		var err error
		if doc.gone {
			err = t.out.Delete([]byte(k))
		} else {
			err = t.out.SetText(k, doc.v)
		}
		if err != nil {
			return err
		}
	}
	v := t.buffer
	for k, r := range t.results {
		var err error
		if v, err = layout.AppendSyncTable(v[:0], r.TableResult); err != nil {
			return fmt.Errorf("table %s: %w", r.Name, err)
		}
		if err := t.out.SetText(k, v); err != nil {
			return err
		}
	}
	return nil
}

// tell applies the event to the source and its sync. It returns the news for the
// operation's target, or nil for none.
func (t *Batch) tell(e *event.Event) (*news, error) {
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
	case *event.ChangesLanded:
		return nil, t.changesLanded(d)
	case *event.ChangesLagging:
		t.changesLagging(d)
		return nil, nil
	case *event.ChangesGivenUp:
		t.changesGivenUp(d)
		return nil, nil
	case *event.TableVerified:
		return t.verified(d), nil
	case *event.TableMaintained:
		return t.maintained(d), nil
	case *event.SourceRemoved:
		return t.removed(d)
	case *event.SourceRestored:
		return t.restored(d)
	case *event.SourcePurged:
		return t.purged(d)
	case *event.SourceDestroyed:
		return t.destroyed(d), nil
	case *event.ScheduleChanged:
		return t.scheduleChanged(d)
	case *event.ScheduleFired:
		return t.scheduleFired(d)
	case *event.ScheduleSkipped:
		return t.scheduleSkipped(d)
	case *event.ScheduleMissed:
		return t.scheduleMissed(d)
	case *event.TokenCreated:
		return nil, t.tokenCreated(d)
	case *event.TokenRevoked:
		return nil, t.tokenRevoked(d)
	case *event.TokenUsed:
		return nil, t.tokenUsed(d)
	case *event.WebhookCreated, *event.WebhookRotated, *event.WebhookDeleted, *event.RequestRefused:
		return nil, nil // an action of a caller; it is in the log only
	}
	return nil, ErrNotFolded
}

// ErrNotFolded is the error for an event of the contract that tell does not
// handle: the read model must not skip it silently.
var ErrNotFolded = errors.New("nothing says what it changes in the read model")

// outcome returns the status of a target that ended for that reason.
func outcome(reason event.Reason) string {
	if reason == event.ReasonCancelled {
		return layout.StatusCancelled
	}
	return layout.StatusFailed
}
