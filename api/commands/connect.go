package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"headwater/api/call"
	"headwater/api/databaseform"
	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
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

// connecting is a connect request in progress.
type connecting struct {
	calls   *Calls
	r       *call.Request
	owner   string
	form    bool // one database instead of "sources"; see databaseform
	sources []sourceRequest
	ready   map[int]resolved    // by index in the request
	failed  []jobs.FailedSource // sources whose configuration is invalid
}

// Connect plans to connect sources. Those whose configuration is invalid fail at
// once, beside the others.
func (c *Calls) Connect(r *call.Request, s idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	var body connectRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	asked := &connecting{calls: c, r: r, owner: r.Owner(body.Scope), sources: body.Sources, ready: map[int]resolved{}}
	switch {
	case body.Database != nil && body.Sources != nil:
		return nil, web.Malformed(web.Detail{Field: "database", Message: "cannot be combined with sources; send one of the two"})
	case body.Database != nil:
		source, err := databaseform.Parse(body.Database)
		if err != nil {
			return nil, err
		}
		asked.form, asked.sources = true, []sourceRequest{{Type: source.Type, Name: source.Name, Config: source.Config}}
		if source.Tables != nil || source.Exclude != nil {
			asked.sources[0].Sync = &syncOptions{Tables: source.Tables, Exclude: source.Exclude}
		}
	case body.Sources == nil:
		return nil, web.Malformed(web.Detail{Field: "sources", Message: "is missing: send a list of at least one source"})
	}
	if err := asked.check(); err != nil {
		return nil, err
	}
	for i, source := range asked.sources {
		if err := asked.resolve(i, source); err != nil {
			return nil, err
		}
	}
	if len(asked.ready) == 0 {
		return nil, asked.none(asked.failed)
	}
	j := &jobs.Job{Kind: event.KindConnect, Owner: asked.owner, Payload: asked.payload}
	j.Targets = prior
	if prior == nil {
		var err error
		if j.Targets, err = asked.targets(); err != nil {
			return nil, err
		}
	}
	j.Compose = func(op projections.Operation) (*web.Answer, error) { return asked.compose(j, op) }
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
		if len(s.Metadata) > c.calls.MaxMetadata {
			wrong = append(wrong, web.Detail{Field: at("metadata"), Message: fmt.Sprintf("must have at most %d bytes", c.calls.MaxMetadata)})
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
	if err != nil || c.calls.CheckSync == nil {
		return err
	}
	var wrong []web.Detail
	_, problems := c.calls.CheckSync(options, command.SyncOptions{}, nil, nil)
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
	found, details, err := c.calls.resolve(s.Type, s.Config, func(field string) string { return c.field(i, field) })
	if err != nil {
		return err
	}
	if details != nil {
		messages := make([]string, len(details))
		for n, d := range details {
			messages[n] = d.Field + " " + d.Message
		}
		c.failed = append(c.failed, jobs.FailedSource{Name: s.Name, Error: strings.Join(messages, "; "), Reason: event.ReasonInvalidConfig, Details: details, At: i})
		return nil
	}
	if s.Sync != nil && s.Sync.Mode == command.Capture && !c.calls.captures(found.connector) {
		p := syncoptions.NoLog(found.connector, c.calls.capturing())
		d := web.Detail{Field: c.field(i, "sync.mode"), Message: p.Message, Reason: string(p.Reason)}
		c.failed = append(c.failed, jobs.FailedSource{Name: s.Name, Error: d.Field + " " + d.Message, Reason: p.Reason, Details: []web.Detail{d}, At: i})
		return nil
	}
	c.ready[i] = found
	return nil
}

// targets returns a target for each source. A source that is connected already
// keeps its id.
func (c *connecting) targets() ([]idempotency.Target, error) {
	var targets []idempotency.Target
	for i, s := range c.sources {
		if _, ok := c.ready[i]; !ok {
			continue
		}
		org, ws := c.r.Caller.Organization, c.r.Workspace
		known, incarnation, found, err := c.calls.Model.FindSource(org, ws, c.owner, s.Name)
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
	ref, err := sealed(found.secret, func(secret []byte) (string, error) {
		address := c.r.Address(c.owner, t.SourceID)
		return c.calls.Vault.Seal(ctx, address, secret)
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

func (c *connecting) compose(j *jobs.Job, op projections.Operation) (*web.Answer, error) {
	failed := slices.Clone(c.failed)
	connected := []json.RawMessage{}
	for i, t := range j.Targets {
		g := jobs.Reported(op, i)
		if g == nil || g.Status != projections.StatusCompleted {
			failed = append(failed, jobs.FailedTarget(t, g))
			continue
		}
		doc, err := c.calls.Model.SourceDoc(c.r.Address(c.owner, t.SourceID))
		if errors.Is(err, projections.ErrNotFound) {
			failed = append(failed, jobs.FailedSource{Name: t.Name, SourceID: t.SourceID, At: t.At, Reason: event.ReasonSourceRemoved, Error: "it was connected and then removed"})
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
	slices.SortStableFunc(failed, func(a, b jobs.FailedSource) int { return a.At - b.At })
	if len(connected) == 0 {
		return nil, c.none(failed)
	}
	if failed == nil {
		failed = []jobs.FailedSource{}
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
	r, err := c.calls.Model.Remarks(c.r.Address(c.owner, source))
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
func (c *connecting) none(failed []jobs.FailedSource) *web.Failure {
	f := jobs.AllFailed("No data source was connected", failed, func(f jobs.FailedSource) string { return c.field(f.At, "") })
	if c.form {
		f.Data = map[string]any{"connectionStatus": false, "sources": []any{}, "errorMessage": failed[0].Error}
	}
	return f
}
