// Package jobs passes commands to workers: one durable consumer for each
// command, each message to one worker of one node for as long as its handler
// runs.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/command"
	"headwater/bus/kv"
	"headwater/bus/wire"
)

// Broker is what workers need of the bus. All fields are required.
type Broker struct {
	// JS pulls and acks over Conn.
	JS   jetstream.JetStream
	Conn *nats.Conn
	// Embedded means that the broker is in this process, so that a sent ack
	// cannot be lost.
	Embedded    bool
	Reconnected *wire.Signal // raised when a lost connection is re-established
	Bodies      *wire.Bodies
	// Postponed stores how often a message was postponed.
	Postponed Counts
	// Bury stores a dead letter: a copy of a message from that subject.
	Bury func(ctx context.Context, subject string, letter *message.Message) error
	// Synced waits until a message of a stream is on disk. It returns false if
	// ctx is done first.
	Synced func(ctx context.Context, stream string, sequence uint64) bool
	// Track registers a subscriber until Untrack, so that it is closed before
	// the connection is. It returns wire.ErrClosed afterwards.
	Track   func(io.Closer) error
	Untrack func(io.Closer)
	Log     *slog.Logger
}

// Counts stores a decimal number for each key. Get returns kv.ErrKeyNotFound for
// a missing key.
type Counts interface {
	// Get returns the number, Put stores it in place of any other, and Erase deletes
	// it. A missing key is not an error for Erase.
	Get(ctx context.Context, key string) (kv.Entry, error)
	Put(ctx context.Context, key string, value string) (uint64, error)
	Erase(ctx context.Context, key string) error
}

// Config says how one command is passed to this process's workers.
type Config struct {
	Command     string        // name, such as "SyncSource"
	Concurrency int           // handlers running at once in this process; 0 means 1
	AckWait     time.Duration // time after which a silent worker's command goes to another; 0 means 30 s
	MaxDeliver  int           // failed deliveries before a command is given up; 0 means 5
	// PerWorkspace is how many handlers may work for one workspace. Workspaces
	// take turns: one that sent many commands delays another by one turn at
	// most. 0 handles commands in order of arrival.
	PerWorkspace int
	// PerOrganization is PerWorkspace for all workspaces of an organization,
	// which may have any number of them. Organizations take turns in either
	// case.
	PerOrganization int
	// Backoff returns the delay before the next try after that many failures,
	// counted from 1. nil doubles it from 1 s up to 1 min, with jitter.
	Backoff func(failures int) time.Duration
	// OnExhausted is called before a command is given up and becomes a dead
	// letter: after a Permanent error, after MaxDeliver failures, or if it is
	// unreadable (wire.ErrPoison). If it returns an error, the command is
	// postponed and OnExhausted called again, up to MaxDeliver times. May be
	// nil.
	OnExhausted func(ctx context.Context, msg *message.Message, cause error) error
	// Drain is how long Close lets running handlers continue; 0 means 25 s.
	Drain time.Duration
}

func (c Config) withDefaults() Config {
	if c.Concurrency <= 0 {
		c.Concurrency = 1
	}
	if c.AckWait <= 0 {
		c.AckWait = 30 * time.Second
	}
	if c.MaxDeliver <= 0 {
		c.MaxDeliver = 5
	}
	if c.Backoff == nil {
		c.Backoff = func(failures int) time.Duration {
			d := min(time.Minute, time.Second<<min(failures-1, 6))
			return d/2 + rand.N(d/2)
		}
	}
	if c.Drain <= 0 {
		c.Drain = 25 * time.Second
	}
	return c
}

// New returns a Watermill subscriber for one command; each message goes to one
// worker of one node. Its topic is the command's name, or command.FilterFor of
// it; subscribe once for each subscriber. All nodes share the durable consumer,
// which outlives them.
//
// A message is fetched only when a worker is free or, with PerWorkspace, ahead
// of time to wait for its workspace's turn. While it waits or its handler runs,
// the lease is renewed every third of AckWait. The broker confirms an Ack; a
// Nack has the meaning of the handler's error (see Outcomes). Close stops
// fetching and gives handlers the drain time; unfinished messages go to another
// worker at once and do not count as failures.
func New(broker Broker, cfg Config) (message.Subscriber, error) {
	if command.New(cfg.Command) == nil {
		return nil, fmt.Errorf("jobs: %w: %q", command.ErrUnknown, cfg.Command)
	}
	filter := command.FilterFor(cfg.Command)
	return At(broker, cfg, func(topic string) (string, jetstream.ConsumerConfig, error) {
		if topic != cfg.Command && topic != filter {
			return "", jetstream.ConsumerConfig{}, fmt.Errorf("topic %q is not %s", topic, cfg.Command)
		}
		return command.Stream, jetstream.ConsumerConfig{Durable: DurableFor(cfg.Command), FilterSubject: filter}, nil
	})
}

