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
	"headwater/handlers/readmodel"
	"headwater/handlers/syncing"
	"headwater/handlers/syncoptions"
	"headwater/projections"
	"headwater/projections/proof"
)

// Time limits of Close, which must end within 30 s of SIGTERM. Requests and
// handlers share one; the rest is for closing the other parts.
const (
	drainLimit    = 28 * time.Second
	requestsDrain = 7 * time.Second
	handlersDrain = 18 * time.Second
)

// node is a running service: every part of the flow line in one process.
type node struct {
	URL  string // of the REST API; "" without the api role
	NATS string // host:port for subscribers; "" for none
	Lake string // where tables land
	// Metrics is the URL of the metrics and of the node's health; "" for none.
	Metrics string

	audits  *proof.Auditor
	issue   func(auth.Claims, time.Duration) (string, error) // signs a token; nil with --jwks-url
	failed  chan error                                       // error of the first part that ended by itself
	closers []func(context.Context) error                    // run in reverse order
	once    sync.Once
	err     error
}

// startNode builds and starts every part, in the order of the flow line. It
// returns when the read model has caught up and the API answers. If it fails,
// its error says what to change, and nothing is left running. Cancelling ctx
// afterwards does not end the node; call Close.
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

	made := &apiTokens{}
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
	if cfg.SnapshotEvents > 0 { // a snapshot of a drifted store would have drifted too
		if err := restore(ctx, view, wire); err != nil {
			return nil, err
		}
	}
	told := ops.New(ops.Config{Log: log, Version: buildVersion(), Go: runtime.Version(), Describe: described(view), Connectors: connectorNames(), PerSource: cfg.MetricsPerSource})
	if err := n.follow(ctx, life, view, eventLog{wire}); err != nil {
		return nil, err
	}
	var known *latest
	if cfg.NATSURL != "" {
		known = newLatest(func(ctx context.Context) (uint64, error) { s, err := wire.EventsState(ctx); return s.Last, err }, view.Wait)
		n.beside(life, "end of the log", known.Run)
		n.beside(life, "tokens", func(ctx context.Context) { made.watch(ctx, view, wire) })
	}
	made.serve(view, wire, known)
	n.maintain(life, cfg, view, wire)

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
		opened, err := cfg.introducing(pool, view.Organizations, log)
		if err != nil {
			return nil, err
		}
		h := handlers.New(handlers.Deps{
			Events: ops.Events{Log: wire, Ops: told}, State: readmodel.Projected(view), Connectors: opened, Lake: handlers.Landing(tables), Vault: vault, Commands: wire, Log: log,
			Options: handlers.Options{Keep: cfg.Grace, Options: syncing.Options{RetryDelay: cfg.retryDelay}}, LetGo: letGo,
		})
		var lease time.Duration // 0 is the bus's default
		if cfg.NATSURL == "" {
			lease = embeddedLease
		}
		if err := n.work(life, h, wire, lease, told); err != nil {
			return nil, err
		}
		n.beside(life, "webhooks", hooks.Deliver)
	}
	if cfg.has(roleAPI) {
		endpoint, err := n.openEndpoint(ctx, cfg, tables, vault, stands(view, tokens, known), told.Served, log)
		if err != nil {
			return nil, err
		}
		handler, err := api.New(api.Deps{
			Commands: wire, Events: ops.Events{Log: wire, Ops: told}, History: eventLog{wire}, Reads: view, Connectors: registry, Vault: vault, Lake: lakeView{tables}, Catalog: catalogView{tables}, Access: endpoint.access,
			Recent: known.Reach, Idempotency: wire.Bucket(bus.BucketIdempotency), Webhooks: hooks, Auth: tokens, Ready: n.ready(wire, view, tables), CheckSync: syncoptions.CheckCall,
			Answered: told.Answered, Log: log, Options: api.Options{Wait: cfg.Wait, Origins: cfg.CORSOrigins},
		})
		if err != nil {
			return nil, err
		}
		n.onClose(handler.Close)
		address, err := n.listen(ctx, "listen", cfg.Listen, endpoint.beside(handler), handler.Drain, log)
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

// ready returns a function that says whether this node can serve. It can if the
// lake can be written, the store is sound and no audit found drift, and the log
// answers with a majority, is the one that the store follows, and is not far
// ahead of it.
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
		// A deposed leader that does not know it yet may report an old state.
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

// fail reports that a part ended by itself. Only the first report counts.
func (n *node) fail(err error) {
	select {
	case n.failed <- err:
	default:
	}
}

// Close ends the node in the reverse order of its start: it accepts no more
// requests, then no more commands, then stops the broker. Running work has until
// the drain limit or until ctx is done; unfinished work continues at the next
// start. It may be called twice.
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

// follow applies the log to the read model until the node is closed. It returns
// when the read model has caught up with the events that were there.
func (n *node) follow(ctx, life context.Context, view *projections.Store, log eventLog) error {
	ended := make(chan struct{})
	var err error // set once Follow has ended
	n.beside(life, "projection", func(ctx context.Context) {
		defer close(ended)
		if err = view.Follow(ctx, log); err != nil {
			n.fail(fmt.Errorf("projection: %w", err))
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
