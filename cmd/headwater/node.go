package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/api"
	"headwater/bus"
	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/connectors"
	"headwater/connectors/builtin"
	"headwater/handlers"
	"headwater/handlers/landing"
	"headwater/handlers/webhooks"
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

	audits  *projections.Auditor
	issue   func(api.Claims, time.Duration) (string, error) // signs a token; nil with --jwks-url
	failed  chan error                                      // the first part that ended by itself
	closers []func(context.Context) error                   // run in reverse
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

	auth, err := newAuth(life, cfg, log)
	if err != nil {
		return nil, err
	}
	n.issue = auth.Issue
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
		Listen: cfg.NATSListen, Authenticate: grants(auth), AuthIssuer: issuer, AuthAccount: cfg.NATSAuthAccount, Log: log,
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
	if err := n.follow(ctx, life, view, eventLog{wire}); err != nil {
		return nil, err
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
		Dial: connectors.Outbound(policy, time.Minute, log), Allows: policy.Allows, Log: log,
	})
	n.onClose(func(context.Context) error { return hooks.Close() })

	tables, err := landing.Open(ctx, cfg.Lake, catalogKV{wire.Bucket(bus.BucketCatalog)}, log, landing.FileMode(cfg.lakeMode))
	if err != nil {
		return nil, fmt.Errorf("--lake: %w", err)
	}
	n.onClose(func(context.Context) error { return tables.Close() })
	n.Lake = tables.Location()
	home, err := cfg.home()
	if err != nil {
		return nil, err
	}
	if err := tables.Own(ctx, home); err != nil {
		return nil, fmt.Errorf("--lake: %w", err)
	}
	if err := tables.Writable(); err != nil {
		log.Error("the lake cannot be written: syncs will fail until it can", "lake", n.Lake, "error", err)
	}

	if cfg.has(roleWorker) {
		pool, err := connectorPool(cfg, log)
		if err != nil {
			return nil, err
		}
		n.onClose(func(context.Context) error { return pool.Close() })
		opened, err := cfg.greet(pool, view.Organizations, log)
		if err != nil {
			return nil, err
		}
		h := handlers.New(handlers.Deps{
			Events: wire, State: handlers.Projected(view), Connectors: opened, Lake: handlers.Landing(tables), Vault: vault, Commands: wire, Log: log,
			Options: handlers.Options{Keep: cfg.Grace},
		})
		var lease time.Duration // the bus's default
		if cfg.NATSURL == "" {
			lease = embeddedLease
		}
		if err := n.work(life, h, wire, lease, log); err != nil {
			return nil, err
		}
		n.deliver(life, hooks)
	}
	if cfg.has(roleAPI) {
		handler, err := api.New(api.Deps{
			Commands: wire, Events: wire, History: eventLog{wire}, Reads: view, Connectors: registry, Vault: vault, Lake: lakeView{tables},
			Idempotency: wire.Bucket(bus.BucketIdempotency), Webhooks: hooks, Auth: auth, Ready: n.ready(wire, view, tables), CheckSync: checkSync,
			Log: log, Options: api.Options{Wait: cfg.Wait, Origins: cfg.CORSOrigins},
		})
		if err != nil {
			return nil, err
		}
		n.onClose(handler.Close)
		address, err := n.listen(ctx, "listen", cfg.Listen, handler, handler.Drain, log)
		if err != nil {
			return nil, err
		}
		n.URL = "http://" + address.String()
	}
	if cfg.MetricsListen == "off" {
		return n, nil
	}
	_, err = n.listen(ctx, "metrics-listen", cfg.MetricsListen, metrics(view, n.audits), nil, log)
	return n, err
}

