package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"headwater/api/contract"
	"headwater/api/idempotency"
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

// planUpdate changes some settings of a source and keeps the others, including
// secrets. It sends a connect command whose configuration merges the stored
// settings with the given ones.
func (h *Handler) planUpdate(r *request, _ idempotency.Seed, prior []idempotency.Target) (*job, error) {
	var body updateRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if string(body.Metadata) == "null" {
		body.Metadata = nil
	}
	if body.Config == nil && body.Metadata == nil {
		return nil, web.Malformed(web.Detail{Field: "connection_config", Message: "is missing: give the settings to change, or metadata"})
	}
	if len(body.Metadata) > h.Options.MaxMetadata {
		return nil, web.Malformed(web.Detail{Field: "metadata", Message: fmt.Sprintf("must have at most %d bytes", h.Options.MaxMetadata)})
	}
	source, err := h.one(r, body.Scope, body.SourceID)
	if err != nil {
		return nil, err
	}
	found, err := h.changed(r.http.Context(), source, body.Config)
	if err != nil {
		return nil, err
	}
	j := &job{kind: event.KindUpdate, owner: source.Address.Owner, targets: prior}
	if prior == nil {
		j.targets = []idempotency.Target{{SourceID: source.Address.Source, Name: source.Name}}
	}
	j.payload = func(ctx context.Context, _ idempotency.Target) (command.Data, error) {
		ref, err := h.seal(ctx, found.secret, func(secret []byte) (string, error) { return h.Vault.Seal(ctx, source.Address, secret) })
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
	j.compose = func(op projections.Operation) (*web.Answer, error) {
		return h.composeOne(j, op, "connection_config", "The data source was not updated", "Updated the data source")
	}
	return j, nil
}

// one returns the source with that id, or a 404 if the caller has no such
// source.
func (h *Handler) one(r *request, scope, id string) (projections.Source, error) {
	source, err := h.Reads.Source(event.Address{Organization: r.caller.Organization, Workspace: r.workspace, Owner: r.owner(scope), Source: id})
	if errors.Is(err, projections.ErrNotFound) {
		return source, noSource(web.Detail{Field: "source_id", Message: "there is no source " + contract.Printable(id)})
	}
	return source, err
}

// changed returns the source's configuration with the given settings replaced. A
// setting that is null is removed.
func (h *Handler) changed(ctx context.Context, source projections.Source, given map[string]json.RawMessage) (found resolved, err error) {
	var secret []byte
	if source.SecretRef != "" {
		secret, err = h.Vault.Open(ctx, source.Address, source.SecretRef)
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
	found, wrong, err := h.split(source.Connector, config, func(field string) string { return field })
	if err != nil {
		return found, err
	}
	if wrong != nil {
		return found, invalid(wrong)
	}
	return found, kept(source, found.public, open, hidden, given)
}

// invalid returns the failure for an invalid configuration.
func invalid(wrong []web.Detail) *web.Failure {
	message := wrong[0].Field + " " + wrong[0].Message
	return web.Fail(outcomes[event.ReasonInvalidConfig], string(event.ReasonInvalidConfig), "The configuration cannot be right: %s", message).With(wrong...)
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

type renameRequest struct {
	Scope    string `json:"scope"`
	SourceID string `json:"source_id"`
	Name     string `json:"name"`
}

// planRename gives a source another name.
func (h *Handler) planRename(r *request, _ idempotency.Seed, prior []idempotency.Target) (*job, error) {
	var body renameRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if message := unfitName(body.Name); message != "" {
		return nil, web.Malformed(web.Detail{Field: "name", Message: message})
	}
	source, err := h.one(r, body.Scope, body.SourceID)
	if err != nil {
		return nil, err
	}
	j := &job{kind: event.KindRename, owner: source.Address.Owner, targets: prior}
	if prior == nil {
		j.targets = []idempotency.Target{{SourceID: source.Address.Source, Name: source.Name}}
	}
	j.payload = func(context.Context, idempotency.Target) (command.Data, error) {
		return &command.RenameSource{Name: body.Name}, nil
	}
	j.compose = func(op projections.Operation) (*web.Answer, error) {
		return h.composeOne(j, op, "name", "The data source was not renamed", "Renamed the data source; its tables stay where they lie")
	}
	return j, nil
}

// unfitName returns why a name is not allowed, or "".
func unfitName(name string) string {
	if strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl) {
		return "must not begin or end with white space or hold control characters"
	}
	if strings.ContainsFunc(name, unseen) {
		return "must not hold characters that cannot be seen, or that turn the direction of others"
	}
	return ""
}

// unseen reports whether a character is invisible or changes the direction of
// text. Such characters would make two different names look alike.
func unseen(r rune) bool {
	switch {
	case r == '\u034f', r == '\u115f', r == '\u1160', r == '\u17b4', r == '\u17b5', r == '\u3164', r == '\uffa0', r == '\u2800':
		return true // letters and marks that show nothing
	case r >= 0xfe00 && r <= 0xfe0e, r >= 0xe0100 && r <= 0xe01ef: // variation selectors, except that of emoji, which is visible
		return true
	}
	return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// composeOne answers with the document of the job's only source.
func (h *Handler) composeOne(j *job, op projections.Operation, field, failed, done string) (*web.Answer, error) {
	g, t := reported(op, 0), j.targets[0]
	if g == nil || g.Status != projections.StatusCompleted {
		return nil, none(failed, []failedSource{failedTarget(t, g)}, func(failedSource) string { return field })
	}
	doc, err := h.Reads.SourceDoc(event.Address{Organization: op.Organization, Workspace: op.Workspace, Owner: j.owner, Source: t.SourceID})
	if errors.Is(err, projections.ErrNotFound) {
		return nil, noSource(web.Detail{Field: "source_id", Message: "there is no source " + contract.Printable(t.SourceID)})
	}
	if err != nil {
		return nil, err
	}
	return web.Success(http.StatusOK, done, map[string]any{"source": json.RawMessage(doc), "operation_id": op.ID})
}
