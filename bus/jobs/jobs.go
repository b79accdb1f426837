// Package jobs hands commands to workers: one durable consumer a verb, each message
// to one worker of one node for as long as the handler takes.
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

// Broker is what workers need of the bus.
type Broker struct {
	// JS pulls and acks over Conn.
	JS   jetstream.JetStream
	Conn *nats.Conn
	// Embedded says that the broker is in this process: an ack that is sent is not
	// lost on the way.
	Embedded    bool
	Reconnected *wire.Signal // raised when a lost connection stands again
	Bodies      *wire.Bodies
	// Postponed keeps how often a message was put off.
	Postponed Counts
	// Bury stores a dead letter, a copy of a message from that subject.
	Bury func(ctx context.Context, subject string, letter *message.Message) error
	// Synced waits until a message of a stream is on disk, and returns false when
	// ctx ended before.
	Synced func(ctx context.Context, stream string, sequence uint64) bool
	// Track remembers a subscriber until Untrack, so that it is closed before the
	// connection is; it returns wire.ErrClosed after that.
	Track   func(io.Closer) error
	Untrack func(io.Closer)
	Log     *slog.Logger
}

// Counts keeps a decimal number by key. Get returns kv.ErrKeyNotFound for a key that
// is missing.
type Counts interface {
	Get(ctx context.Context, key string) (kv.Entry, error)
	Put(ctx context.Context, key string, value string) (uint64, error)
	Erase(ctx context.Context, key string) error
}

// Config says how one command is handed to this process's workers.
type Config struct {
	Command     string        // verb, such as "SyncSource"
	Concurrency int           // handlers at once in this process; 0 means 1
	AckWait     time.Duration // after which a silent worker's command goes to another; 0 means 30 s
	MaxDeliver  int           // failed deliveries before a command is given up; 0 means 5
	// PerWorkspace bounds how many of the handlers work for one workspace, and
	// gives workspaces their turns: one that sent many commands keeps another
	// waiting for one turn, not for all of them. 0 hands commands out as they come.
	PerWorkspace int
	// PerOrganization is PerWorkspace of all workspaces of an organization, which
	// may make up as many as it likes. Organizations take turns in either case.
	PerOrganization int
	// Backoff returns the delay before the next try after that many failures,
	// from 1; nil doubles from 1 s to 1 min, with jitter.
	Backoff func(failures int) time.Duration
	// OnExhausted is told of a command that is given up, before it goes to the
	// dead letters: after a Permanent error, MaxDeliver failures, or as
	// unreadable (wire.ErrPoison). Its own error puts the command off and asks
	// again, for as many times as MaxDeliver. May be nil.
	OnExhausted func(ctx context.Context, msg *message.Message, cause error) error
	// Drain is how long Close lets running handlers go on; 0 means 25 s.
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

// New returns a Watermill subscriber that hands out one command, each message
// to one worker of one node. Its topic is the command's name, or
// command.FilterFor of it; subscribe once per subscriber. The durable consumer
// is shared by all nodes and survives them.
//
// A message is fetched only when a worker is free, or, with PerWorkspace, ahead
// to wait for its workspace's turn. While it waits or its handler works, the
// lease is renewed every third of AckWait. Ack is confirmed by the broker; Nack
// means what the handler's error means (see Outcomes). Close stops fetching and
// gives handlers the drain time; what they had not finished goes to another
// worker at once and does not count as a failure.
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

// DurableFor returns the name of the durable consumer that hands out the named
// command. Renaming it hands out again all that is stored.
func DurableFor(name string) string { return "workers-" + name }

// maxPending is how many commands may be with workers or put off at once. One
// workspace's that wait for their turn must not fill it: behind it nothing of
// anybody is handed out.
const maxPending = 1_000_000

// Place says which stream and durable consumer a topic is read from.
type Place func(topic string) (stream string, consumer jetstream.ConsumerConfig, err error)

type subscriber struct {
	broker Broker
	cfg    Config
	place  Place

	stop     chan struct{} // closed by Close: fetch no more
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

// Subscribe creates the durable consumer if need be and starts the workers. The
// channel is closed when ctx ends or Close is called, after the last worker.
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
	// Handlers outlive ctx by the drain time.
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
	cfg.MaxDeliver = -1 // the broker would only strand a message; giving up is ours
	cfg.MaxAckPending = maxPending
	cfg.MaxWaiting = 10_000
	return j.broker.JS.CreateOrUpdateConsumer(ctx, stream, cfg)
}

// Close stops fetching, waits for running handlers up to the drain time, then
// cancels their contexts and gives their messages back. Safe to call twice.
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

// drain waits for the end of the subscription and bounds it.
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

// foundNothing reports whether a fetch only found nothing.
func foundNothing(err error) bool {
	return errors.Is(err, jetstream.ErrNoMessages) || errors.Is(err, context.DeadlineExceeded)
}
