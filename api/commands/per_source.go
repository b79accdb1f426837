package commands

import (
	"context"
	"net/http"

	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/jobs"
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
	command func(tables []string) command.Data
	// document returns what the answer says of a source whose command completed.
	document func(t idempotency.Target, result *projections.Result) D
	// message returns the message of an answer with these documents, of asked
	// sources.
	message func(done []D, asked int) string
}

// plan returns the job of the call for the sources that the request chooses, or for
// all sources of the scope when it chooses none. An unknown id is a 404.
func (c perSource[D]) plan(r *call.Request, prior []idempotency.Target) (*jobs.Job, error) {
	var body tablesRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	j, err := jobOf(r, c.kind, r.Owner(body.Scope), body.SourceIDs, prior)
	if err != nil {
		return nil, err
	}
	if len(j.Targets) == 0 {
		j.Done, err = web.Success(http.StatusOK, c.nothing, c.data([]D{}, []jobs.FailedSource{}, nil))
		return j, err
	}
	j.Payload = func(context.Context, idempotency.Target) (command.Data, error) { return c.command(body.Tables), nil }
	j.Compose = func(op projections.Operation) (*web.Answer, error) { return c.compose(body.SourceIDs, j, op) }
	return j, nil
}

// compose makes the answer from what became of each target. When no command
// completed it returns a *web.Failure.
func (c perSource[D]) compose(ids *[]string, j *jobs.Job, op projections.Operation) (*web.Answer, error) {
	done, failed := []D{}, []jobs.FailedSource{}
	for i, t := range j.Targets {
		g := jobs.Reported(op, i)
		if g == nil || g.Status != projections.StatusCompleted || g.Result == nil {
			failed = append(failed, jobs.FailedTarget(t, g))
			continue
		}
		done = append(done, c.document(t, g.Result))
	}
	if len(done) == 0 {
		return nil, jobs.AllFailed(c.none, failed, fieldOf(ids))
	}
	return web.Success(http.StatusOK, c.message(done, len(j.Targets)), c.data(done, failed, op.ID))
}

func (c perSource[D]) data(done []D, failed []jobs.FailedSource, operation any) map[string]any {
	return map[string]any{c.list: done, "failed_sources": failed, "operation_id": operation}
}

// tablesRequest is the body of a call on chosen sources. Only calls on landed
// tables have tables in their contract.
type tablesRequest struct {
	Scope     string    `json:"scope"`
	SourceIDs *[]string `json:"source_ids"`
	Tables    []string  `json:"tables"`
}

// sourceTables is a source with a result R for each of its tables.
type sourceTables[R any] struct {
	SourceID string `json:"source_id"`
	Name     string `json:"name"`
	Tables   []R    `json:"tables"`
}

// tablesOf returns a perSource.document: the results that of finds.
func tablesOf[R any](of func(*projections.Result) []R) func(idempotency.Target, *projections.Result) sourceTables[R] {
	return func(t idempotency.Target, result *projections.Result) sourceTables[R] {
		return sourceTables[R]{SourceID: t.SourceID, Name: t.Name, Tables: of(result)}
	}
}

// jobOf returns a job for the sources that a request selects. A request that is
// being resumed has its prior targets.
func jobOf(r *call.Request, kind, owner string, ids *[]string, prior []idempotency.Target) (*jobs.Job, error) {
	j := &jobs.Job{Kind: kind, Owner: owner, Targets: prior}
	if prior != nil {
		return j, nil
	}
	sources, err := r.FindSources(owner, ids)
	if err != nil {
		return nil, err
	}
	for i, source := range sources {
		j.Targets = append(j.Targets, idempotency.Target{SourceID: source.Address.Source, Name: source.Name, At: i})
	}
	return j, nil
}
