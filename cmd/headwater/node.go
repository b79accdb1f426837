package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"headwater/api"
	"headwater/api/auth"
	"headwater/bus"
	"headwater/bus/seal"
	"headwater/bus/webhooks"
	"headwater/cmd/headwater/ops"
	"headwater/connectors"
	"headwater/connectors/builtin"
	"headwater/handlers"
	"headwater/handlers/landing"
	"headwater/handlers/syncoptions"
	"headwater/projections"
)

// How long Close waits for what runs: SIGTERM is answered within 30 s. Requests
// and handlers share the limit, and what is left closes the rest.
const (
	drainLimit    = 28 * time.Second
	requestsDrain = 7 * time.Second
	handlersDrain = 18 * time.Second
)

// node is one running service: everything of the flow line, in one process.
type node struct {
	URL  string // of the REST API, "" without the api role
	NATS string // host:port for subscribers, "" for none
	Lake string // where tables land
	// Metrics is the URL of the metrics and of the node's health, "" for none.
	Metrics string

	audits  *projections.Auditor
	issue   func(auth.Claims, time.Duration) (string, error) // signs a token; nil with --jwks-url
	failed  chan error                                       // the first part that ended by itself
	closers []func(context.Context) error                    // run in reverse
	once    sync.Once
	err     error
}

// startNode builds everything, in the order of the flow, and returns when the
// projection has caught up and the API answers. It returns an error that says
// what to change, and leaves nothing running then. Cancelling ctx does not end
// the node; Close does.
func startNode(ctx context.Context, cfg Config, log *slog.Logger) (_ *node, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := cfg.makeDataDir(); err != nil {
		return nil, err
	}
	n := &node{failed: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close(context.WithoutCancel(ctx)))
		}
	}()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	n.onClose(func(context.Context) error { end(); return nil })

	made := &madeTokens{}
	tokens, err := newAuth(life, cfg, made, log)
	if err != nil {
		return nil, err
	}
	n.issue = tokens.Issue
	masterKey, err := seal.LoadOrCreateMasterKey(cfg.MasterKeyFile)
	if err != nil {
		return nil, fmt.Errorf("--master-key-file: %w", err)
	}
	var issuer []byte
	if cfg.NATSAuthIssuerFile != "" {
		if issuer, err = os.ReadFile(cfg.NATSAuthIssuerFile); err != nil {
			return nil, fmt.Errorf("--nats-auth-issuer-file: %w", err)
		}
	}

	wire, err := bus.Open(ctx, bus.Config{
		Dir: cfg.path("bus"), URL: cfg.NATSURL, Creds: cfg.NATSCreds, Replicas: cfg.Replicas,
		Listen: cfg.NATSListen, Authenticate: grants(tokens), AuthIssuer: issuer, AuthAccount: cfg.NATSAuthAccount, Log: log,
	})
	if err != nil {
		return nil, err
	}
	n.onClose(wire.Close)
	n.NATS = wire.Listening()
	vault, err := seal.New(masterKey, wire.Bucket(bus.BucketSecrets))
	if err != nil {
		return nil, err
	}
	if err := vault.Verify(ctx); err != nil {
		return nil, err
	}

	view, err := projections.Open(projections.Options{Dir: cfg.path("projection"), Log: log})
	if err != nil {
		return nil, err
	}
	n.onClose(func(context.Context) error { return view.Close() })
	if cfg.SnapshotEvents > 0 { // a snapshot of what drifted would drift again
		if err := restore(ctx, view, wire); err != nil {
			return nil, err
		}
	}
	told := ops.New(ops.Config{Log: log, Version: buildVersion(), Go: runtime.Version(), Describe: described(view), Connectors: connectorNames(), PerSource: cfg.MetricsPerSource})
	if err := n.follow(ctx, life, view, eventLog{wire}); err != nil {
		return nil, err
	}
	made.serve(view, wire)
	if cfg.NATSURL != "" {
		n.beside(life, "tokens", func(ctx context.Context) { made.listen(ctx, view, wire) })
	}
	n.tend(life, cfg, view, wire)

	policy, err := connectors.ParsePolicy(cfg.EgressAllow, cfg.loopback())
	if err != nil {
		return nil, fmt.Errorf("--egress-allow: %w", err)
	}
	registry, err := connectors.New(connectors.Options{Egress: policy, Log: log}, builtin.Drivers()...)
	if err != nil {
		return nil, err
	}
	n.onClose(func(context.Context) error { return registry.Close() })

	hooks := webhooks.New(webhooks.Deps{
		Bucket: wire.Bucket(bus.BucketWebhooks), Vault: vault, Events: eventLog{wire},
		Dial: connectors.Outbound(policy, time.Minute, log), Allows: policy.Allows, Told: told.Delivered, Log: log,
	})
	n.onClose(func(context.Context) error { return hooks.Close() })

	tables, err := n.openLake(ctx, life, cfg, wire.Bucket(bus.BucketCatalog), log)
	if err != nil {
		return nil, err
	}

	tells := parts{view: view, audits: n.audits, wire: wire, lake: tables}
	if cfg.has(roleWorker) {
		pool, err := connectorPool(cfg, log)
		if err != nil {
			return nil, err
		}
		n.onClose(func(context.Context) error { return pool.Close() })
		tells.pool = pool
		opened, err := cfg.greet(pool, view.Organizations, log)
		if err != nil {
			return nil, err
		}
		h := handlers.New(handlers.Deps{
			Events: ops.Events{Log: wire, Ops: told}, State: handlers.Projected(view), Connectors: opened, Lake: handlers.Landing(tables), Vault: vault, Commands: wire, Log: log,
			Options: handlers.Options{Keep: cfg.Grace, RetryDelay: cfg.retryDelay},
		})
		var lease time.Duration // the bus's default
		if cfg.NATSURL == "" {
			lease = embeddedLease
		}
		if err := n.work(life, h, wire, lease, told); err != nil {
			return nil, err
		}
		n.beside(life, "webhooks", hooks.Deliver)
	}
	if cfg.has(roleAPI) {
		door, err := n.openDoor(ctx, cfg, tables, vault, view, tokens, log)
		if err != nil {
			return nil, err
		}
		handler, err := api.New(api.Deps{
			Commands: wire, Events: ops.Events{Log: wire, Ops: told}, History: eventLog{wire}, Reads: view, Connectors: registry, Vault: vault, Lake: lakeView{tables}, Catalog: catalogView{tables}, Access: door.access,
			Idempotency: wire.Bucket(bus.BucketIdempotency), Webhooks: hooks, Auth: tokens, Ready: n.ready(wire, view, tables), CheckSync: syncoptions.CheckCall,
			Answered: told.Answered, Log: log, Options: api.Options{Wait: cfg.Wait, Origins: cfg.CORSOrigins},
		})
		if err != nil {
			return nil, err
		}
		n.onClose(handler.Close)
		address, err := n.listen(ctx, "listen", cfg.Listen, door.beside(handler), handler.Drain, log)
		if err != nil {
			return nil, err
		}
		n.URL = "http://" + address.String()
	}
	if cfg.MetricsListen == "off" {
		return n, nil
	}
	told.Register(tells.gauges()...)
	address, err := n.listen(ctx, "metrics-listen", cfg.MetricsListen, metricsHandler(told, n.ready(wire, view, tables)), nil, log)
	if err == nil {
		n.Metrics = "http://" + address.String()
	}
	return n, err
}

