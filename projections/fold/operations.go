package fold

import (
	"slices"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// news is what one event reports about one target of an operation.
type news struct {
	name, syncID string
	status       string // of the target if the event is final; "" is completed
	reason       event.Reason
	message      string
	result       func(*layout.Result) // adds to the target's result
	follows      bool                 // the target waits for the sync syncID of another operation
}

// newsOfSync returns the news that a sync's end is for a target that waited for
// it. It reads y when it is applied, not before.
func newsOfSync(y *layout.Sync) *news {
	n := &news{name: y.SourceName, syncID: y.ID}
	n.result = func(r *layout.Result) {
		records, bytes, duration := y.Records, y.Bytes, y.DurationMS
		r.Status, r.Records, r.Bytes, r.DurationMS = y.Status, &records, &bytes, &duration
		switch y.Status {
		case layout.StatusFailed, layout.StatusCancelled:
			n.status = y.Status
			if y.Error != nil {
				n.reason, n.message = y.Error.Reason, y.Error.Message
			}
		}
	}
	return n
}

// report applies the news to the target of the event's operation.
func (t *Batch) report(meta *event.Meta, n *news) error {
	if n == nil || meta.Operation.ID == "" || meta.Operation.Target < 0 {
		return nil
	}
	o, err := t.operation(meta)
	if err != nil || o.v.Ended() {
		return err
	}
	if n.follows {
		return t.follow(o, meta.Operation.Target, meta.SourceID, n, true)
	}
	_, err = t.target(o, meta.Operation.Target, meta.Operation.Final, func(g *layout.Target) { take(g, meta.SourceID, n) })
	return err
}

// operation returns the operation of an event, and begins it if it is new.
func (t *Batch) operation(meta *event.Meta) (*cell[layout.Operation], error) {
	op := meta.Operation
	o, err := t.operations.get(t.db, t.key(layout.KeyOperation, meta.Organization, meta.WorkspaceID, op.ID))
	if err != nil {
		return nil, err
	}
	if !o.exists {
		o.v = layout.Operation{
			ID: op.ID, Organization: meta.Organization, Workspace: meta.WorkspaceID, Owner: meta.Owner, Actor: op.Actor, Trigger: op.Trigger,
			Kind: op.Kind, Status: layout.StatusRunning, Total: max(op.Targets, 1), CreatedAt: t.at, UpdatedAt: t.at, Sequence: t.sequence,
		}
		t.operations.touch(o)
		byOwner := layout.PutText(layout.PutNewest(t.key(layout.KeyOperationOf, meta.Organization, meta.WorkspaceID, meta.Owner), t.sequence), op.ID)
		return o, t.out.Set(byOwner, nil)
	}
	return o, nil
}

// target changes one target of an operation, unless either has ended. running
// reports whether the target still waits for its end.
func (t *Batch) target(o *cell[layout.Operation], index int, final bool, change func(*layout.Target)) (running bool, err error) {
	g, err := t.targets.get(t.db, layout.PutIndex(t.key(layout.KeyTarget, o.v.Organization, o.v.Workspace, o.v.ID), index))
	if err != nil {
		return false, err
	}
	before := g.v
	if !g.exists {
		before = layout.Target{Status: layout.StatusRunning}
	}
	if before.Status != layout.StatusRunning {
		return false, nil
	}
	now := before
	if before.Result != nil {
		result := *before.Result
		now.Result = &result
	}
	if change(&now); !final {
		now.Status = layout.StatusRunning
	}
	if g.exists && sameTarget(&before, &now) {
		return true, nil
	}
	g.v = now
	t.targets.touch(g)
	o.v.Total = max(o.v.Total, index+1)
	o.v.UpdatedAt, o.v.Sequence = t.at, t.sequence
	t.operations.touch(o)
	t.conclude(o, now.Status)
	return now.Status == layout.StatusRunning, nil
}

// conclude counts the end of one target, and ends the operation with the last
// one.
func (t *Batch) conclude(o *cell[layout.Operation], status string) {
	switch status {
	case layout.StatusCompleted:
		o.v.Completed++
	case layout.StatusFailed:
		o.v.Failed++
	case layout.StatusCancelled:
		o.v.Cancelled++
	}
	if o.v.Completed+o.v.Failed+o.v.Cancelled < o.v.Total {
		return
	}
	switch o.v.Total {
	case o.v.Completed:
		o.v.Status = layout.StatusCompleted
	case o.v.Failed:
		o.v.Status = layout.StatusFailed
	case o.v.Cancelled:
		o.v.Status = layout.StatusCancelled
	default:
		o.v.Status = layout.StatusPartial
	}
	at := t.at
	o.v.FinishedAt = &at
	t.Ended = append(t.Ended, o.key)
}

// take merges news into a target.
func take(g *layout.Target, sourceID string, n *news) {
	if sourceID != "" {
		g.SourceID = sourceID
	}
	if n.name != "" {
		g.Name = n.name
	}
	if n.syncID != "" {
		g.SyncID = n.syncID
	}
	if n.result != nil {
		if g.Result == nil {
			g.Result = &layout.Result{}
		}
		n.result(g.Result)
	}
	if g.Status = n.status; n.status == "" {
		g.Status = layout.StatusCompleted
	}
	if n.message != "" || n.reason != "" {
		g.Reason, g.Message = n.reason, n.message
	}
}

// follow attaches a target to a running sync. If the sync has ended, so does the
// target. If the sync is unknown, the target ends only if known is set: whoever
// named the sync must have seen it.
func (t *Batch) follow(o *cell[layout.Operation], index int, sourceID string, n *news, known bool) error {
	y, err := t.syncs.get(t.db, t.key(layout.KeySync, o.v.Organization, o.v.Workspace, n.syncID))
	if err != nil {
		return err
	}
	if y.v.Began == 0 && known {
		_, err := t.target(o, index, true, func(g *layout.Target) { take(g, sourceID, n) })
		return err
	}
	if y.v.Began != 0 && y.v.Ended() {
		_, err := t.target(o, index, true, func(g *layout.Target) {
			g.Attached = true
			take(g, sourceID, newsOfSync(&y.v.Sync))
		})
		return err
	}
	running, err := t.target(o, index, false, func(g *layout.Target) {
		g.Attached = true
		take(g, sourceID, &news{name: n.name, syncID: n.syncID})
	})
	if err != nil || !running {
		return err
	}
	for _, f := range y.v.Followers {
		if f.Operation == o.v.ID && f.Target == index {
			return nil
		}
	}
	y.v.Followers = append(y.v.Followers, layout.Follower{Operation: o.v.ID, Target: index})
	t.syncs.touch(y)
	return nil
}

// finish ends a target with the outcome of the sync it waited for.
func (t *Batch) finish(y *layout.Sync, operation string, index int) error {
	if index < 0 { // report ignores such a target too
		return nil
	}
	o, err := t.operations.get(t.db, t.key(layout.KeyOperation, y.Address.Organization, y.Address.Workspace, operation))
	if err != nil || !o.exists || o.v.Ended() {
		return err
	}
	_, err = t.target(o, index, true, func(g *layout.Target) { take(g, y.Address.Source, newsOfSync(y)) })
	return err
}

// accepted makes an operation readable before any of its targets has news.
func (t *Batch) accepted(d *event.OperationAccepted) error {
	if d.Operation.ID == "" {
		return nil
	}
	o, err := t.operation(&d.Meta)
	if err != nil || o.v.Ended() {
		return err
	}
	o.v.Total = max(o.v.Total, len(d.Accepted))
	t.operations.touch(o)
	for i, a := range d.Accepted {
		n := &news{name: a.Name, syncID: a.SyncID}
		if a.Attached && a.SyncID != "" {
			err = t.follow(o, i, a.SourceID, n, false)
		} else {
			_, err = t.target(o, i, false, func(g *layout.Target) { take(g, a.SourceID, n) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Batch) rejected(d *event.CommandRejected) (*news, error) {
	n := &news{name: t.source.v.Name, syncID: d.SyncID, status: outcome(d.Reason), reason: d.Reason, message: d.Message}
	n.follows = d.Reason == event.ReasonAlreadySyncing && d.SyncID != ""
	running := t.source.v.Running
	if !n.follows && d.Operation.Final && running != nil && t.alive() &&
		running.Operation.ID == d.Operation.ID && running.Operation.Target == d.Operation.Target {
		return n, t.supersede(n.status, d.Reason, d.Message)
	}
	if s := t.source.v.Schedule; !n.follows && running == nil && s != nil && s.LastRun != nil && s.LastRun.OperationID == d.Operation.ID {
		return n, t.again(&layout.Failure{Reason: d.Reason, Message: d.Message}, d.Operation.ID)
	}
	return n, nil
}

func (t *Batch) tested(d *event.ConnectionTested) *news {
	n := &news{reason: d.Reason, message: d.Message, status: layout.StatusCompleted, result: func(r *layout.Result) {
		ok := d.OK
		r.OK, r.Connector, r.Steps = &ok, d.Connector, d.Steps
	}}
	if !d.OK {
		n.status = outcome(d.Reason)
	}
	return n
}

// verified adds a table to the result of a verification. A table that differs is
// a result, not a failure of the target.
func (t *Batch) verified(d *event.TableVerified) *news {
	return &news{name: t.source.v.Name, result: func(r *layout.Result) {
		known := func(v layout.Verification) bool { return v.Name == d.Table.Name && v.Namespace == d.Table.Namespace }
		r.Verified = append(slices.DeleteFunc(slices.Clone(r.Verified), known), layout.Verification(d.Table))
	}}
}

// maintained adds a table to the result of a maintenance. A failed table is
// reported and does not fail the target; the next maintenance tries it again.
func (t *Batch) maintained(d *event.TableMaintained) *news {
	return &news{name: t.source.v.Name, result: func(r *layout.Result) {
		known := func(v layout.Maintenance) bool { return v.Name == d.Table.Name && v.Namespace == d.Table.Namespace }
		r.Maintained = append(slices.DeleteFunc(slices.Clone(r.Maintained), known), layout.Maintenance(d.Table))
	}}
}

// sameTarget reports whether clients see the same of both.
func sameTarget(a, b *layout.Target) bool {
	plainA, plainB := *a, *b
	plainA.Result, plainB.Result = nil, nil
	if plainA != plainB || a.Result == nil || b.Result == nil {
		return plainA == plainB && a.Result == b.Result
	}
	return string(layout.AppendTarget(nil, a)) == string(layout.AppendTarget(nil, b))
}

func encodeTarget(b []byte, g *layout.Target) ([]byte, error) { return layout.AppendTarget(b, g), nil }
