package commands

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

type testRequest struct {
	Config struct {
		Type   string          `json:"type"`
		Name   string          `json:"name"`
		Config json.RawMessage `json:"connection_config"`
	} `json:"source_config"`
}

// Test plans a test of a connection. Nothing of it is stored.
func (c *Calls) Test(r *call.Request, s idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	var body testRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	found, wrong, err := c.resolve(body.Config.Type, body.Config.Config, func(field string) string { return "source_config." + field })
	if err != nil {
		return nil, err
	}
	if wrong != nil {
		return nil, invalid(wrong)
	}
	j := &jobs.Job{Kind: event.KindTest, Owner: r.Caller.Username, Targets: prior}
	if prior == nil {
		j.Targets = []idempotency.Target{{SourceID: s.ID("tst_"), Name: body.Config.Name}}
	}
	j.Payload = func(ctx context.Context, t idempotency.Target) (command.Data, error) {
		ref, err := sealed(found.secret, func(secret []byte) (string, error) {
			address := r.Address(j.Owner, t.SourceID)
			return c.Vault.SealFor(ctx, address, secret, c.Deadline+time.Minute)
		})
		return &command.TestConnection{Type: body.Config.Type, Connector: found.connector, Config: found.public, SecretRef: ref}, err
	}
	j.Compose = func(op projections.Operation) (*web.Answer, error) { return composeTest(found.connector, j, op) }
	return j, nil
}

// composeTest answers with the steps of a connection test. A connection that
// does not work is an answer with status error, not a failure.
func composeTest(connector string, j *jobs.Job, op projections.Operation) (*web.Answer, error) {
	g := jobs.Reported(op, 0)
	steps := []event.TestStep{}
	ok := g != nil && g.Status == projections.StatusCompleted
	if g != nil && g.Result != nil {
		if g.Result.Steps != nil {
			steps = g.Result.Steps
		}
		ok = ok && g.Result.OK != nil && *g.Result.OK
	}
	data := map[string]any{"connector": connector, "steps": steps, "operation_id": op.ID}
	if ok {
		return web.Success(http.StatusOK, "The connection works", data)
	}
	f := jobs.FailedTarget(j.Targets[0], g)
	data["reason"] = f.Reason
	return web.Compose(http.StatusOK, "error", f.Error, data, "", &web.Error{Code: string(f.Reason), Details: []web.Detail{}})
}
