package commands

import (
	"context"
	"net/http"
	"strings"
	"time"

	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

type cleanupRequest struct {
	Scope     string    `json:"scope"`
	SourceIDs *[]string `json:"source_ids"`
	DryRun    bool      `json:"dry_run"`
	Purge     bool      `json:"purge"`
}

// Cleanup plans the removal of sources; with purge, also their destruction.
func (c *Calls) Cleanup(r *call.Request, _ idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	var body cleanupRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	owner := r.Owner(body.Scope)
	j := &jobs.Job{Kind: event.KindCleanup, Owner: owner, Targets: prior}
	if prior == nil {
		sources, err := c.removable(r, owner, body)
		if err != nil {
			return nil, err
		}
		for i, source := range sources {
			j.Targets = append(j.Targets, idempotency.Target{SourceID: source.Address.Source, Name: source.Name, At: i})
		}
	}
	if body.DryRun {
		return dryCleanup(j)
	}
	if len(j.Targets) == 0 {
		var err error
		j.Done, err = web.Success(http.StatusOK, "There is no data source to remove", cleaned(nil, nil))
		return j, err
	}
	j.Payload = func(context.Context, idempotency.Target) (command.Data, error) {
		return &command.RemoveSource{Purge: body.Purge}, nil
	}
	j.Compose = func(op projections.Operation) (*web.Answer, error) { return composeCleanup(body.SourceIDs, j, op) }
	return j, nil
}

// removable returns the sources that a cleanup selects. With purge these include
// removed sources that could still be restored.
func (c *Calls) removable(r *call.Request, owner string, body cleanupRequest) ([]projections.Source, error) {
	if !body.Purge {
		return r.FindSources(owner, body.SourceIDs)
	}
	if body.SourceIDs != nil {
		return r.PickSources(owner, *body.SourceIDs, func(s *projections.Source) bool { return !s.Removed || s.Restorable() })
	}
	there, err := r.FindSources(owner, nil)
	if err != nil {
		return nil, err
	}
	kept, _, err := c.Model.Sources(projections.ListQuery{Organization: r.Caller.Organization, Workspace: r.Workspace, Owner: owner, Removed: true})
	return append(there, kept...), err
}

// dryCleanup answers with what a cleanup would remove.
func dryCleanup(j *jobs.Job) (*jobs.Job, error) {
	ids := make([]string, len(j.Targets))
	for i, t := range j.Targets {
		ids[i] = t.SourceID
	}
	data := cleaned(ids, nil)
	data["dry_run"] = true
	var err error
	j.Done, err = web.Success(http.StatusOK, "Would remove "+web.Count(len(ids), "data source")+"; nothing was removed", data)
	return j, err
}

func cleaned(ids []string, operation any) map[string]any {
	if ids == nil {
		ids = []string{}
	}
	return map[string]any{"deleted_count": len(ids), "deleted_sources": ids, "restorable_until": nil, "operation_id": operation}
}

// purgedSource reports the destruction of one source.
type purgedSource struct {
	SourceID string `json:"source_id"`
	Name     string `json:"name"`
	event.Destruction
}

func composeCleanup(ids *[]string, j *jobs.Job, op projections.Operation) (*web.Answer, error) {
	var deleted []string
	var failed []jobs.FailedSource
	var purged []purgedSource
	var kept, notes []string
	gone := 0            // already removed by another request, which counts as success
	var until *time.Time // until when all of them can be restored
	for i, t := range j.Targets {
		g := jobs.Reported(op, i)
		if g != nil && g.Result != nil && g.Result.Destruction != nil {
			d := *g.Result.Destruction
			purged = append(purged, purgedSource{t.SourceID, t.Name, d})
			if d.Status == event.Destroyed && d.Message != "" {
				kept = append(kept, t.Name+": "+d.Message)
			}
		}
		notes = append(notes, notesOf(t.Name, g)...)
		switch {
		case g != nil && g.Status == projections.StatusCompleted:
			deleted = append(deleted, t.SourceID)
			if after := g.Result; after != nil && after.DestroyedAfter != nil && (until == nil || after.DestroyedAfter.Before(*until)) {
				until = after.DestroyedAfter
			}
		case g != nil && g.Reason == event.ReasonSourceRemoved:
			gone++
		default:
			failed = append(failed, jobs.FailedTarget(t, g))
		}
	}
	data := cleaned(deleted, op.ID)
	if purged != nil {
		data["purged_sources"] = purged
	}
	if notes != nil {
		data["notes"] = notes
	}
	if len(deleted)+gone == 0 {
		what := "No data source was removed"
		if purged != nil {
			what = "Not everything was removed"
		}
		f := jobs.AllFailed(what, failed, fieldOf(ids))
		if purged != nil {
			data["failed_sources"] = failed
			f.Data = data
		}
		return nil, f
	}
	if failed != nil {
		data["failed_sources"] = failed
	}
	message := "Removed " + web.Of(len(deleted), len(j.Targets), "data source")
	if until != nil {
		data["restorable_until"] = until
		message += "; restore brings back what was removed until " + until.Format(time.RFC3339)
	}
	if kept = append(kept, notes...); len(kept) > 0 {
		message += "; " + strings.Join(kept, "; ")
	}
	return web.Success(http.StatusOK, message, data)
}

// notesOf returns what a target's outcome says beside it, with the source's name.
func notesOf(name string, g *projections.Target) (notes []string) {
	if g == nil || g.Result == nil {
		return nil
	}
	for _, note := range g.Result.Notes {
		notes = append(notes, name+": "+note)
	}
	return notes
}
