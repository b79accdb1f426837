package fold

import (
	"slices"
	"time"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// due sets when the next run of a source's schedule is due, and which sync made
// it due. It writes the source and its entry in the index by next run.
func (t *Batch) due(src *cell[layout.Source], at *time.Time, after string) error {
	s := src.v.Schedule
	if err := t.undue(&src.v); err != nil {
		return err
	}
	s.NextRun, s.AfterSync = nil, after
	t.sources.touch(src)
	if at == nil {
		return nil
	}
	exact := at.UTC().Truncate(time.Millisecond) // precision of the key
	s.NextRun, t.Scheduled = &exact, true
	return t.out.Set(layout.RunKey(&src.v), layout.PutSequence(nil, uint64(s.Version)))
}

// undue deletes the source from the index by next run. NextRun stays set.
func (t *Batch) undue(src *layout.Source) error {
	if src.Schedule == nil || src.Schedule.NextRun == nil {
		return nil
	}
	t.Scheduled = true
	return t.out.Delete(layout.RunKey(src))
}

// scheduleChanged sets or removes a source's schedule.
func (t *Batch) scheduleChanged(d *event.ScheduleChanged) (*news, error) {
	n := &news{name: t.source.v.Name, result: func(r *layout.Result) { r.Unchanged = d.Unchanged }}
	src := &t.source.v
	if !t.alive() || d.Unchanged {
		return n, nil
	}
	before := src.Schedule
	if err := t.undue(src); err != nil {
		return nil, err
	}
	if before != nil && before.After != "" && (d.Schedule == nil || d.Schedule.After != before.After) {
		if err := t.depends(before.After, false); err != nil {
			return nil, err
		}
	}
	src.ScheduleVersion = d.Version
	t.changeDocument()
	if src.Schedule = nil; d.Schedule == nil {
		return n, nil
	}
	src.Schedule = &layout.Schedule{Schedule: *d.Schedule, Version: d.Version, Sentence: d.Sentence, Anchor: d.Anchor, DelayMS: d.DelayMS}
	if before != nil {
		src.Schedule.LastRun = before.LastRun
	}
	if d.Schedule.After != "" {
		if err := t.depends(d.Schedule.After, true); err != nil {
			return nil, err
		}
	}
	return n, t.due(t.source, d.NextRun, "")
}

// depends records with another source of the owner whether the current source's
// schedule follows its syncs.
func (t *Batch) depends(on string, does bool) error {
	a := t.address
	other, err := t.sources.get(t.db, t.key(layout.KeySource, a.Organization, a.Workspace, a.Owner, on))
	if err != nil || !other.exists {
		return err
	}
	at, known := slices.BinarySearch(other.v.Dependents, a.Source)
	switch {
	case does && !known:
		other.v.Dependents = slices.Insert(slices.Clone(other.v.Dependents), at, a.Source)
	case !does && known:
		other.v.Dependents = slices.Delete(slices.Clone(other.v.Dependents), at, at+1)
	default:
		return nil
	}
	t.sources.touch(other)
	return nil
}

// wakeDependents makes the schedules due that follow the syncs of the current
// source, after one of them landed something.
func (t *Batch) wakeDependents(syncID string) error {
	for _, id := range t.source.v.Dependents {
		a := t.address
		a.Source = id
		other, err := t.sources.get(t.db, t.key(layout.KeySource, a.Organization, a.Workspace, a.Owner, id))
		if err != nil {
			return err
		}
		s := other.v.Schedule
		if !other.exists || other.v.Removed || s == nil || s.After != t.address.Source || s.Paused {
			continue
		}
		if t.Changed != nil {
			t.Changed[a] = struct{}{}
		}
		at := t.at.Add(time.Duration(s.DelayMS) * time.Millisecond)
		if err := t.due(other, &at, syncID); err != nil {
			return err
		}
	}
	return nil
}

// ran records the outcome of runs of the source's schedule, unless the schedule
// has changed since.
func (t *Batch) ran(version int, next *time.Time, r layout.Run) error {
	s := t.source.v.Schedule
	if !t.alive() || s == nil || s.Version != version {
		return nil
	}
	if r.Runs > 0 {
		s.LastRun = &r
	}
	t.changeDocument()
	return t.due(t.source, next, "")
}

func (t *Batch) scheduleFired(d *event.ScheduleFired) (*news, error) {
	n := &news{name: t.source.v.Name, syncID: d.SyncID, follows: d.Outcome == event.RunAttached}
	return n, t.ran(d.Version, d.NextRun, layout.Run{
		Due: d.Due, At: d.At, LateMS: d.LateMS, Outcome: d.Outcome, Runs: 1, SyncID: d.SyncID, OperationID: d.Operation.ID,
	})
}

func (t *Batch) scheduleSkipped(d *event.ScheduleSkipped) (*news, error) {
	return nil, t.ran(d.Version, d.NextRun, layout.Run{
		Due: d.Due, At: d.At, LateMS: d.LateMS, Outcome: layout.RunSkipped, Runs: 1, SyncID: d.SyncID, OperationID: d.Operation.ID, Message: d.Message,
	})
}

func (t *Batch) scheduleMissed(d *event.ScheduleMissed) (n *news, err error) {
	if d.Operation.Final { // an error of the service: it ends an operation that may have begun
		n = &news{name: t.source.v.Name, status: outcome(d.Reason), reason: d.Reason, message: d.Message}
	}
	return n, t.ran(d.Version, d.NextRun, layout.Run{
		Due: d.Through, At: d.At, LateMS: d.At.Sub(d.Through).Milliseconds(), Outcome: layout.RunMissed, Runs: d.Count, OperationID: d.Operation.ID, Message: d.Message,
	})
}