// ready tells whether this node can serve: the lake can be written, the store is
// sound and was found to be what the log says, and the log answers, with a majority behind it, is the one
// that the store follows, and is not far ahead of it.
func (n *node) ready(wire *bus.Bus, view *projections.Store, lake *landing.Lake) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := errors.Join(view.Err(), n.audited()); err != nil {
			return err
		}
		if err := lake.Writable(ctx); err != nil {
			return lakeError{err}
		}
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if err := view.Agree(ctx, eventLog{wire}); err != nil {
			return err
		}
		// The state may be told by a leader that was cut off and does not know.
		if err := wire.Quorum(ctx); err != nil {
			return err
		}
		log, err := wire.EventsState(ctx)
		if err != nil {
			return err
		}
		if err := view.Wait(ctx, log.Last); err != nil {
			return fmt.Errorf("the projection is at %d of %d", view.Position(), log.Last)
		}
		return nil
	}
}

func (n *node) onClose(f func(context.Context) error) { n.closers = append(n.closers, f) }

// fail reports that a part ended by itself. The first report counts.
func (n *node) fail(err error) {
	select {
	case n.failed <- err:
	default:
	}
}

// Close ends the node in the reverse order of its start: no new requests, then
// no new commands, then the broker. Running work has until the drain limit or
// the end of ctx; what is not done then goes on at the next start. It is safe to
// call twice.
func (n *node) Close(ctx context.Context) error {
	n.once.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, drainLimit)
		defer cancel()
		var errs []error
		for i := len(n.closers) - 1; i >= 0; i-- {
			errs = append(errs, n.closers[i](ctx))
		}
		n.err = errors.Join(errs...)
	})
	return n.err
}

// follow keeps the projection at the end of the log until the node is closed,
// and returns when it has caught up with what was there.
func (n *node) follow(ctx, life context.Context, view *projections.Store, log eventLog) error {
	life, stop := context.WithCancel(life)
	ended := make(chan struct{})
	var err error // once ended
	go func() {
		defer close(ended)
		if err = view.Follow(life, log); err != nil {
			n.fail(fmt.Errorf("projection: %w", err))
		}
	}()
	n.onClose(func(ctx context.Context) error {
		stop()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("close the projection: %w", ctx.Err())
		}
	})
	select {
	case <-view.Ready():
		return nil
	case <-ended:
		return fmt.Errorf("projection: %w", err)
	case <-ctx.Done():
		return ctx.Err()
	}
}
