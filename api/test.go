package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"headwater/api/idempotency"
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

func (h *Handler) planTest(r *request, s idempotency.Seed, prior []idempotency.Target) (*job, error) {
	var body testRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	found, wrong, err := h.resolve(body.Config.Type, body.Config.Config, func(field string) string { return "source_config." + field })
	if err != nil {
		return nil, err
	}
	if wrong != nil {
		return nil, invalid(wrong)
	}
	j := &job{kind: event.KindTest, owner: r.caller.Username, targets: prior}
	if prior == nil {
		j.targets = []idempotency.Target{{SourceID: s.ID("tst_"), Name: body.Config.Name}}
	}
	j.payload = func(ctx context.Context, t idempotency.Target) (command.Data, error) {
		ref, err := h.seal(ctx, found.secret, func(secret []byte) (string, error) {
			address := event.Address{Organization: r.caller.Organization, Workspace: r.workspace, Owner: j.owner, Source: t.SourceID}
			return h.Vault.SealFor(ctx, address, secret, h.Options.Deadline+time.Minute)
		})
		return &command.TestConnection{Type: body.Config.Type, Connector: found.connector, Config: found.public, SecretRef: ref}, err
	}
	j.compose = func(op projections.Operation) (*web.Answer, error) { return composeTest(found.connector, j, op) }
	return j, nil
}

// composeTest answers with the steps of a connection test. A connection that
// does not work is an answer with status error, not a failure.
func composeTest(connector string, j *job, op projections.Operation) (*web.Answer, error) {
	g := reported(op, 0)
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
	f := failedTarget(j.targets[0], g)
	data["reason"] = f.Reason
	return web.Compose(http.StatusOK, "error", f.Error, data, "", &web.Error{Code: string(f.Reason), Details: []web.Detail{}})
}
