package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"headwater/api/contract"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/projections"
)

// jobOf returns a job for the sources that a request selects. A request that is
// being resumed has its prior targets.
func (h *Handler) jobOf(r *request, kind, owner string, ids *[]string, prior []idempotency.Target) (*job, error) {
	j := &job{kind: kind, owner: owner, targets: prior}
	if prior != nil {
		return j, nil
	}
	sources, err := h.chosen(r, owner, ids)
	if err != nil {
		return nil, err
	}
	for i, source := range sources {
		j.targets = append(j.targets, idempotency.Target{SourceID: source.Address.Source, Name: source.Name, At: i})
	}
	return j, nil
}

// chosen returns the sources with the given ids, without repeats, or all sources
// of the workspace and owner if ids is nil (absent or null in the request). An
// id that is unknown, removed or somebody else's is a 404 that names it.
func (h *Handler) chosen(r *request, owner string, ids *[]string) ([]projections.Source, error) {
	if ids == nil {
		all, _, err := h.Reads.Sources(projections.ListQuery{Organization: r.caller.Organization, Workspace: r.workspace, Owner: owner})
		return all, err
	}
	return h.pick(r, owner, *ids, func(s *projections.Source) bool { return !s.Removed })
}

// pick returns the sources with the given ids that satisfy fits, without
// repeats, or a 404 that names the others.
func (h *Handler) pick(r *request, owner string, ids []string, fits func(*projections.Source) bool) ([]projections.Source, error) {
	var sources []projections.Source
	var missing []web.Detail
	seen := map[string]bool{}
	for i, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		source, err := h.Reads.AnySource(event.Address{Organization: r.caller.Organization, Workspace: r.workspace, Owner: owner, Source: id})
		switch {
		case errors.Is(err, projections.ErrNotFound), err == nil && !fits(&source):
			missing = append(missing, web.Detail{Field: fmt.Sprintf("source_ids[%d]", i), Message: "there is no source " + contract.Printable(id)})
		case err != nil:
			return nil, err
		default:
			sources = append(sources, source)
		}
	}
	if missing != nil {
		return nil, noSource(missing...)
	}
	return sources, nil
}

// noSource returns the 404 for ids of sources that do not exist for the caller.
func noSource(missing ...web.Detail) *web.Failure {
	f := web.Fail(http.StatusNotFound, "not_found", "There is no such source in this workspace and scope").With(missing...)
	if len(missing) == 1 {
		f.Message = strings.ToUpper(missing[0].Message[:1]) + missing[0].Message[1:] + " in this workspace and scope"
	}
	return f
}

// failedSource is a source for which a request failed.
type failedSource struct {
	Name     string       `json:"name"`
	Error    string       `json:"error"`
	Reason   event.Reason `json:"reason,omitempty"`
	SourceID string       `json:"source_id,omitempty"`
	Details  []web.Detail `json:"details,omitempty"`

	at int // index in the request
}

// failedTarget says why a target has no result.
func failedTarget(t idempotency.Target, g *projections.Target) failedSource {
	f := failedSource{Name: t.Name, SourceID: t.SourceID, at: t.At, Reason: event.ReasonInternal, Error: "there is no outcome"}
	if g == nil {
		return f
	}
	if g.Reason != "" {
		f.Reason = g.Reason
	}
	if f.Error = g.Message; f.Error == "" {
		f.Error = string(f.Reason)
	}
	return f
}

// reported returns the operation's target with that index, or nil.
func reported(op projections.Operation, index int) *projections.Target {
	at := slices.IndexFunc(op.Targets, func(g projections.Target) bool { return g.Index == index })
	if at < 0 {
		return nil
	}
	return &op.Targets[at]
}

// none returns the failure of a request for which no source completed. field
// returns the path of a source in the request.
func none(what string, failed []failedSource, field func(failedSource) string) *web.Failure {
	reasons := make([]event.Reason, len(failed))
	var details []web.Detail
	for i, f := range failed {
		reasons[i] = f.Reason
		if len(f.Details) > 0 {
			details = append(details, f.Details...)
			continue
		}
		details = append(details, web.Detail{Field: field(f), Message: f.Error, Reason: string(f.Reason), SourceID: f.SourceID, Name: f.Name})
	}
	status, code := statusOf(reasons)
	message := what
	if len(failed) > 0 {
		message += ": " + failed[0].Error
	}
	if len(failed) > 1 {
		message += fmt.Sprintf(" (and %d more)", len(failed)-1)
	}
	return web.Fail(status, code, "%s", message).With(details...)
}
