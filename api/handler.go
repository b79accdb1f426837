package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"headwater/api/contract"
	"headwater/api/idempotency"
	"headwater/api/quota"
	"headwater/api/web"
	"headwater/bus/schemas"
)

// Handler serves the REST API. It is an http.Handler and safe for concurrent
// use. Call Drain when the server begins to shut down, and Close afterwards.
type Handler struct {
	refusals quota.Refusals // limits how many refusals enter the history
	Deps
	contract *contract.Contract
	router   *mux.Router
	repeats  *idempotency.Keeper // of requests with an Idempotency-Key
	limits   quota.Limiter       // commands in progress
	streams  quota.Limiter       // event streams
	pages    quota.Limiter       // pages of events
	unread   quota.Limiter       // bytes of answers that clients have not read
	making   quota.Queues        // pages of events being built
	schemas  map[string][]byte   // JSON Schemas of payloads by name

	draining  chan struct{}
	drainOnce sync.Once
	work      sync.WaitGroup // commands in progress
	telling   chan struct{}  // one slot for each use of a token that is being recorded
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
	h := &Handler{Deps: d, draining: make(chan struct{}), telling: make(chan struct{}, 8)}
	h.repeats = &idempotency.Keeper{Bucket: d.Idempotency, MAC: h.fingerprint, Lease: d.Options.Lease, Keep: d.Options.KeepAnswers, Log: d.Log}
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
	h.Auth.OnUse(h.tokenUsed)
	return h, nil
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
		h.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the api: %w", ctx.Err())
	}
}
