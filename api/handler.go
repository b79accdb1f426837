package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"headwater/api/commands"
	"headwater/api/contract"
	"headwater/api/events"
	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/api/quota"
	"headwater/api/reads"
	"headwater/api/tokens"
	"headwater/api/web"
	"headwater/api/webhooks"
	"headwater/bus/schemas"
)

// Handler serves the REST API. It is an http.Handler and safe for concurrent
// use. Call Drain when the server begins to shut down, and Close afterwards.
type Handler struct {
	Deps
	contract *contract.Contract
	router   *mux.Router
	schemas  map[string][]byte // JSON Schemas of payloads by name
	refusals quota.Refusals    // limits how many refusals enter the history
	unread   quota.Limiter     // bytes of answers that clients have not read

	runner   *jobs.Runner
	commands *commands.Calls
	reads    *reads.Calls
	events   *events.Calls
	tokens   *tokens.Calls
	webhooks *webhooks.Calls

	draining  chan struct{}
	drainOnce sync.Once
}

// What is the same for every handler of a process takes a while to read. Both are
// read alone by whoever has them.
var (
	ownSchemas  = sync.OnceValues(schemas.All)
	ownContract = sync.OnceValues(func() (*contract.Contract, error) { return contract.Load(openapi) })
)

// New returns the handler of the whole API. It fails if a required field of d is
// missing or if openapi.yaml and the routes do not match.
func New(d Deps) (*Handler, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	d.Options = d.Options.withDefaults()
	h := &Handler{Deps: d, draining: make(chan struct{})}
	h.group()
	var err error
	if h.schemas, err = ownSchemas(); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if h.contract, err = ownContract(); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if h.router, err = h.routes(); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	h.mountCatalog()
	h.Auth.OnUse(h.tokens.Used)
	return h, nil
}

// group gives each group of calls what it needs.
func (h *Handler) group() {
	d, o := h.Deps, h.Options
	h.runner = &jobs.Runner{
		Commands: d.Commands, Events: d.Events, Model: d.Reads, Secrets: d.Vault, Draining: h.draining, Log: d.Log,
		Repeats: &idempotency.Keeper{Bucket: d.Idempotency, MAC: h.fingerprint, Lease: o.Lease, Keep: o.KeepAnswers, Log: d.Log},
		Limits:  jobs.Limits{Wait: o.Wait, MaxWait: o.MaxWait, Send: o.Send, Deadline: o.Deadline, SyncDeadline: o.SyncDeadline, MaxInFlight: o.MaxInFlight},
	}
	h.reads = &reads.Calls{Model: d.Reads, Lake: d.Lake}
	h.commands = &commands.Calls{
		Model: d.Reads, Connectors: d.Connectors, Vault: d.Vault, CheckSync: d.CheckSync, MaxMetadata: o.MaxMetadata, Deadline: o.Deadline,
	}
	h.events = &events.Calls{
		History: d.History, Model: d.Reads, Auth: d.Auth, Unread: &h.unread, Draining: h.draining, Log: d.Log,
		Limits: events.Limits{
			MaxStreams: o.MaxStreams, MaxPages: o.MaxPages, MaxUnread: o.MaxUnread, Heartbeat: o.Heartbeat, StreamWrite: o.StreamWrite,
			PageWait: o.PageWait, MinSequenceWait: o.MinSequenceWait,
		},
	}
	h.tokens = &tokens.Calls{Model: d.Reads, Events: d.Events, Fingerprint: h.fingerprint, MinSequenceWait: o.MinSequenceWait, Log: d.Log}
	h.webhooks = &webhooks.Calls{Registry: d.Webhooks, Events: d.Events, History: d.History, Fingerprint: h.fingerprint}
}

// fingerprint returns a keyed hash of the texts.
func (h *Handler) fingerprint(purpose string, parts ...string) []byte {
	encoded, _ := json.Marshal(append([]string{purpose}, parts...)) // strings always marshal
	return h.Vault.MAC(encoded)
}

func (d *Deps) check() error {
	var errs []error
	for name, missing := range map[string]bool{
		"Commands": d.Commands == nil, "Events": d.Events == nil, "History": d.History == nil, "Reads": d.Reads == nil, "Connectors": d.Connectors == nil,
		"Vault": d.Vault == nil, "Idempotency": d.Idempotency == nil, "Auth": d.Auth == nil,
		"Webhooks": d.Webhooks == nil,
	} {
		if missing {
			errs = append(errs, errors.New("Deps."+name+" is missing"))
		}
	}
	return errors.Join(errs...)
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	seen := web.Record(w, r.Method)
	defer func() {
		if h.Answered != nil {
			h.Answered(seen.Exchange(time.Since(begun)))
		}
	}()
	h.serve(seen, r)
}

// Drain makes every request that waits for an outcome answer 202 now, and ends
// every event stream. It returns at once and may be called twice. Register it
// with http.Server.RegisterOnShutdown.
func (h *Handler) Drain() { h.drainOnce.Do(func() { close(h.draining) }) }

// Close drains, and waits until commands whose clients have disconnected are
// recorded too, or returns an error that wraps ctx's. Call it before closing
// what Deps lent. It may be called twice.
func (h *Handler) Close(ctx context.Context) error {
	h.Drain()
	done := make(chan struct{})
	go func() {
		h.runner.Wait()
		h.tokens.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the api: %w", ctx.Err())
	}
}
