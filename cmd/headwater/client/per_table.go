package client

import (
	"context"
	"encoding/json"
	"fmt"

	"headwater/cmd/headwater/terminal"
)

// tablesFlags are the flags of a command on landed tables: verify, maintain.
type tablesFlags struct {
	ClientFlags `embed:""`
	Sources     []string `arg:"" optional:"" help:"Names or ids of the sources; all of the scope without any."`
	Table       []string `sep:"none" help:"Only this table, or those that match a pattern; may be given several times."`
}

// outcomeDoc is what the outcomes of calls on several sources have in common.
type outcomeDoc struct {
	Failed      []failedDoc `json:"failed_sources"`
	OperationID string      `json:"operation_id"`
}

// failedDoc is a source for which a call failed.
type failedDoc struct {
	Name  string `json:"name"`
	Error string `json:"error"`
}

// tablesDoc is a source with a result R for each of its tables.
type tablesDoc[R any] struct {
	SourceID string `json:"source_id"`
	Name     string `json:"name"`
	Tables   []R    `json:"tables"`
}

// post sends the call and returns its answer. If the service answered 202, post
// waits and returns the operation instead.
func (f *tablesFlags) post(ctx context.Context, s terminal.Streams, call string) (a apiAnswer, op OperationDoc, waited bool, err error) {
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
	if a, err = api.post(ctx, api.Path(call), body, ""); err != nil {
		return a, op, false, err
	}
	op, waited, err = api.settled(ctx, s, a)
	return a, op, waited, err
}

// tablesOf returns the results that the completed targets of an operation hold
// under that name.
func tablesOf[R any](op OperationDoc, name string) ([]tablesDoc[R], error) {
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
func notDone(done string, failed []failedDoc) (errs []error) {
	for _, f := range failed {
		errs = append(errs, fmt.Errorf("not %s: %s: %s", done, terminal.Plain(f.Name), said(f.Error)))
	}
	return errs
}
