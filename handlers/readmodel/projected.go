package readmodel

import (
	"context"
	"errors"
	"time"

	"headwater/bus/event"
	"headwater/projections"
)

// Projected returns the read model of a projection.
func Projected(s *projections.Store) State { return projected{s} }

type projected struct{ store *projections.Store }

func (p projected) Wait(ctx context.Context, sequence uint64) error {
	return p.store.Wait(ctx, sequence)
}

func (p projected) Source(a event.Address) (Source, error) {
	s, err := p.store.AnySource(a)
	if errors.Is(err, projections.ErrNotFound) {
		return Source{}, nil
	}
	if err != nil {
		return Source{}, err
	}
	source := Source{
		Last: s.LastSequence, Created: s.CreatedAt,
		Connected: s.ConfigVersion > 0 && !s.Removed, Name: s.Name, Type: s.Type, Connector: s.Connector,
		Config: s.Config, SecretRef: s.SecretRef, Metadata: s.Metadata, ConfigVersion: s.ConfigVersion,
		SchemaVersion: s.SchemaVersion, Sync: s.Sync,
	}
	if s.Removed {
		source.Removal = &Removal{Sequence: s.Removal.Sequence, At: s.Removal.At, Purged: s.Removal.Purged, Destroyed: s.Removal.Destroyed}
		if after := s.Removal.DestroyedAfter; after != nil {
			source.Removal.DestroyedAfter = *after
		}
	}
	source.ScheduleVersion = s.ScheduleVersion
	if s.Changes != nil {
		source.Changes = Changes(*s.Changes)
	}
	source.Moved = s.Moved
	for _, l := range s.Left {
		source.Left = append(source.Left, Left(l))
	}
	if s.Taken != nil {
		taken := Taken(*s.Taken)
		source.Taken = &taken
	}
	if k := s.Schedule; k != nil {
		source.Schedule = &Scheduled{Schedule: k.Schedule, Version: k.Version, Sentence: k.Sentence, Anchor: timeOf(k.Anchor), Next: timeOf(k.NextRun), AfterSync: k.AfterSync, Since: timeOf(k.Since)}
		if r := k.LastRun; r != nil {
			source.Schedule.Operation, source.Schedule.Started, source.Schedule.SyncID = r.OperationID, r.Outcome == event.RunStarted, r.SyncID
		}
	}
	if s.Running == nil {
		return source, nil
	}
	sync, err := p.store.Sync(a.Organization, a.Workspace, s.Running.SyncID)
	if err != nil && !errors.Is(err, projections.ErrNotFound) {
		return Source{}, err
	}
	source.Running = &Running{
		SyncID: s.Running.SyncID, Attempt: s.Running.Attempt, Fence: s.Running.Fence, Mode: sync.Mode, Operation: s.Running.Operation,
		Started: sync.StartedAt, Updated: sync.UpdatedAt,
	}
	return source, nil
}

func (p projected) SourceID(organization, workspace, owner, name string) (string, error) {
	s, incarnation, found, err := p.store.FindSource(organization, workspace, owner, name)
	if err != nil || found {
		return s.Address.Source, err
	}
	return projections.SourceID(organization, workspace, owner, name, incarnation), nil
}

func (p projected) Schema(a event.Address) (Schema, error) {
	s, err := p.store.Schema(a, 0)
	if errors.Is(err, projections.ErrNotFound) {
		return Schema{}, nil
	}
	return Schema{s.Version, s.Tables, s.LeftOut}, err
}

func (p projected) Landed(a event.Address) ([]LandedTable, error) {
	found, err := p.store.LandedTables(a)
	if errors.Is(err, projections.ErrNotFound) {
		return nil, nil
	}
	all := make([]LandedTable, len(found))
	for i, t := range found {
		all[i] = LandedTable{Namespace: t.Namespace, Name: t.Name, Cursor: t.CursorName, Mode: t.Mode, SetAside: t.SetAside}
	}
	return all, err
}

func (p projected) LandedFrom(from string, most int) ([]PlacedTable, string, error) {
	found, next, err := p.store.LandedFrom(from, most)
	all := make([]PlacedTable, len(found))
	for i, t := range found {
		all[i] = PlacedTable(t)
	}
	return all, next, err
}

func (p projected) Sync(a event.Address, syncID string) (Sync, error) {
	s, err := p.store.Sync(a.Organization, a.Workspace, syncID)
	// The id of a sync of another source is as unknown as one never seen.
	if errors.Is(err, projections.ErrNotFound) || err == nil && s.Address != a {
		return Sync{}, nil
	}
	if err != nil {
		return Sync{}, err
	}
	return Sync{Ended: s.Ended(), Mode: s.Mode, Attempt: s.Attempt, Started: s.StartedAt}, nil
}

func (p projected) Operation(a event.Address, id string) (Operation, error) {
	o, err := p.store.Operation(a.Organization, a.Workspace, id)
	if errors.Is(err, projections.ErrNotFound) {
		return Operation{}, nil
	}
	if err != nil {
		return Operation{}, err
	}
	op := Operation{Kind: o.Kind, Actor: o.Actor, Total: o.Total}
	for _, t := range o.Targets {
		op.Targets = append(op.Targets, Target{
			Index: t.Index, SourceID: t.SourceID, SyncID: t.SyncID,
			Ended: t.Status != projections.StatusRunning, Done: t.Status == projections.StatusCompleted, Attached: t.Attached,
		})
	}
	return op, nil
}

func (p projected) Due(before time.Time) ([]Due, error) {
	found, err := p.store.Due(before)
	all := make([]Due, len(found))
	for i, d := range found {
		all[i] = Due(d)
	}
	return all, err
}

func (p projected) DueRuns(now time.Time, most int) ([]DueRun, time.Time, error) {
	found, next, err := p.store.DueRuns(now, most)
	all := make([]DueRun, len(found))
	for i, d := range found {
		all[i] = DueRun(d)
	}
	return all, next, err
}

func (p projected) WatchRuns(ctx context.Context) <-chan struct{} { return p.store.WatchSchedules(ctx) }

func (p projected) Watch(ctx context.Context, a event.Address) <-chan struct{} {
	return p.store.WatchSource(ctx, a)
}

// timeOf returns the zero time for nil.
func timeOf(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}
