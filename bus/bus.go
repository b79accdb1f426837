// Package bus is the only package that knows NATS. It runs the embedded broker
// or joins a cluster, creates and checks streams and buckets, publishes commands
// and events, and passes commands to workers and events to readers as Watermill
// messages.
package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/groupcommit"
	"headwater/bus/guests"
	"headwater/bus/jobs"
	"headwater/bus/readers"
	"headwater/bus/wire"
)

// Config says which broker to use.
type Config struct {
	Dir      string // store of the embedded broker, used if URL is empty; its mode becomes 0700
	URL      string // external cluster: nats:// external cluster: nats://host:port, several separated by commas
	Creds    string // credentials file for URL; may be empty
	Replicas int    // copies of every stream in an external cluster; 0 means 1. The embedded broker always has 1
	// StartWait is how long Open waits for an external cluster that is
	// unreachable or has too few servers for Replicas; 0 means 30 s.
	StartWait time.Duration
	// PlainAppends makes the embedded broker store and sync messages one by one,
	// as it does when group commit refuses to start.
	PlainAppends bool
	// Listen is the host:port at which the embedded broker accepts subscribers;
	// "" or "off" accepts none.
	Listen string
	// Authenticate verifies a subscriber's token, which is the password or token
	// of its connection. It is called concurrently. nil refuses every
	// subscriber.
	Authenticate func(password string) (Grant, error)
	// AuthIssuer is the seed of the account nkey with which this node answers
	// the auth callouts of an external cluster; nil answers none.
	AuthIssuer []byte
	// AuthAccount is the account of that cluster to which subscribers are
	// assigned. {organization} in it stands for the organization's subject
	// token.
	AuthAccount string
	Log         *slog.Logger // nil discards
}

// Grant is what a subscriber's token permits.
type Grant = guests.Grant

// AuthAccountDefault is the default account of an external cluster's
// subscribers: one for each organization.
const AuthAccountDefault = guests.AuthAccountDefault

// Bus is an open connection to the broker, and the broker itself if it is
// embedded. Its methods are safe for concurrent use. Close it after everything
// that uses it has ended.
type Bus struct {
	*readers.Readers // of the events

	log      *slog.Logger
	broker   *broker // nil with an external cluster
	replicas int
	disk     diskReserve
	back     wire.Signal // raised when a lost connection is re-established

	conns   []*nats.Conn
	publish jetstream.JetStream   // commands, events, buckets
	jobs    jetstream.JetStream   // pulls and acks of commands
	reads   jetstream.JetStream   // ordered reads, apart so that their volume does not delay an ack
	leader  nats.JetStreamManager // reads of single events, answered by the leader and not by a lagging replica

	groups    map[string]*groupcommit.Group // by stream; of the embedded broker if group commit works
	events    jetstream.Stream
	buckets   map[string]*bucket
	bodies    *wire.Bodies
	snapshots *Snapshots

	stopTrimming context.CancelFunc // nil with an external cluster
	trims        sync.WaitGroup

	closeOnce sync.Once
	closeErr  error
	mu        sync.Mutex
	closed    bool
	open      map[io.Closer]struct{}
}

// Open starts the broker or connects to it, creates missing streams and buckets,
// and checks every setting. It returns ErrUnsafe, ErrHistoryMissing, or an error
// that says what to change; then nothing is left running. The caller closes the
// Bus.
func Open(ctx context.Context, cfg Config) (*Bus, error) {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &Bus{log: log, replicas: max(1, cfg.Replicas), open: map[io.Closer]struct{}{}}
	if err := b.start(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open the bus: %w", err), b.Close(context.WithoutCancel(ctx)))
	}
	return b, nil
}

func (b *Bus) start(ctx context.Context, cfg Config) error {
	var dial func(name string) (*nats.Conn, error)
	if cfg.URL != "" {
		dial = dialCluster(ctx, cfg, b.log, &b.back)
	} else {
		b.replicas = 1
		b.disk = diskReserve{dir: cfg.Dir, reserve: reservedBytes, log: b.log}
		var err error
		if b.broker, err = startBroker(ctx, cfg, b.log); err != nil {
			return err
		}
		dial = b.broker.dial
	}
	for _, use := range []struct {
		name string
		js   *jetstream.JetStream
	}{{"headwater-publish", &b.publish}, {"headwater-jobs", &b.jobs}, {"headwater-reads", &b.reads}} {
		nc, err := dial(use.name)
		if err != nil {
			return fmt.Errorf("connect to the broker: %w", err)
		}
		if b.leader == nil {
			if b.leader, err = nc.JetStream(); err != nil {
				return fmt.Errorf("connect to the broker: %w", err)
			}
		}
		b.conns = append(b.conns, nc)
		if *use.js, err = jetstream.New(nc); err != nil {
			return fmt.Errorf("connect to the broker: %w", err)
		}
	}
	if b.broker == nil {
		if err := awaitCluster(ctx, cfg, b.log, b.prepareStreams); err != nil || cfg.AuthIssuer == nil {
			return err
		}
		return guests.AnswerCallouts(b.conns[0], guests.CalloutConfig{
			Issuer: cfg.AuthIssuer, Account: cfg.AuthAccount, Authenticate: cfg.Authenticate, Replicas: cfg.Replicas, Log: b.log,
		})
	}
	if err := b.prepareStreams(ctx); err != nil {
		return err
	}
	if b.broker.staging != nil {
		if err := b.beginGroups(ctx, b.broker.staging); err != nil {
			return err
		}
	}
	trimmed, stop := context.WithCancel(context.Background())
	b.stopTrimming = stop
	b.trims.Go(func() { b.trimmer().Run(trimmed) })
	return b.broker.guests.Open(b.conns[0])
}

// Disconnect closes the connections of the embedded broker's subscribers whose
// token has that id (Grant.ID). Those of an external cluster end within a minute
// by themselves. It does not wait and is safe for concurrent use.
func (b *Bus) Disconnect(id string) {
	if b.broker != nil {
		b.broker.guests.Disconnect(id)
	}
}

// Listening returns the host:port at which the embedded broker accepts
// subscribers, or "" if it accepts none.
func (b *Bus) Listening() string {
	if b.broker == nil {
		return ""
	}
	return b.broker.address
}

// Close ends the subscribers, giving running handlers their drain time, then the
// connections and the embedded broker. It returns the errors of these steps. It
// stops waiting for handlers when ctx is done. It may be called twice.
func (b *Bus) Close(ctx context.Context) error {
	b.closeOnce.Do(func() { b.closeErr = b.close(ctx) })
	return b.closeErr
}

func (b *Bus) close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	open := make([]io.Closer, 0, len(b.open))
	for s := range b.open {
		open = append(open, s)
	}
	b.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var wg sync.WaitGroup
		for _, s := range open {
			wg.Go(func() { _ = s.Close() })
		}
		wg.Wait()
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = fmt.Errorf("close the bus: handlers still run: %w", ctx.Err())
	}
	if b.stopTrimming != nil {
		b.stopTrimming()
		b.trims.Wait()
	}
	for _, nc := range b.conns {
		nc.Close()
	}
	if b.broker != nil {
		err = errors.Join(err, b.broker.stop())
	}
	return err
}

// trimmer removes finished commands from the embedded broker.
func (b *Bus) trimmer() jobs.Trimmer { return jobs.Trimmer{JS: b.reads, Log: b.log} }

// track registers a subscriber for Close. It returns ErrClosed after Close.
func (b *Bus) track(s io.Closer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	b.open[s] = struct{}{}
	return nil
}

func (b *Bus) untrack(s io.Closer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, s)
}
