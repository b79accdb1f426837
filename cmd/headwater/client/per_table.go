package client

import (
	"context"
	"encoding/json"
	"fmt"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/terminal"
)

// tablesFlags are the flags of a command on landed tables: verify, maintain.
type tablesFlags struct {
	ClientFlags `embed:""`
	Sources     []string `arg:"" optional:"" help:"Names or ids of sources; default: all of the scope."`
	Table       []string `sep:"none" help:"Only this table, or those that match a pattern; may repeat."`
}

// tablesDoc is a source with a result R for each of its tables.
type tablesDoc[R any] struct {
	SourceID string `json:"source_id"`
	Name     string `json:"name"`
	Tables   []R    `json:"tables"`
}

// post sends the call and returns its answer. If the service answered 202, post
// waits and returns the operation instead.
func (f *tablesFlags) post(ctx context.Context, s terminal.Streams, call string) (a rest.Answer, op rest.OperationDoc, waited bool, err error) {
	api, err := f.client()
	if err != nil {
		return a, op, false, err
	}
	body := map[string]any{"scope": f.Scope}
	if len(f.Sources) > 0 {
		if body["source_ids"], err = api.sourceIDs(ctx, f.Scope, f.Sources); err != nil {
			return a, op, false, err
		}
	}
	if len(f.Table) > 0 {
		body["tables"] = f.Table
	}
	if a, err = api.Post(ctx, api.Path(call), body, ""); err != nil {
		return a, op, false, err
	}
	op, waited, err = api.Settled(ctx, s, a)
	return a, op, waited, err
}

// tablesOf returns the results that the completed targets of an operation hold
// under that name.
func tablesOf[R any](op rest.OperationDoc, name string) ([]tablesDoc[R], error) {
	var all []tablesDoc[R]
	for _, target := range op.Targets {
		if target.Status != "completed" {
			continue
		}
		var result map[string]json.RawMessage
		err := json.Unmarshal(target.Result, &result)
		source := tablesDoc[R]{SourceID: target.SourceID, Name: target.Name}
		if tables, ok := result[name]; err == nil && ok {
			err = json.Unmarshal(tables, &source.Tables)
		}
		if err != nil {
			return nil, fmt.Errorf("the service's answer is not as expected, is it another version? %w", err)
		}
		all = append(all, source)
	}
	return all, nil
}

// notDone returns an error for each source for which a call failed. done is what
// was to happen to it, such as "verified".
func notDone(done string, failed []rest.FailedDoc) (errs []error) {
	for _, f := range failed {
		errs = append(errs, fmt.Errorf("not %s: %s: %s", done, terminal.Plain(f.Name), flags.Said(f.Error)))
	}
	return errs
}