// newAuth returns the judge of tokens that the configuration describes.
func newAuth(ctx context.Context, cfg Config, log *slog.Logger) (*api.Auth, error) {
	c := api.AuthConfig{JWKSURL: cfg.JWKSURL, Issuer: cfg.JWTIssuer, Audience: cfg.JWTAudience, Log: log}
	if c.JWKSURL == "" {
		var err error
		if c.Key, err = api.LoadOrCreateKey(cfg.JWTSecretFile); err != nil {
			return nil, fmt.Errorf("--jwt-secret-file: %w", err)
		}
	}
	return api.NewAuth(ctx, c)
}

// grants lets the holder of an API token read the same history on the bus.
func grants(auth *api.Auth) func(string) (bus.Grant, error) {
	return func(token string) (bus.Grant, error) {
		claims, err := auth.Verify(token)
		if err != nil {
			return bus.Grant{}, err
		}
		inbox := "_INBOX." + event.Token(claims.Organization) + "." + event.Token(claims.Username)
		return bus.Grant{Subscribe: claims.Subjects(), Inbox: inbox, Expires: claims.Expires}, nil
	}
}

// ready tells whether this node can serve: the lake can be written, the store is
// sound and was found to be what the log says, and the log answers, with a majority behind it, is the one
// that the store follows, and is not far ahead of it.
func (n *node) ready(wire *bus.Bus, view *projections.Store, lake *landing.Lake) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := errors.Join(view.Err(), n.audited(), lake.Writable()); err != nil {
			return err
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

// embeddedLease is how long a command of a process that died stays with it when
// no other process could be at work on it: only a restart comes after it.
const embeddedLease = 5 * time.Second

// work runs the handlers on a Watermill router until the node is closed.
func (n *node) work(life context.Context, h *handlers.Handlers, wire *bus.Bus, lease time.Duration, log *slog.Logger) error {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: handlersDrain + time.Second}, watermill.NewSlogLoggerWithLevelMapping(log, map[slog.Level]slog.Level{
		slog.LevelInfo: slog.LevelDebug, // Watermill tells of every subscription
	}))
	if err != nil {
		return err
	}
	err = h.Register(router, func(command string, concurrency int) (message.Subscriber, error) {
		return wire.Jobs(bus.JobsConfig{
			Command: command, Concurrency: concurrency, PerWorkspace: h.PerWorkspace(command), PerOrganization: h.PerOrganization(command), Ahead: handlers.AsksNobody(command),
			AckWait: lease, Drain: handlersDrain, OnExhausted: h.Exhausted,
		})
	})
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := router.Run(life); err != nil {
			n.fail(fmt.Errorf("workers: %w", err))
		}
	}()
	n.onClose(func(ctx context.Context) error {
		h.Stop()
		if err := router.Close(); err != nil { // what was too slow goes on at the next start
			log.Warn("workers did not end within the drain", "error", err)
		}
		select {
		case <-ended:
		case <-ctx.Done():
		}
		return nil
	})
	select {
	case <-router.Running():
		n.sweep(life, h)
		return nil
	case <-ended:
		return errors.New("workers: the router did not start")
	}
}

// sweep destroys removed sources whose grace period has passed until the node is
// closed.
func (n *node) sweep(life context.Context, h *handlers.Handlers) {
	life, stop := context.WithCancel(life)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.Sweep(life)
	}()
	n.onClose(func(ctx context.Context) error {
		stop()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("close the sweep: %w", ctx.Err())
		}
	})
}

// listen serves handler at address until the node is closed. drain, if any, is
// told of the close first.
func (n *node) listen(ctx context.Context, flag, address string, handler http.Handler, drain func(), log *slog.Logger) (net.Addr, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address with --%s", err, flag)
	}
	server := &http.Server{
		Handler:           patiently(handler, bodyPatience),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if drain != nil {
		server.RegisterOnShutdown(drain)
	}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.fail(fmt.Errorf("--%s: %w", flag, err))
		}
	}()
	n.onClose(func(ctx context.Context) error {
		// Long waits are cut short so that the workers get their share of the drain.
		ctx, cancel := context.WithTimeout(ctx, requestsDrain)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			return server.Close()
		}
		return nil
	})
	return l.Addr(), nil
}
