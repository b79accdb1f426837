package commands

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"headwater/api/call"
	"headwater/api/contract"
	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

type restoreRequest struct {
	Scope     string            `json:"scope"`
	SourceIDs *[]string         `json:"source_ids"`
	AsOf      string            `json:"as_of"`
	Names     map[string]string `json:"names"`
	DryRun    bool              `json:"dry_run"`
}

// Restore plans to bring removed sources back.
func (c *Calls) Restore(r *call.Request, _ idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	var body restoreRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	if (body.SourceIDs == nil) == (body.AsOf == "") {
		return nil, web.Malformed(web.Detail{Field: "source_ids", Message: "give either source_ids or as_of"})
	}
	owner := r.Owner(body.Scope)
	j := &jobs.Job{Kind: event.KindRestore, Owner: owner, Targets: prior}
	var sources []projections.Source
	if prior == nil {
		var err error
		if sources, err = c.restorable(r, owner, body); err != nil {
			return nil, err
		}
		for i, source := range sources {
			j.Targets = append(j.Targets, idempotency.Target{SourceID: source.Address.Source, Name: source.Name, At: i})
		}
	}
	for id := range body.Names {
		if !slices.ContainsFunc(j.Targets, func(t idempotency.Target) bool { return t.SourceID == id }) {
			return nil, web.Malformed(web.Detail{Field: "names." + contract.Printable(id), Message: "is not among the sources to restore"})
		}
	}
	if body.DryRun {
		return c.dryRestore(j, sources, body)
	}
	if len(j.Targets) == 0 {
		var err error
		j.Done, err = web.Success(http.StatusOK, "There is no data source to restore", restored(nil, nil, nil))
		return j, err
	}
	j.Payload = func(_ context.Context, t idempotency.Target) (command.Data, error) {
		return &command.RestoreSource{Name: body.Names[t.SourceID]}, nil
	}
	j.Compose = func(op projections.Operation) (*web.Answer, error) { return composeRestore(body.SourceIDs, j, op) }
	return j, nil
}

// restorable returns the sources that a restore selects: those with the given
// ids, even if they exist or are destroyed, because their outcome says so; or
// those that existed at a time and are removed now.
func (c *Calls) restorable(r *call.Request, owner string, body restoreRequest) ([]projections.Source, error) {
	if body.SourceIDs != nil {
		return r.PickSources(owner, *body.SourceIDs, func(*projections.Source) bool { return true })
	}
	asOf, err := r.Moment(body.AsOf)
	if err != nil {
		return nil, err
	}
	if asOf > c.Model.Position() {
		return nil, call.ReadFailure(projections.ErrFuture)
	}
	removed, _, err := c.Model.Sources(projections.ListQuery{Organization: r.Caller.Organization, Workspace: r.Workspace, Owner: owner, Removed: true})
	if err != nil {
		return nil, err
	}
	var then []projections.Source
	for _, source := range removed {
		there, err := c.Model.WasThere(source.Address, asOf)
		if err != nil {
			return nil, call.ReadFailure(err)
		}
		if there {
			then = append(then, source)
		}
	}
	return then, nil
}

// dryRestore answers with what a restore would bring back, judged by the read
// model. The restore itself judges by the history.
func (c *Calls) dryRestore(j *jobs.Job, sources []projections.Source, body restoreRequest) (*jobs.Job, error) {
	var back, unchanged []string
	var failed []jobs.FailedSource
	refuse := func(source *projections.Source, reason event.Reason, format string, args ...any) {
		failed = append(failed, jobs.FailedSource{Name: source.Name, SourceID: source.Address.Source, Reason: reason, Error: fmt.Sprintf(format, args...)})
	}
	for i := range sources {
		source := &sources[i]
		name := body.Names[source.Address.Source]
		if name == "" {
			name = source.Name
		}
		switch {
		case !source.Removed:
			unchanged = append(unchanged, source.Address.Source)
			continue
		case !source.Restorable() || !time.Now().Before(*source.Removal.DestroyedAfter):
			refuse(source, event.ReasonPurged, "%q is destroyed; connect it again", source.Name)
			continue
		}
		a := source.Address
		other, _, taken, err := c.Model.FindSource(a.Organization, a.Workspace, a.Owner, name)
		if err != nil {
			return nil, err
		}
		if taken {
			refuse(source, event.ReasonConflict, "%q is the name of another source now (%s)", name, other.Address.Source)
			continue
		}
		back = append(back, a.Source)
	}
	data := restored(back, unchanged, nil)
	data["dry_run"] = true
	if failed != nil {
		data["failed_sources"] = failed
	}
	var err error
	j.Done, err = web.Success(http.StatusOK, "Would restore "+web.Of(len(back), len(sources), "data source")+"; nothing was restored", data)
	return j, err
}

func restored(ids, unchanged []string, operation any) map[string]any {
	if ids == nil {
		ids = []string{}
	}
	data := map[string]any{"restored_count": len(ids), "restored_sources": ids, "operation_id": operation}
	if unchanged != nil {
		data["unchanged_sources"] = unchanged
	}
	return data
}

func composeRestore(ids *[]string, j *jobs.Job, op projections.Operation) (*web.Answer, error) {
	var back, unchanged []string
	var failed []jobs.FailedSource
	var notes []string
	for i, t := range j.Targets {
		g := jobs.Reported(op, i)
		notes = append(notes, notesOf(t.Name, g)...)
		switch {
		case g == nil || g.Status != projections.StatusCompleted:
			failed = append(failed, jobs.FailedTarget(t, g))
		case g.Result != nil && g.Result.Unchanged:
			unchanged = append(unchanged, t.SourceID)
		default:
			back = append(back, t.SourceID)
		}
	}
	if len(back)+len(unchanged) == 0 {
		return nil, jobs.AllFailed("No data source was restored", failed, fieldOf(ids))
	}
	data := restored(back, unchanged, op.ID)
	if failed != nil {
		data["failed_sources"] = failed
	}
	message := "Restored " + web.Of(len(back), len(j.Targets)-len(unchanged), "data source")
	if unchanged != nil {
		message += "; there already: " + web.Count(len(unchanged), "data source")
	}
	if notes != nil {
		data["notes"] = notes
		message += "; " + strings.Join(notes, "; ")
	}
	return web.Success(http.StatusOK, message, data)
}
