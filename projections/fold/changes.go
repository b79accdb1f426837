package fold

import (
	"slices"
	"time"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// changesLanded updates the position of a source in its log. The source's document
// shows it, but gets no new version: those would be most of the store.
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

// standAt records the position of the source in its log.
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

const capture = "cdc" // the mode of syncs that follow a log

// take records that a sync has begun which may have the source's server keep its log: that is
// known before the server is asked, so that whoever comes after a killed worker knows.
func (t *Batch) take(mode string) {
	if mode == capture {
		t.source.v.Taken = &layout.Taken{Sequence: t.sequence, At: t.at}
	}
}

// captures reports whether a sync that follows the log is under way.
func (t *Batch) captures() bool {
	src := &t.source.v
	return src.Running != nil && src.Taken != nil && src.Taken.Sequence == src.Running.Fence
}

// leave records that the source goes to another server than the one that it has, which
// may keep its log: the position there is valid no more from this event on.
func (t *Batch) leave() {
	src := &t.source.v
	left := layout.Left{Moved: t.sequence, Connector: src.Connector, Config: src.Config, SecretRef: src.SecretRef}
	if src.Changes != nil {
		at := t.at
		left.Position, src.Changes = src.Changes.Position, &layout.Changes{Changes: event.Changes{At: &at}}
	}
	src.Moved, src.Left = t.sequence, append(slices.Clip(src.Left), left)
	if !t.captures() { // such a sync goes on at the server that the source has from now on
		src.Taken = nil
	}
}

// changesGivenUp deletes the position of a source, even of a removed one: if the
// source is restored, its log is not. If it is about a server that the source has left,
// that one is done with; where the source stands at the server that it has stays.
func (t *Batch) changesGivenUp(d *event.ChangesGivenUp) {
	src := &t.source.v
	if !t.source.exists {
		return
	}
	if d.Left != 0 {
		src.Left = slices.DeleteFunc(slices.Clone(src.Left), func(l layout.Left) bool { return l.Moved == d.Left })
	}
	if d.Left == 0 && d.Released && !t.captures() {
		src.Taken = nil
	}
	if src.Changes == nil || d.Left != 0 && src.Changes.Position != "" {
		return
	}
	at := t.at
	src.Changes = &layout.Changes{Changes: event.Changes{Message: d.Message, At: &at}}
	if t.alive() {
		t.changeDocument()
	}
}

// landedAside records whether the log continues without a table.
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

// Pauses before a continuous schedule starts its sync again.
const (
	againSoon  = time.Second
	againFirst = 5 * time.Second // after a failure, doubled with each further one
	againLast  = 5 * time.Minute
)

// again makes a continuous schedule due after its source's sync has ended. If
// somebody cancelled the sync, the schedule is paused instead.
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
