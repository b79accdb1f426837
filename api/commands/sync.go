package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

type syncRequest struct {
	Scope     string       `json:"scope"`
	SourceIDs *[]string    `json:"source_ids"`
	Options   *syncOptions `json:"sync_options"`
}

// Sync plans a sync of each source. It follows syncs that are running already,
// because another sync command would queue behind them. A request with options of
// its own is then refused: a running sync cannot take them.
func (c *Calls) Sync(r *call.Request, s idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	var body syncRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	options, err := body.Options.command()
	if err != nil {
		return nil, err
	}
	owner := r.Owner(body.Scope)
	j := &jobs.Job{Kind: event.KindSync, Owner: owner, Targets: prior}
	sent := func(source string) (command.SyncOptions, error) {
		return c.fitAgain(r, owner, source, len(prior), options)
	}
	if prior == nil {
		sources, err := r.FindSources(owner, body.SourceIDs)
		if err != nil {
			return nil, err
		}
		sources, fitting, err := c.fit(sources, options, body.SourceIDs == nil)
		if err != nil {
			return nil, err
		}
		sent = func(source string) (command.SyncOptions, error) { return fitting[source], nil }
		if err := busy(sources, options, body.SourceIDs); err != nil {
			return nil, err
		}
		for i, source := range sources {
			t := idempotency.Target{SourceID: source.Address.Source, Name: source.Name, At: i}
			if source.Running != nil && !goesOn(source) {
				t.SyncID, t.Attached = source.Running.SyncID, true
			} else {
				t.SyncID = s.ID("syn_", t.SourceID)
			}
			j.Targets = append(j.Targets, t)
		}
	}
	if len(j.Targets) == 0 {
		j.Done, err = web.Success(http.StatusOK, "There is no data source to sync", synced(0, nil, nil))
		return j, err
	}
	j.Payload = func(_ context.Context, t idempotency.Target) (command.Data, error) {
		options, err := sent(t.SourceID)
		return &command.SyncSource{SyncID: t.SyncID, Options: options}, err
	}
	j.Compose = func(op projections.Operation) (*web.Answer, error) { return c.composeSync(r, body.SourceIDs, j, op) }
	return j, nil
}

// busy refuses a request with options if one of its sources is syncing already.
func busy(sources []projections.Source, options command.SyncOptions, ids *[]string) error {
	if reflect.ValueOf(options).IsZero() {
		return nil
	}
	var failed []jobs.FailedSource
	for _, source := range sources {
		if source.Running != nil {
			failed = append(failed, jobs.FailedSource{Name: source.Name, SourceID: source.Address.Source, Reason: event.ReasonAlreadySyncing, Error: unchangeable(source)})
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return jobs.AllFailed("No data source was synced", failed, fieldOf(ids))
}

// unchangeable says why options cannot be given to a running sync, and what to do.
func unchangeable(source projections.Source) string {
	syncing := fmt.Sprintf("%s is syncing (%s), which these sync_options cannot change; ", source.Name, source.Running.SyncID)
	switch {
	case !goesOn(source):
		return syncing + "wait for it, cancel it, or leave sync_options out to follow it"
	case source.Schedule.Paused:
		return syncing + "its continuous schedule is paused, and it ends with its next commit: try again in a moment"
	}
	return syncing + fmt.Sprintf(`it goes on until its continuous schedule is paused. Pause it ("headwater schedule pause %s", or PUT sources/%s/schedule with "paused": true), sync with these, and resume it; or leave sync_options out to have it land what there is now`, source.Name, source.Address.Source)
}

// goesOn reports whether the running sync of a source is that of a continuous
// schedule. A sync that is requested beside it ends when that one has landed what
// there was at the time.
func goesOn(source projections.Source) bool {
	s := source.Schedule
	return s != nil && s.Continuous && s.LastRun != nil && source.Running != nil && s.LastRun.OperationID == source.Running.Operation.ID
}

// fieldOf returns a function that names a source of the request in errors.
func fieldOf(ids *[]string) func(jobs.FailedSource) string {
	return func(f jobs.FailedSource) string {
		if ids == nil {
			return f.Name
		}
		return fmt.Sprintf("source_ids[%d]", slices.Index(*ids, f.SourceID))
	}
}

func synced(records int64, syncs []json.RawMessage, operation any) map[string]any {
	if syncs == nil {
		syncs = []json.RawMessage{}
	}
	return map[string]any{"records_processed": records, "syncs": syncs, "operation_id": operation}
}

func (c *Calls) composeSync(r *call.Request, ids *[]string, j *jobs.Job, op projections.Operation) (*web.Answer, error) {
	var records int64
	var syncs []json.RawMessage
	var failed []jobs.FailedSource
	done, partial := 0, 0
	for i, t := range j.Targets {
		g := jobs.Reported(op, i)
		id := t.SyncID
		if g != nil && g.SyncID != "" {
			id = g.SyncID // it may have been attached to another sync
		}
		sync, err := c.Model.Sync(r.Caller.Organization, r.Workspace, id)
		if errors.Is(err, projections.ErrNotFound) {
			f := jobs.FailedTarget(t, g)
			failed = append(failed, f)
			doc, err := neverSynced(f, g)
			if err != nil {
				return nil, err
			}
			syncs = append(syncs, doc)
			continue
		}
		if err != nil {
			return nil, err
		}
		syncs = append(syncs, sync.JSON)
		records += sync.Records
		if sync.Status == projections.StatusCompleted || sync.Status == projections.StatusPartial {
			done++
			if sync.Status == projections.StatusPartial {
				partial++
			}
			continue
		}
		f := jobs.FailedTarget(t, g)
		if sync.Error != nil {
			f.Reason, f.Error = sync.Error.Reason, sync.Error.Message
		}
		failed = append(failed, f)
	}
	if done == 0 {
		return nil, jobs.AllFailed("No data source was synced", failed, fieldOf(ids))
	}
	message := fmt.Sprintf("Synced %s: %s", web.Of(done, len(j.Targets), "data source"), web.Count(int(records), "record"))
	if partial > 0 {
		message += fmt.Sprintf("; of %s some tables failed, see their messages in syncs", web.Count(partial, "data source"))
	}
	return web.Success(http.StatusOK, message, synced(records, syncs, op.ID))
}

// neverSynced returns the document of a sync that ended before it started.
func neverSynced(f jobs.FailedSource, g *projections.Target) (json.RawMessage, error) {
	status := projections.StatusFailed
	if g != nil && g.Status == projections.StatusCancelled {
		status = g.Status
	}
	return json.Marshal(map[string]any{
		"sync_id": nil, "source_id": f.SourceID, "source_name": f.Name, "status": status, "tables": []any{},
		"records_processed": 0, "bytes": 0, "duration_ms": 0, "error": projections.Failure{Reason: f.Reason, Message: f.Error},
	})
}
