package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"headwater/api/databaseform"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors"
	"headwater/connectors/driver"
	"headwater/handlers/syncoptions"
	"headwater/projections"
)

type connectRequest struct {
	Scope    string                     `json:"scope"`
	Sources  []sourceRequest            `json:"sources"`
	Database map[string]json.RawMessage `json:"database"`
}

type sourceRequest struct {
	Type     string          `json:"type"`
	Name     string          `json:"name"`
	Config   json.RawMessage `json:"connection_config"`
	Metadata json.RawMessage `json:"metadata"`
	Sync     *syncOptions    `json:"sync"`
}

// resolved is a configuration that a connector accepts, with the secrets
// separated.
type resolved struct {
	connector      string
	public, secret json.RawMessage
}

// connecting is a connect request in progress.
type connecting struct {
	h       *Handler
	r       *request
	owner   string
	form    bool // one database instead of "sources"; see databaseform
	sources []sourceRequest
	ready   map[int]resolved // by index in the request
	failed  []failedSource   // sources whose configuration is invalid
}

func (h *Handler) planConnect(r *request, s idempotency.Seed, prior []idempotency.Target) (*job, error) {
	var body connectRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	c := &connecting{h: h, r: r, owner: r.owner(body.Scope), sources: body.Sources, ready: map[int]resolved{}}
	switch {
	case body.Database != nil && body.Sources != nil:
		return nil, web.Malformed(web.Detail{Field: "database", Message: "cannot be combined with sources; send one of the two"})
	case body.Database != nil:
		source, err := databaseform.Parse(body.Database)
		if err != nil {
			return nil, err
		}
		c.form, c.sources = true, []sourceRequest{{Type: source.Type, Name: source.Name, Config: source.Config}}
		if source.Tables != nil || source.Exclude != nil {
			c.sources[0].Sync = &syncOptions{Tables: source.Tables, Exclude: source.Exclude}
		}
	case body.Sources == nil:
		return nil, web.Malformed(web.Detail{Field: "sources", Message: "is missing: send a list of at least one source"})
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	for i, source := range c.sources {
		if err := c.resolve(i, source); err != nil {
			return nil, err
		}
	}
	if len(c.ready) == 0 {
		return nil, c.none(c.failed)
	}
	j := &job{kind: event.KindConnect, owner: c.owner, payload: c.payload}
	j.targets = prior
	if prior == nil {
		var err error
		if j.targets, err = c.targets(); err != nil {
			return nil, err
		}
	}
	j.compose = func(op projections.Operation) (*web.Answer, error) { return c.compose(j, op) }
	return j, nil
}

// check validates names, metadata and sync options before any connector is
// asked.
func (c *connecting) check() error {
	var wrong []web.Detail
	names := map[string]int{}
	for i, s := range c.sources {
		at := func(field string) string { return c.field(i, field) }
		if first, taken := names[s.Name]; taken {
			wrong = append(wrong, web.Detail{Field: at("name"), Message: fmt.Sprintf("is the same as that of sources[%d]; a name may come once", first)})
		} else {
			names[s.Name] = i
		}
		if message := unfitName(s.Name); message != "" {
			wrong = append(wrong, web.Detail{Field: at("name"), Message: message})
		}
		if len(s.Metadata) > c.h.Options.MaxMetadata {
			wrong = append(wrong, web.Detail{Field: at("metadata"), Message: fmt.Sprintf("must have at most %d bytes", c.h.Options.MaxMetadata)})
		}
	}
	if wrong != nil {
		return web.Malformed(wrong...)
	}
	for i, s := range c.sources {
		if err := c.checkSync(i, s); err != nil {
			return err
		}
	}
	return nil
}

// checkSync refuses sync options that are invalid for any source. Options that
// name tables are checked by the first sync, when the tables are known.
func (c *connecting) checkSync(i int, s sourceRequest) error {
	if s.Sync == nil {
		return nil
	}
	options, err := s.Sync.command()
	if err != nil || c.h.CheckSync == nil {
		return err
	}
	var wrong []web.Detail
	_, problems := c.h.CheckSync(options, command.SyncOptions{}, nil, nil)
	for _, p := range problems {
		if !p.Absent {
			wrong = append(wrong, web.Detail{Field: c.field(i, "sync"+strings.TrimPrefix(p.Field, "sync_options")), Message: p.Message, Reason: string(p.Reason)})
		}
	}
	if wrong != nil {
		return unfit(wrong)
	}
	return nil
}

// field returns the path of a source's field in the request.
func (c *connecting) field(i int, field string) string {
	if c.form {
		return databaseform.Field(field)
	}
	name := fmt.Sprintf("sources[%d]", i)
	if field != "" {
		name += "." + field
	}
	return name
}

// resolve finds the connector of a source and separates its secrets.
func (c *connecting) resolve(i int, s sourceRequest) error {
	found, details, err := c.h.resolve(s.Type, s.Config, func(field string) string { return c.field(i, field) })
	if err != nil {
		return err
	}
	if details != nil {
		messages := make([]string, len(details))
		for n, d := range details {
			messages[n] = d.Field + " " + d.Message
		}
		c.failed = append(c.failed, failedSource{Name: s.Name, Error: strings.Join(messages, "; "), Reason: event.ReasonInvalidConfig, Details: details, at: i})
		return nil
	}
	if s.Sync != nil && s.Sync.Mode == command.Capture && !c.h.captures(found.connector) {
		p := syncoptions.NoLog(found.connector, c.h.capturing())
		d := web.Detail{Field: c.field(i, "sync.mode"), Message: p.Message, Reason: string(p.Reason)}
		c.failed = append(c.failed, failedSource{Name: s.Name, Error: d.Field + " " + d.Message, Reason: p.Reason, Details: []web.Detail{d}, at: i})
		return nil
	}
	c.ready[i] = found
	return nil
}

// resolve validates a configuration. Problems are returned as details; field
// maps the name of a setting to its path in the request.
func (h *Handler) resolve(kind string, config json.RawMessage, field func(string) string) (found resolved, wrong []web.Detail, err error) {
	connector, err := h.Connectors.Resolve(kind, config)
	if err != nil {
		return judged(resolved{}, err, field)
	}
	return h.split(connector, config, field)
}

// split is resolve for a known connector.
func (h *Handler) split(connector string, config json.RawMessage, field func(string) string) (found resolved, wrong []web.Detail, err error) {
	found.connector = connector
	found.public, found.secret, err = h.Connectors.Split(connector, config)
	return judged(found, err, field)
}

// judged turns the error of an invalid configuration into details, and returns
// any other error as it is.
func judged(found resolved, err error, field func(string) string) (_ resolved, wrong []web.Detail, _ error) {
	var bad *connectors.ConfigError
	var kind *connectors.TypeError
	add := func(at, message string) {
		wrong = append(wrong, web.Detail{Field: field(at), Message: message, Reason: string(event.ReasonInvalidConfig)})
	}
	switch {
	case errors.As(err, &bad):
		for _, f := range bad.Fields {
			name := "connection_config"
			if f.Field != "" {
				name += "." + f.Field
			}
			add(name, f.Message)
		}
	case errors.As(err, &kind):
		add("type", kind.Message)
	case errors.Is(err, driver.ErrUnsupported): // this build no longer has the connector
		add("type", err.Error())
	default:
		return found, nil, err
	}
	return found, wrong, nil
}

// targets returns a target for each source. A source that is connected already
// keeps its id.
func (c *connecting) targets() ([]idempotency.Target, error) {
	var targets []idempotency.Target
	for i, s := range c.sources {
		if _, ok := c.ready[i]; !ok {
			continue
		}
		org, ws := c.r.caller.Organization, c.r.workspace
		known, incarnation, found, err := c.h.Reads.FindSource(org, ws, c.owner, s.Name)
		if err != nil {
			return nil, err
		}
		id := known.Address.Source
		if !found {
			id = projections.SourceID(org, ws, c.owner, s.Name, incarnation)
		}
		targets = append(targets, idempotency.Target{SourceID: id, Name: s.Name, At: i})
	}
	return targets, nil
}

func (c *connecting) payload(ctx context.Context, t idempotency.Target) (command.Data, error) {
	s, found := c.sources[t.At], c.ready[t.At]
	ref, err := c.h.seal(ctx, found.secret, func(secret []byte) (string, error) {
		address := event.Address{Organization: c.r.caller.Organization, Workspace: c.r.workspace, Owner: c.owner, Source: t.SourceID}
		return c.h.Vault.Seal(ctx, address, secret)
	})
	if err != nil {
		return nil, err
	}
	metadata := s.Metadata
	if string(metadata) == "null" {
		metadata = nil
	}
	connect := &command.ConnectSource{Name: s.Name, Type: s.Type, Connector: found.connector, Config: found.public, SecretRef: ref, Metadata: metadata}
	if s.Sync != nil {
		options, err := s.Sync.command()
		if err != nil {
			return nil, err
		}
		connect.Sync = &options
	}
	return connect, nil
}

// seal stores the secrets and returns their reference, or "" if there are none.
func (h *Handler) seal(_ context.Context, secret json.RawMessage, store func([]byte) (string, error)) (string, error) {
	if trimmed := bytes.TrimSpace(secret); len(trimmed) == 0 || string(trimmed) == "{}" || string(trimmed) == "null" {
		return "", nil
	}
	return store(secret)
}

func (c *connecting) compose(j *job, op projections.Operation) (*web.Answer, error) {
	failed := slices.Clone(c.failed)
	connected := []json.RawMessage{}
	for i, t := range j.targets {
		g := reported(op, i)
		if g == nil || g.Status != projections.StatusCompleted {
			failed = append(failed, failedTarget(t, g))
			continue
		}
		doc, err := c.h.Reads.SourceDoc(event.Address{Organization: c.r.caller.Organization, Workspace: c.r.workspace, Owner: c.owner, Source: t.SourceID})
		if errors.Is(err, projections.ErrNotFound) {
			failed = append(failed, failedSource{Name: t.Name, SourceID: t.SourceID, at: t.At, Reason: event.ReasonSourceRemoved, Error: "it was connected and then removed"})
			continue
		}
		if err != nil {
			return nil, err
		}
		if doc, err = c.remarked(doc, t.SourceID); err != nil {
			return nil, err
		}
		connected = append(connected, doc)
	}
	slices.SortStableFunc(failed, func(a, b failedSource) int { return a.at - b.at })
	if len(connected) == 0 {
		return nil, c.none(failed)
	}
	if failed == nil {
		failed = []failedSource{}
	}
	data := map[string]any{"connected_sources": connected, "failed_sources": failed, "operation_id": op.ID}
	if c.form {
		data["connectionStatus"], data["sources"], data["errorMessage"] = true, connected, nil
	}
	return web.Success(http.StatusOK, "Connected "+web.Of(len(connected), len(c.sources), "data source"), data)
}

// remarked returns a source's document with what the source does not offer and
// what syncs of its tables cannot see or preserve.
func (c *connecting) remarked(doc []byte, source string) ([]byte, error) {
	r, err := c.h.Reads.Remarks(event.Address{Organization: c.r.caller.Organization, Workspace: c.r.workspace, Owner: c.owner, Source: source})
	if err != nil && !errors.Is(err, projections.ErrNotFound) {
		return nil, err
	}
	more, err := json.Marshal(map[string]any{"left_out": orEmpty(r.LeftOut), "notes": orEmpty(r.Notes)})
	if err != nil {
		return nil, err
	}
	return append(append(doc[:len(doc)-1:len(doc)-1], ','), more[1:]...), nil
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// none returns the failure of a request that connected nothing.
func (c *connecting) none(failed []failedSource) *web.Failure {
	f := none("No data source was connected", failed, func(f failedSource) string { return c.field(f.at, "") })
	if c.form {
		f.Data = map[string]any{"connectionStatus": false, "sources": []any{}, "errorMessage": failed[0].Error}
	}
	return f
}
