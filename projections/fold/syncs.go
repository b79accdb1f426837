package fold

import (
	"errors"
	"strings"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// syncOf returns the sync that an event of this source is about, and begins it
// if it is new. It returns nil for a sync that has ended or belongs to another
// source: no event can change it.
func (t *Batch) syncOf(meta *event.Meta, id string) (*cell[layout.SyncEntry], error) {
	y, err := t.syncs.get(t.db, t.key(layout.KeySync, meta.Organization, meta.WorkspaceID, id))
	if err != nil {
		return nil, err
	}
	if y.v.Began != 0 {
		if y.v.Ended() || y.v.Address != meta.Address() {
			return nil, nil
		}
		return y, nil
	}
	op := meta.Operation
	op.Final = false
	y.v.Sync = layout.Sync{
		ID: id, Address: meta.Address(), SourceName: t.source.v.Name, Operation: op, Status: layout.StatusRunning,
		Began: t.sequence, StartedAt: t.at, UpdatedAt: t.at,
	}
	t.syncs.touch(y)
	byOwner := layout.PutText(layout.PutNewest(t.key(layout.KeySyncOwner, meta.Organization, meta.WorkspaceID, meta.Owner), t.sequence), id)
	if err := t.out.Set(byOwner, nil); err != nil {
		return nil, err
	}
	bySource := layout.PutText(layout.PutNewest(t.key(layout.KeySyncOf, meta.Organization, meta.WorkspaceID, meta.Owner, meta.SourceID), t.sequence), id)
	return y, t.out.Set(bySource, nil)
}

// syncStarted records that a worker took a sync, or took it over from a lost
// worker.
func (t *Batch) syncStarted(d *event.SyncStarted) (*news, error) {
	y, err := t.syncOf(&d.Meta, d.SyncID)
	if y == nil || err != nil {
		return nil, err
	}
	y.v.Attempt, y.v.Mode, y.v.Fence, y.v.UpdatedAt = d.Attempt, d.Mode, t.sequence, t.at
	y.v.TablesTotal, y.v.Expected = expectations(d)
	t.syncs.touch(y)
	n := &news{name: y.v.SourceName, syncID: d.SyncID}
	if !t.alive() {
		if err := t.endSync(y, layout.StatusCancelled, &layout.Failure{Reason: event.ReasonSourceRemoved, Message: "the source is not there"}); err != nil {
			return nil, err
		}
		return newsOfSync(&y.v.Sync), t.finish(&y.v.Sync, y.v.Operation.ID, y.v.Operation.Target)
	}
	src := &t.source.v
	takeover := src.Running != nil && src.Running.SyncID == d.SyncID
	if !takeover {
		if err := t.supersede(layout.StatusFailed, event.ReasonConflict, "another sync of the source took its place"); err != nil {
			return nil, err
		}
	}
	t.take(d.Mode)
	src.Running = &layout.Running{SyncID: d.SyncID, Attempt: d.Attempt, Fence: t.sequence, Operation: y.v.Operation}
	if !takeover {
		src.Status, src.LastSync = layout.StatusSyncing, lastSync(&y.v.Sync)
		t.changeDocument()
	}
	return n, nil
}

// syncProgressed counts what was committed. It does not change the source's
// document, because the document's history would grow with every checkpoint.
func (t *Batch) syncProgressed(d *event.SyncProgressed) error {
	y, err := t.syncs.get(t.db, t.key(layout.KeySync, d.Organization, d.WorkspaceID, d.SyncID))
	if err != nil || y.v.Began == 0 || y.v.Ended() || y.v.Address != d.Address() {
		return err
	}
	y.v.Records, y.v.Bytes, y.v.UpdatedAt = d.Records, d.Bytes, t.at
	t.syncs.touch(y)
	return t.tables(y, []event.TableResult{d.Table})
}

func (t *Batch) syncCompleted(d *event.SyncCompleted) (*news, error) {
	y, err := t.syncOf(&d.Meta, d.SyncID)
	if y == nil || err != nil {
		return t.newsOfEnded(&d.Meta, d.SyncID, err)
	}
	y.v.Mode, y.v.Records, y.v.Bytes, y.v.DurationMS = d.Mode, d.Records, d.Bytes, d.DurationMS
	if err := t.tables(y, d.Tables); err != nil {
		return nil, err
	}
	if len(d.Always) > 0 && t.alive() {
		if t.source.v.Sync, err = keptOptions(d.Always); err != nil {
			return nil, err
		}
		t.changeDocument()
	}
	if y.v.Changes = d.Changes; t.alive() {
		t.standAt(d.Changes)
	}
	status := layout.StatusCompleted
	if d.Status == layout.StatusPartial {
		status = layout.StatusPartial
	}
	if err := t.endSync(y, status, nil); err != nil {
		return nil, err
	}
	return newsOfSync(&y.v.Sync), errors.Join(t.freshen(y.v.ID, d.Tables), t.wakeDependents(d.SyncID))
}

// freshen records with the source's last sync up to when its tables are
// complete.
func (t *Batch) freshen(syncID string, results []event.TableResult) error {
	last := t.source.v.LastSync
	if !t.alive() || last == nil || last.SyncID != syncID {
		return nil
	}
	last.FreshUntil = nil
	a := t.address
	for i := range results {
		r := &results[i]
		landed, err := t.landed.get(t.db, t.key(layout.KeyLanded, a.Organization, a.Workspace, a.Owner, a.Source, r.Namespace, r.Name))
		if err != nil {
			return err
		}
		fresh := landed.v.FreshUntil
		if fresh == nil {
			last.FreshUntil = nil
			return nil
		}
		if last.FreshUntil == nil || fresh.Before(*last.FreshUntil) {
			last.FreshUntil = fresh
		}
	}
	return nil
}

func (t *Batch) syncFailed(d *event.SyncFailed) (*news, error) {
	y, err := t.syncOf(&d.Meta, d.SyncID)
	if y == nil || err != nil {
		return t.newsOfEnded(&d.Meta, d.SyncID, err)
	}
	y.v.DurationMS, y.v.Changes = d.DurationMS, d.Changes
	if err := t.tables(y, d.Tables); err != nil {
		return nil, err
	}
	return newsOfSync(&y.v.Sync), t.endSync(y, layout.StatusFailed, &layout.Failure{Reason: d.Reason, Message: d.Message})
}

func (t *Batch) syncCancelled(d *event.SyncCancelled) (*news, error) {
	y, err := t.syncOf(&d.Meta, d.SyncID)
	if y == nil || err != nil {
		return t.newsOfEnded(&d.Meta, d.SyncID, err)
	}
	y.v.DurationMS = t.at.Sub(y.v.StartedAt).Milliseconds()
	return newsOfSync(&y.v.Sync), t.endSync(y, layout.StatusCancelled, &layout.Failure{Reason: d.Reason, Message: d.Message})
}

// newsOfEnded returns the news of an outcome that follows another one: the
// target that it ends gets the first outcome.
func (t *Batch) newsOfEnded(meta *event.Meta, id string, err error) (*news, error) {
	if err != nil {
		return nil, err
	}
	y, err := t.syncs.get(t.db, t.key(layout.KeySync, meta.Organization, meta.WorkspaceID, id))
	if err != nil {
		return nil, err
	}
	return newsOfSync(&y.v.Sync), nil
}

// supersede ends the sync that holds the source, on behalf of a worker that did
// not. No sync must be left running.
func (t *Batch) supersede(status string, reason event.Reason, message string) error {
	running := t.source.v.Running
	if running == nil {
		return nil
	}
	a := t.source.v.Address
	y, err := t.syncs.get(t.db, t.key(layout.KeySync, a.Organization, a.Workspace, running.SyncID))
	if err != nil || y.v.Began == 0 || y.v.Ended() {
		return err
	}
	y.v.DurationMS = t.at.Sub(y.v.StartedAt).Milliseconds()
	if err := t.endSync(y, status, &layout.Failure{Reason: reason, Message: message}); err != nil {
		return err
	}
	return t.finish(&y.v.Sync, y.v.Operation.ID, y.v.Operation.Target)
}

// endSync sets the outcome of a sync and of the targets that follow it.
func (t *Batch) endSync(y *cell[layout.SyncEntry], status string, failure *layout.Failure) error {
	at := t.at
	y.v.Status, y.v.Error, y.v.UpdatedAt, y.v.FinishedAt = status, failure, at, &at
	followers := y.v.Followers
	y.v.Followers = nil
	t.syncs.touch(y)
	for _, f := range followers {
		if err := t.finish(&y.v.Sync, f.Operation, f.Target); err != nil {
			return err
		}
	}
	src := &t.source.v
	if !t.alive() || src.Running != nil && src.Running.SyncID != y.v.ID {
		return nil
	}
	if err := t.again(failure, y.v.Operation.ID); err != nil {
		return err
	}
	if src.Taken != nil && src.Taken.Sequence == y.v.Fence {
		src.Taken = &layout.Taken{Sequence: y.v.Fence, At: at}
	}
	src.Running, src.LastSync = nil, lastSync(&y.v.Sync)
	if src.Status = layout.StatusConnected; status == layout.StatusFailed {
		src.Status = layout.StatusFailed
	}
	t.changeDocument()
	return nil
}

func lastSync(y *layout.Sync) *layout.LastSync {
	return &layout.LastSync{
		SyncID: y.ID, Status: y.Status, Mode: y.Mode, Records: y.Records, Bytes: y.Bytes,
		DurationMS: y.DurationMS, StartedAt: y.StartedAt, FinishedAt: y.FinishedAt, Error: y.Error,
	}
}

// tables stores what a sync did to tables, and their state in the lake.
func (t *Batch) tables(y *cell[layout.SyncEntry], results []event.TableResult) error {
	for i := range results {
		r := &results[i]
		k := t.key(layout.KeySyncTable, y.v.Address.Organization, y.v.Address.Workspace, y.v.ID, r.Namespace, r.Name)
		if known := t.results[string(k)]; known != nil {
			known.TableResult = r
		} else {
			t.results[string(k)] = &result{r}
		}
		if err := t.land(y, r); err != nil {
			return err
		}
		if err := t.landedAside(r); err != nil {
			return err
		}
	}
	return nil
}

// land sets the records of one table to what its last commit reported. What a
// sync has read does not determine them: rows may wait for their commit, be
// appended, or replace all earlier ones.
func (t *Batch) land(y *cell[layout.SyncEntry], r *event.TableResult) error {
	if !t.alive() || r.Total == nil {
		return nil
	}
	a := t.source.v.Address
	entry, err := t.landed.get(t.db, t.key(layout.KeyLanded, a.Organization, a.Workspace, a.Owner, a.Source, r.Namespace, r.Name))
	if err != nil {
		return err
	}
	l := &entry.v
	if err := t.checkpoint(y, l, r); err != nil {
		return err
	}
	t.source.v.Records += *r.Total - l.Records
	l.Records, l.SyncID, l.Mode, l.At = *r.Total, y.v.ID, r.Mode, t.at
	if r.Location != "" {
		l.Location, l.SnapshotID = r.Location, int64(r.SnapshotID)
		t.source.v.Location = r.Location[:max(0, strings.LastIndexByte(r.Location, '/'))]
	}
	if r.CursorName != "" {
		l.Cursor, l.CursorName = r.Cursor, r.CursorName
	}
	if r.FreshUntil != nil {
		l.FreshUntil = r.FreshUntil
	}
	t.landed.touch(entry)
	return nil
}

// expectations returns the number of tables of a sync and the rows expected in
// all of them, -1 if a table cannot tell.
func expectations(d *event.SyncStarted) (tables int, rows int64) {
	if len(d.Estimates) < len(d.Tables) {
		return len(d.Tables), -1
	}
	for _, n := range d.Estimates {
		if n < 0 {
			return len(d.Tables), -1
		}
		rows += n
	}
	return len(d.Tables), rows
}
