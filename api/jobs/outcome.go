package jobs

import (
	"fmt"
	"slices"

	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/projections"
)

// FailedSource is a source for which a request failed.
type FailedSource struct {
	Name     string       `json:"name"`
	Error    string       `json:"error"`
	Reason   event.Reason `json:"reason,omitempty"`
	SourceID string       `json:"source_id,omitempty"`
	Details  []web.Detail `json:"details,omitempty"`

	At int `json:"-"` // index in the request
}

// FailedTarget says why a target has no result.
func FailedTarget(t idempotency.Target, g *projections.Target) FailedSource {
	f := FailedSource{Name: t.Name, SourceID: t.SourceID, At: t.At, Reason: event.ReasonInternal, Error: "there is no outcome"}
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

// Reported returns the operation's target with that index, or nil.
func Reported(op projections.Operation, index int) *projections.Target {
	at := slices.IndexFunc(op.Targets, func(g projections.Target) bool { return g.Index == index })
	if at < 0 {
		return nil
	}
	return &op.Targets[at]
}

// AllFailed returns the failure of a request for which no source completed. field
// returns the path of a source in the request.
func AllFailed(what string, failed []FailedSource, field func(FailedSource) string) *web.Failure {
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
	status, code := StatusOf(reasons)
	message := what
	if len(failed) > 0 {
		message += ": " + failed[0].Error
	}
	if len(failed) > 1 {
		message += fmt.Sprintf(" (and %d more)", len(failed)-1)
	}
	return web.Fail(status, code, "%s", message).With(details...)
}
