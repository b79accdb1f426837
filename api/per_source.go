package api

import (
	"context"
	"net/http"

	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/projections"
)

// perSource is a call that sends one command for each chosen source and answers
// with a list of documents D, one for each source whose command completed.
type perSource[D any] struct {
	kind    string // of the operation
	list    string // name of the list in the answer, such as verified_sources
	nothing string // message of the answer when there is no source to choose
	none    string // message of the failure when no command completed
	command func() command.Data
	// document returns what the answer says of a source whose command completed.
	document func(t idempotency.Target, result *projections.Result) D
	// message returns the message of an answer with these documents, of asked
	// sources.
	message func(done []D, asked int) string
}

// plan returns the job of the call for the sources with these ids, or for all
// sources of the scope when ids is nil. An unknown id is a 404.
func (c perSource[D]) plan(h *Handler, r *request, scope string, ids *[]string, prior []idempotency.Target) (*job, error) {
	j, err := h.jobOf(r, c.kind, r.owner(scope), ids, prior)
	if err != nil {
		return nil, err
	}
	if len(j.targets) == 0 {
		j.done, err = web.Success(http.StatusOK, c.nothing, c.data([]D{}, []failedSource{}, nil))
		return j, err
	}
	j.payload = func(context.Context, idempotency.Target) (command.Data, error) { return c.command(), nil }
	j.compose = func(op projections.Operation) (*web.Answer, error) { return c.compose(ids, j, op) }
	return j, nil
}

// compose makes the answer from what became of each target. When no command
// completed it returns a *web.Failure.
func (c perSource[D]) compose(ids *[]string, j *job, op projections.Operation) (*web.Answer, error) {
	done, failed := []D{}, []failedSource{}
	for i, t := range j.targets {
		g := reported(op, i)
		if g == nil || g.Status != projections.StatusCompleted || g.Result == nil {
			failed = append(failed, failedTarget(t, g))
			continue
		}
		done = append(done, c.document(t, g.Result))
	}
	if len(done) == 0 {
		return nil, none(c.none, failed, fieldOf(ids))
	}
	return web.Success(http.StatusOK, c.message(done, len(j.targets)), c.data(done, failed, op.ID))
}

func (c perSource[D]) data(done []D, failed []failedSource, operation any) map[string]any {
	return map[string]any{c.list: done, "failed_sources": failed, "operation_id": operation}
}

// sourcesRequest is the body of a call on chosen sources.
type sourcesRequest struct {
	Scope     string    `json:"scope"`
	SourceIDs *[]string `json:"source_ids"`
}

// tablesRequest is the body of a call on landed tables of chosen sources.
type tablesRequest struct {
	sourcesRequest
	Tables []string `json:"tables"`
}

// sourceTables is a source with a result R for each of its tables.
type sourceTables[R any] struct {
	SourceID string `json:"source_id"`
	Name     string `json:"name"`
	Tables   []R    `json:"tables"`
}