// DurableFor returns the name of the durable consumer for a command. Renaming it
// delivers everything stored again.
func DurableFor(name string) string { return "workers-" + name }

// maxPending is how many commands may be with workers or postponed at once. It
// is large because the broker delivers nothing more once it is reached, and one
// workspace's waiting commands must not reach it.
const maxPending = 1_000_000

// Place returns the stream and the durable consumer for a topic.
type Place func(topic string) (stream string, consumer jetstream.ConsumerConfig, err error)

type subscriber struct {
	broker Broker
	cfg    Config
	place  Place

	stop     chan struct{} // closed by Close: stop fetching
	stopOnce sync.Once
	workers  sync.WaitGroup
	mu       sync.Mutex
	closed   bool
}

// At is New for the messages of any place.
func At(broker Broker, cfg Config, p Place) (message.Subscriber, error) {
	j := &subscriber{broker: broker, cfg: cfg.withDefaults(), place: p, stop: make(chan struct{})}
	if err := broker.Track(j); err != nil {
		return nil, err
	}
	return j, nil
}

// Subscribe creates the durable consumer if needed and starts the workers. The
// channel is closed after the last worker has ended, when ctx is done or Close
// is called.
func (j *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, wire.ErrClosed
	}
	consumer, err := wire.Retry(ctx, wire.PublishTry, func(ctx context.Context) (jetstream.Consumer, error) { return j.consumer(ctx, topic) })
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	out := make(chan *message.Message)
	s := &subscription{jobs: j, topic: topic, consumer: consumer, out: out}
	s.fetching, s.stopFetching = context.WithCancel(ctx)
	// handlers continue for the drain time after ctx is done
	s.working, s.stopWorking = context.WithCancel(context.WithoutCancel(ctx))

	var wg sync.WaitGroup
	if j.cfg.PerWorkspace > 0 || j.cfg.PerOrganization > 0 {
		wg.Go(s.workFairly)
	} else {
		s.fetched = make(chan jetstream.Msg)
		s.supply = supply{workers: j.cfg.Concurrency, more: make(chan struct{}, 1)}
		wg.Go(s.fetch)
		for range j.cfg.Concurrency {
			wg.Go(s.work)
		}
	}
	done := make(chan struct{})
	j.workers.Add(2)
	go func() {
		defer j.workers.Done()
		wg.Wait()
		close(out)
		close(done)
	}()
	go func() {
		defer j.workers.Done()
		s.drain(done)
	}()
	return out, nil
}

func (j *subscriber) consumer(ctx context.Context, topic string) (jetstream.Consumer, error) {
	stream, cfg, err := j.place(topic)
	if err != nil {
		return nil, err
	}
	cfg.AckPolicy = jetstream.AckExplicitPolicy
	cfg.AckWait = j.cfg.AckWait
	cfg.MaxDeliver = -1 // the broker would only stop delivering the message; this package gives it up
	cfg.MaxAckPending = maxPending
	cfg.MaxWaiting = 10_000
	return j.broker.JS.CreateOrUpdateConsumer(ctx, stream, cfg)
}

// Close stops fetching and waits for running handlers up to the drain time, then
// cancels their contexts and gives their messages back. It may be called twice.
func (j *subscriber) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.stopOnce.Do(func() { close(j.stop) })
	j.workers.Wait()
	if j.broker.Embedded { // whose acks are not confirmed
		_ = j.broker.Conn.FlushTimeout(time.Second)
	}
	j.broker.Untrack(j)
	return nil
}

// drain waits for the end of the subscription, up to the drain time.
func (s *subscription) drain(done <-chan struct{}) {
	defer s.stopWorking()
	select {
	case <-s.jobs.stop:
	case <-s.fetching.Done():
	case <-done:
	}
	s.stopFetching()
	limit := time.NewTimer(s.jobs.cfg.Drain)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	}
}

// foundNothing reports whether a fetch ended without a message and without a
// problem.
func foundNothing(err error) bool {
	return errors.Is(err, jetstream.ErrNoMessages) || errors.Is(err, context.DeadlineExceeded)
}
