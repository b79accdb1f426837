package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"headwater/api/call"
	"headwater/api/contract"
	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/connectors"
	"headwater/projections"
)

type updateRequest struct {
	Scope    string                     `json:"scope"`
	SourceID string                     `json:"source_id"`
	Config   map[string]json.RawMessage `json:"connection_config"`
	Metadata json.RawMessage            `json:"metadata"`
}

// Update changes some settings of a source and keeps the others, including
// secrets. It sends a connect command whose configuration merges the stored
// settings with the given ones.
func (c *Calls) Update(r *call.Request, _ idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	var body updateRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	if string(body.Metadata) == "null" {
		body.Metadata = nil
	}
	if body.Config == nil && body.Metadata == nil {
		return nil, web.Malformed(web.Detail{Field: "connection_config", Message: "is missing: give the settings to change, or metadata"})
	}
	if len(body.Metadata) > c.MaxMetadata {
		return nil, web.Malformed(web.Detail{Field: "metadata", Message: fmt.Sprintf("must have at most %d bytes", c.MaxMetadata)})
	}
	source, err := r.FindSource(body.Scope, body.SourceID)
	if err != nil {
		return nil, err
	}
	found, err := c.changed(r.HTTP.Context(), source, body.Config)
	if err != nil {
		return nil, err
	}
	j := &jobs.Job{Kind: event.KindUpdate, Owner: source.Address.Owner, Targets: prior}
	if prior == nil {
		j.Targets = []idempotency.Target{{SourceID: source.Address.Source, Name: source.Name}}
	}
	j.Payload = func(ctx context.Context, _ idempotency.Target) (command.Data, error) {
		ref, err := sealed(found.secret, func(secret []byte) (string, error) { return c.Vault.Seal(ctx, source.Address, secret) })
		clear(found.secret)
		if err != nil {
			return nil, err
		}
		metadata := body.Metadata
		if metadata == nil {
			metadata = source.Metadata
		}
		return &command.ConnectSource{
			Name: source.Name, Type: source.Type, Connector: source.Connector, Config: found.public, SecretRef: ref, Metadata: metadata, Base: source.ConfigVersion,
		}, nil
	}
	j.Compose = func(op projections.Operation) (*web.Answer, error) {
		return c.composeOne(j, op, "connection_config", "The data source was not updated", "Updated the data source")
	}
	return j, nil
}

// changed returns the source's configuration with the given settings replaced. A
// setting that is null is removed.
func (c *Calls) changed(ctx context.Context, source projections.Source, given map[string]json.RawMessage) (found resolved, err error) {
	var secret []byte
	if source.SecretRef != "" {
		secret, err = c.Vault.Open(ctx, source.Address, source.SecretRef)
		defer clear(secret)
	}
	switch {
	case errors.Is(err, seal.ErrDestroyed), errors.Is(err, seal.ErrRefused):
		return found, web.Fail(http.StatusUnprocessableEntity, string(event.ReasonSecretDestroyed), "The secrets of %s cannot be opened any more; connect it again with all its settings", contract.Printable(source.Name))
	case err != nil:
		return found, fmt.Errorf("open the secrets to keep: %w", err)
	}
	open, hidden := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	for into, raw := range map[*map[string]json.RawMessage][]byte{&open: source.Config, &hidden: secret} {
		if len(bytes.TrimSpace(raw)) == 0 {
			continue
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return found, errors.New("the stored configuration is not an object")
		}
	}
	merged, err := connectors.Merge(source.Config, secret)
	if err != nil {
		return found, err
	}
	defer clear(merged)
	whole := map[string]json.RawMessage{}
	if err := json.Unmarshal(merged, &whole); err != nil {
		return found, errors.New("the stored configuration is not an object")
	}
	for key, value := range given {
		if whole[key] = value; string(bytes.TrimSpace(value)) == "null" {
			delete(whole, key)
		}
	}
	config, err := json.Marshal(whole)
	if err != nil {
		return found, err
	}
	defer clear(config)
	found, wrong, err := c.split(source.Connector, config, func(field string) string { return field })
	if err != nil {
		return found, err
	}
	if wrong != nil {
		return found, invalid(wrong)
	}
	return found, kept(source, found.public, open, hidden, given)
}

// kept refuses to send the stored secrets of a shared source elsewhere: to
// change where they are sent one must know them. The owner of a source that is
// not shared entered the secrets and may change its settings.
func kept(source projections.Source, public json.RawMessage, open, hidden, given map[string]json.RawMessage) error {
	if source.Address.Owner != "" {
		return nil
	}
	now := map[string]json.RawMessage{}
	if err := json.Unmarshal(public, &now); err != nil {
		return err
	}
	same := maps.EqualFunc(open, now, func(a, b json.RawMessage) bool {
		var x, y any
		return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && equalJSON(x, y)
	})
	if same {
		return nil
	}
	var wrong []web.Detail
	for _, key := range slices.Sorted(maps.Keys(hidden)) {
		if _, again := given[key]; !again {
			wrong = append(wrong, web.Detail{Field: "connection_config." + key, Message: "must be given again where other settings of a shared source change: they may say where the secret goes", Reason: string(event.ReasonInvalidConfig)})
		}
	}
	if wrong == nil {
		return nil
	}
	return invalid(wrong)
}

func equalJSON(x, y any) bool {
	a, errA := json.Marshal(x)
	b, errB := json.Marshal(y)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// composeOne answers with the document of the job's only source.
func (c *Calls) composeOne(j *jobs.Job, op projections.Operation, field, failed, done string) (*web.Answer, error) {
	g, t := jobs.Reported(op, 0), j.Targets[0]
	if g == nil || g.Status != projections.StatusCompleted {
		return nil, jobs.AllFailed(failed, []jobs.FailedSource{jobs.FailedTarget(t, g)}, func(jobs.FailedSource) string { return field })
	}
	doc, err := c.Model.SourceDoc(event.Address{Organization: op.Organization, Workspace: op.Workspace, Owner: j.Owner, Source: t.SourceID})
	if errors.Is(err, projections.ErrNotFound) {
		return nil, call.NoSource(t.SourceID)
	}
	if err != nil {
		return nil, err
	}
	return web.Success(http.StatusOK, done, map[string]any{"source": json.RawMessage(doc), "operation_id": op.ID})
}
