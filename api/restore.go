package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"headwater/api/contract"
	"headwater/api/idempotency"
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

func (h *Handler) planRestore(r *request, _ idempotency.Seed, prior []idempotency.Target) (*job, error) {
	var body restoreRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if (body.SourceIDs == nil) == (body.AsOf == "") {
		return nil, web.Malformed(web.Detail{Field: "source_ids", Message: "give either source_ids or as_of"})
	}
	owner := r.owner(body.Scope)
	j := &job{kind: event.KindRestore, owner: owner, targets: prior}
	var sources []projections.Source
	if prior == nil {
		var err error
		if sources, err = h.restorable(r, owner, body); err != nil {
			return nil, err
		}
		for i, source := range sources {
			j.targets = append(j.targets, idempotency.Target{SourceID: source.Address.Source, Name: source.Name, At: i})
		}
	}
	for id := range body.Names {
		if !slices.ContainsFunc(j.targets, func(t idempotency.Target) bool { return t.SourceID == id }) {
			return nil, web.Malformed(web.Detail{Field: "names." + contract.Printable(id), Message: "is not among the sources to restore"})
		}
	}
	if body.DryRun {
		return h.dryRestore(j, sources, body)
	}
	if len(j.targets) == 0 {
		var err error
		j.done, err = web.Success(http.StatusOK, "There is no data source to restore", restored(nil, nil, nil))
		return j, err
	}
	j.payload = func(_ context.Context, t idempotency.Target) (command.Data, error) {
		return &command.RestoreSource{Name: body.Names[t.SourceID]}, nil
	}
	j.compose = func(op projections.Operation) (*web.Answer, error) { return composeRestore(body.SourceIDs, j, op) }
	return j, nil
}

// restorable returns the sources that a restore selects: those with the given
// ids, even if they exist or are destroyed, because their outcome says so; or
// those that existed at a time and are removed now.
func (h *Handler) restorable(r *request, owner string, body restoreRequest) ([]projections.Source, error) {
	if body.SourceIDs != nil {
		return h.pick(r, owner, *body.SourceIDs, func(*projections.Source) bool { return true })
	}
	asOf, err := h.moment(body.AsOf)
	if err != nil {
		return nil, err
	}
	if asOf > h.Reads.Position() {
		return nil, readFailure(projections.ErrFuture)
	}
	removed, _, err := h.Reads.Sources(projections.ListQuery{Organization: r.caller.Organization, Workspace: r.workspace, Owner: owner, Removed: true})
	if err != nil {
		return nil, err
	}
	var then []projections.Source
	for _, source := range removed {
		there, err := h.Reads.WasThere(source.Address, asOf)
		if err != nil {
			return nil, readFailure(err)
		}
		if there {
			then = append(then, source)
		}
	}
	return then, nil
}

// dryRestore answers with what a restore would bring back, judged by the read
// model. The restore itself judges by the history.
func (h *Handler) dryRestore(j *job, sources []projections.Source, body restoreRequest) (*job, error) {
	var back, unchanged []string
	var failed []failedSource
	refuse := func(source *projections.Source, reason event.Reason, format string, args ...any) {
		failed = append(failed, failedSource{Name: source.Name, SourceID: source.Address.Source, Reason: reason, Error: fmt.Sprintf(format, args...)})
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
		other, _, taken, err := h.Reads.FindSource(a.Organization, a.Workspace, a.Owner, name)
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
	j.done, err = web.Success(http.StatusOK, "Would restore "+web.Of(len(back), len(sources), "data source")+"; nothing was restored", data)
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

func composeRestore(ids *[]string, j *job, op projections.Operation) (*web.Answer, error) {
	var back, unchanged []string
	var failed []failedSource
	var notes []string
	for i, t := range j.targets {
		g := reported(op, i)
		notes = append(notes, notesOf(t.Name, g)...)
		switch {
		case g == nil || g.Status != projections.StatusCompleted:
			failed = append(failed, failedTarget(t, g))
		case g.Result != nil && g.Result.Unchanged:
			unchanged = append(unchanged, t.SourceID)
		default:
			back = append(back, t.SourceID)
		}
	}
	if len(back)+len(unchanged) == 0 {
		return nil, none("No data source was restored", failed, fieldOf(ids))
	}
	data := restored(back, unchanged, op.ID)
	if failed != nil {
		data["failed_sources"] = failed
	}
	message := "Restored " + web.Of(len(back), len(j.targets)-len(unchanged), "data source")
	if unchanged != nil {
		message += "; there already: " + web.Count(len(unchanged), "data source")
	}
	if notes != nil {
		data["notes"] = notes
		message += "; " + strings.Join(notes, "; ")
	}
	return web.Success(http.StatusOK, message, data)
}
