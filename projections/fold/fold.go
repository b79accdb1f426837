// Package fold says what each event changes in the read model. It reads what is
// stored through a Reader and writes through a Writer: the same events give the
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

// Effect is what a batch comes to, for those who commit it and wait for it.
type Effect struct {
	Start    uint64 // the position before
	Position uint64
	Touched  bool // any event moved the position

	Changed   map[event.Address]struct{} // sources of which anything was applied, nil for not counted
	Ended     []string                   // keys of operations that have their outcome
	Scheduled bool                       // when a run of a schedule is due has changed
	Revoked   []string                   // ids of API tokens
}

// Batch is one batch of events, in the order of their sequences. It is not safe for concurrent use.
type Batch struct {
	*Cache
	Effect
	db  Reader
	out Writer

	// What a later event of the batch would write again is written once.
	documents map[string]*document // current documents of sources by key
	results   map[string]*result   // tables of syncs by key

	// Of the event at hand.
	sequence uint64
	at       time.Time
	address  event.Address
	source   *cell[layout.Source]
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

// Fold takes the next event into the batch. One at or below the position is
// skipped; one without Data, which is how an unknown or unreadable one is passed,
// only moves the position. After an error the batch and its Cache are of no use.
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

// Flush writes what the events left, and how far they came. Nothing can be folded
// into the batch any more, and the next can begin. After an error its Cache is of
// no use.
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

// apply folds one event: first what it says of the source and its sync, then
// what it means for the operation that asked for it.
func (t *Batch) apply(e *event.Event) error {
	t.sequence, t.at, t.document = e.Sequence, e.Time.UTC(), false
	// Events of a sync mostly follow each other.
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
	if t.document {
		if err := t.writeDocument(); err != nil {
			return err
		}
	}
	return t.moment()
}

// writeLast writes what the events of the batch left of keys that each of them
// would have written anew.
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
	v := t.room
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

// tell applies the event to the source and its sync and returns what there is
// to say of the operation's target, nil for nothing.
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
		return nil, nil // what callers did, which the log alone tells
	}
	return nil, ErrNotFolded
}

// ErrNotFolded is the error of an event that is part of the contract and of which
// nobody has said what it changes: the read model must not pass it in silence.
var ErrNotFolded = errors.New("nothing says what it changes in the read model")

// outcome is the status of a target that ended for a reason.
func outcome(reason event.Reason) string {
	if reason == event.ReasonCancelled {
		return layout.StatusCancelled
	}
	return layout.StatusFailed
}
