package fold

import (
	"time"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// changesLanded moves a source on in its log. Its document shows it, but gains no
// version by it: those would be most of the store.
func (t *Batch) changesLanded(d *event.ChangesLanded) error {
	y, err := t.syncs.get(t.db, t.key(layout.KeySync, d.Organization, d.WorkspaceID, d.SyncID))
	if err != nil || y.v.Began == 0 || y.v.Ended() || y.v.Address != d.Address() {
		return err
	}
	changes := d.Changes
	y.v.Records, y.v.Bytes, y.v.UpdatedAt, y.v.Changes = d.Records, d.Bytes, t.at, &changes
	t.syncs.touch(y)
	if !t.alive() {
		return nil
	}
	t.standAt(&changes)
	if s := t.source.v.Schedule; s != nil && changes.FreshUntil != nil {
		s.Failures = 0
	}
	t.live = true
	return nil
}

// standAt notes where the source stands in its log.
func (t *Batch) standAt(c *event.Changes) {
	if c == nil || c.Position == "" {
		return
	}
	src := &t.source.v
	now := layout.Changes{Changes: *c}
	if src.Changes != nil {
		now.Lagging = src.Changes.Lagging
	}
	src.Changes = &now
}

func (t *Batch) changesLagging(d *event.ChangesLagging) {
	if !t.alive() {
		return
	}
	changes := d.Changes
	t.standAt(&changes)
	if t.source.v.Changes != nil {
		t.source.v.Changes.Lagging = !d.Over
	}
	t.changeDocument()
}

// changesGivenUp forgets where a source stood, also of one that is removed: should
// it come back, its log does not.
func (t *Batch) changesGivenUp(d *event.ChangesGivenUp) {
	src := &t.source.v
	if !t.source.exists || src.Changes == nil {
		return
	}
	at := t.at
	src.Changes = &layout.Changes{Changes: event.Changes{Message: d.Message, At: &at}}
	if t.alive() {
		t.changeDocument()
	}
}

// landedAside notes whether the log goes on without a table.
func (t *Batch) landedAside(r *event.TableResult) error {
	if !t.alive() || !r.SetAside && r.Position == "" {
		return nil
	}
	a := t.source.v.Address
	entry, err := t.landed.get(t.db, t.key(layout.KeyLanded, a.Organization, a.Workspace, a.Owner, a.Source, r.Namespace, r.Name))
	if err != nil || entry.v.SyncID == "" || entry.v.SetAside == r.SetAside {
		return err
	}
	entry.v.SetAside = r.SetAside
	t.landed.touch(entry)
	return nil
}

// The pauses before a continuous schedule begins a sync again.
const (
	againSoon  = time.Second
	againFirst = 5 * time.Second // after a failure, twice as long after each next
	againLast  = 5 * time.Minute
)

// again makes a continuous schedule due once the sync of its source has ended. One
// that somebody cancelled is paused: it was told to stop.
func (t *Batch) again(failure *layout.Failure, operation string) error {
	src := &t.source.v
	s := src.Schedule
	if !t.alive() || s == nil || !s.Continuous || s.Paused {
		return nil
	}
	own := s.LastRun != nil && s.LastRun.OperationID == operation && s.LastRun.Outcome == event.RunStarted
	pause := againSoon
	switch {
	case failure == nil:
		s.Failures = 0
	case failure.Reason == event.ReasonCancelled && own:
		s.Paused, s.Failures = true, 0
		t.changeDocument()
		return t.due(t.source, nil, "")
	case own:
		s.Failures++
		pause = againLast
		if s.Failures < 7 {
			pause = againFirst << (s.Failures - 1)
		}
	}
	at := t.at.Add(pause)
	return t.due(t.source, &at, "")
}
