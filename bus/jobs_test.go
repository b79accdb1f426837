package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/command"
	"headwater/bus/event"
)

// runJobs runs one handler in a Watermill router, as the workers do.
func runJobs(t *testing.T, b *Bus, cfg JobsConfig, handle func(msg *message.Message) error) *message.Router {
	t.Helper()
	if cfg.Backoff == nil {
		cfg.Backoff = func(int) time.Duration { return 10 * time.Millisecond }
	}
	if cfg.Drain == 0 {
		cfg.Drain = 2 * time.Second
	}
	sub, err := b.Jobs(cfg)
	if err != nil {
		t.Fatal(err)
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: testLimit}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	router.AddMiddleware(Outcomes)
	router.AddConsumerHandler("test-"+cfg.Command, command.FilterFor(cfg.Command), sub, handle)
	ended := make(chan error, 1)
	go func() { ended <- router.Run(context.WithoutCancel(t.Context())); close(ended) }()
	t.Cleanup(func() {
		if err := errors.Join(router.Close(), <-ended); err != nil {
			t.Errorf("router: %v", err)
		}
	})
	select {
	case <-router.Running():
	case err := <-ended:
		t.Fatalf("router: %v", err)
	}
	return router
}

func send(t *testing.T, b *Bus, data command.Data) *command.Command {
	t.Helper()
	c := testCommand(testAddress, data)
	if err := b.Send(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// waitDone waits until every command was settled: once those that are done are
// removed, none is left.
func waitDone(t *testing.T, b *Bus) {
	t.Helper()
	s, err := b.publish.Stream(t.Context(), StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "every command is settled", func() bool {
		if err := b.trimmer().Trim(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		info, err := s.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	})
}

func deadLetters(t *testing.T, b *Bus) []*jetstream.RawStreamMsg {
	t.Helper()
	s, err := b.publish.Stream(t.Context(), StreamDeadLetters)
	if err != nil {
		t.Fatal(err)
	}
	var all []*jetstream.RawStreamMsg
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func TestJobCarriesTheCommand(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	got := make(chan *command.Command, 1)
	runJobs(t, b, JobsConfig{Command: "SyncSource"}, func(msg *message.Message) error {
		c, err := CommandOf(msg)
		got <- c
		return err
	})
	sent := testCommand(testAddress, &command.SyncSource{SyncID: "syn_1", Options: command.SyncOptions{Mode: "incremental"}})
	sent.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if err := b.Send(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	c := <-got
	if c.ID != sent.ID || c.TraceParent != sent.TraceParent || c.Deliveries != 1 || c.Data.(*command.SyncSource).SyncID != "syn_1" || c.Address() != testAddress {
		t.Errorf("got %+v %+v", c, c.Data)
	}
	waitDone(t, b)
}

func TestOneVerbDoesNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	release, connected := make(chan struct{}), make(chan struct{})
	runJobs(t, b, JobsConfig{Command: "SyncSource"}, func(*message.Message) error { <-release; return nil })
	runJobs(t, b, JobsConfig{Command: "ConnectSource"}, func(*message.Message) error { close(connected); return nil })
	defer close(release)
	send(t, b, &command.SyncSource{})
	send(t, b, &command.ConnectSource{})
	select {
	case <-connected:
	case <-time.After(testLimit):
		t.Error("the connect waited for the sync")
	}
}

func TestSlowHandlerKeepsItsCommand(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	var calls atomic.Int64
	cfg := JobsConfig{Command: "SyncSource", AckWait: 2 * time.Second, Concurrency: 2}
	runJobs(t, b, cfg, func(*message.Message) error {
		calls.Add(1)
		time.Sleep(5 * cfg.AckWait / 2) // what is tested is a handler that outlives its lease
		return nil
	})
	send(t, b, &command.SyncSource{})
	waitDone(t, b)
	if n := calls.Load(); n != 1 {
		t.Errorf("handled %d times", n)
	}
}

func TestSilentWorkerLosesItsCommand(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	cfg := JobsConfig{Command: "SyncSource", AckWait: time.Second}
	consumer, err := b.jobs.CreateConsumer(t.Context(), StreamCommands, jetstream.ConsumerConfig{ // as the workers make it
		Durable: DurableFor("SyncSource"), FilterSubject: command.FilterFor("SyncSource"), AckPolicy: jetstream.AckExplicitPolicy, AckWait: cfg.AckWait, MaxDeliver: -1, MaxAckPending: 1_000_000, MaxWaiting: 10_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	sent := send(t, b, &command.SyncSource{})
	if _, err := consumer.Next(); err != nil { // a worker that dies with it
		t.Fatal(err)
	}
	got := make(chan *command.Command, 1)
	runJobs(t, b, cfg, func(msg *message.Message) error {
		c, err := CommandOf(msg)
		got <- c
		return err
	})
	if c := <-got; c.ID != sent.ID || c.Deliveries != 2 {
		t.Errorf("got %s after %d deliveries, wanted %s after 2", c.ID, c.Deliveries, sent.ID)
	}
	waitDone(t, b)
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	const maxDeliver = 3
	for name, c := range map[string]struct {
		handle    func(call int64) error
		calls     int64
		deadAfter string // what the dead letter's reason holds; none if empty
	}{
		"done":             {func(int64) error { return nil }, 1, ""},
		"done at last":     {func(call int64) error { return failUntil(call, 2) }, 2, ""},
		"never done":       {func(int64) error { return errors.New("no luck") }, maxDeliver, "no luck"},
		"permanent":        {func(int64) error { return fmt.Errorf("while working: %w", Permanent(errors.New("cannot be"))) }, 1, "cannot be"},
		"snoozed":          {func(call int64) error { return snoozeUntil(call, 6) }, 6, ""},
		"panic":            {func(int64) error { panic("hunter2") }, maxDeliver, "handler panicked: string"},
		"runtime panic":    {func(int64) error { none()["a"] = 1; return nil }, maxDeliver, "nil map"},
		"snooze then fail": {func(call int64) error { return errors.Join(snoozeUntil(call, 3), errAfter(call, 3)) }, 2 + maxDeliver, "no luck"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openBus(t, Config{})
			var calls, told atomic.Int64
			runJobs(t, b, JobsConfig{
				Command: "SyncSource", MaxDeliver: maxDeliver,
				OnExhausted: func(_ context.Context, msg *message.Message, cause error) error {
					if _, err := CommandOf(msg); err != nil || cause == nil {
						t.Errorf("told of %v because of %v", err, cause)
					}
					told.Add(1)
					return nil
				},
			}, func(*message.Message) error { return c.handle(calls.Add(1)) })
			sent := send(t, b, &command.SyncSource{SyncID: "syn_1"})
			waitDone(t, b)
			if n := calls.Load(); n != c.calls {
				t.Errorf("handled %d times, wanted %d", n, c.calls)
			}
			letters := deadLetters(t, b)
			if c.deadAfter == "" {
				if len(letters) != 0 || told.Load() != 0 {
					t.Errorf("%d dead letters, told %d times", len(letters), told.Load())
				}
				return
			}
			if len(letters) != 1 || told.Load() != 1 {
				t.Fatalf("%d dead letters, told %d times", len(letters), told.Load())
			}
			l := letters[0]
			if reason := l.Header.Get(MetaDeadReason); !strings.Contains(reason, c.deadAfter) || strings.Contains(reason, "hunter2") {
				t.Errorf("reason %q", reason)
			}
			if l.Subject != SubjectDeadLetters+"."+sent.Subject() || l.Header.Get(event.HeaderID) != sent.ID || !strings.Contains(string(l.Data), "syn_1") {
				t.Errorf("the letter is not the message: %s %v %s", l.Subject, l.Header, l.Data)
			}
		})
	}
}

func failUntil(call, good int64) error {
	if call < good {
		return errors.New("not yet")
	}
	return nil
}

func snoozeUntil(call, good int64) error {
	if call < good {
		return fmt.Errorf("busy: %w", Snooze(time.Millisecond))
	}
	return nil
}

func errAfter(call, first int64) error {
	if call >= first {
		return errors.New("no luck")
	}
	return nil
}

func TestExhaustedHookIsAskedAgain(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	var told atomic.Int64
	runJobs(t, b, JobsConfig{
		Command: "SyncSource",
		OnExhausted: func(context.Context, *message.Message, error) error {
			if told.Add(1) < 3 {
				return errors.New("the log is away")
			}
			return nil
		},
	}, func(*message.Message) error { return Permanent(errors.New("never")) })
	send(t, b, &command.SyncSource{})
	waitDone(t, b)
	if n := told.Load(); n != 3 {
		t.Errorf("told %d times", n)
	}
	if n := len(deadLetters(t, b)); n != 1 {
		t.Errorf("%d dead letters", n)
	}
}

func TestPoisonStopsNobody(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	subject := (&command.Command{Data: testCommand(testAddress, &command.SyncSource{}).Data}).Subject()
	poison := map[string]*nats.Msg{
		"repeated header": {Subject: subject, Header: nats.Header{"X": {"1", "2"}}, Data: []byte("{}")},
		"no header":       {Subject: subject, Data: []byte("{}")},
		"no JSON":         {Subject: subject, Header: nats.Header{event.HeaderType: {event.Type("SyncSource")}}, Data: []byte("{")},
		"lost body":       {Subject: subject, Header: nats.Header{event.HeaderDataRef: {"sha256:" + strings.Repeat("0", 64)}}},
		"foreign body":    {Subject: subject, Header: nats.Header{event.HeaderDataRef: {"http://169.254.169.254/"}}},
	}
	for name, m := range poison {
		if _, err := b.publish.PublishMsg(t.Context(), m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	good := make(chan struct{})
	runJobs(t, b, JobsConfig{Command: "SyncSource", MaxDeliver: 2}, func(msg *message.Message) error {
		if _, err := CommandOf(msg); err != nil {
			return Permanent(err)
		}
		close(good)
		return nil
	})
	send(t, b, &command.SyncSource{})
	waitDone(t, b)
	<-good
	if letters := deadLetters(t, b); len(letters) != len(poison) {
		t.Errorf("%d dead letters, wanted %d", len(letters), len(poison))
	}
}

func TestCloseDrainsHandlers(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	started, finished := make(chan struct{}), atomic.Bool{}
	router := runJobs(t, b, JobsConfig{Command: "SyncSource"}, func(msg *message.Message) error {
		close(started)
		select {
		case <-msg.Context().Done():
			return msg.Context().Err()
		case <-time.After(300 * time.Millisecond): // shorter than the drain time
		}
		finished.Store(true)
		return nil
	})
	send(t, b, &command.SyncSource{})
	<-started
	if err := router.Close(); err != nil {
		t.Fatal(err)
	}
	if !finished.Load() {
		t.Error("the handler was cut off")
	}
	waitDone(t, b)
}

func TestCloseGivesUnfinishedCommandsBack(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	started := make(chan struct{})
	cfg := JobsConfig{Command: "SyncSource", MaxDeliver: 2, Drain: 50 * time.Millisecond}
	router := runJobs(t, b, cfg, func(msg *message.Message) error {
		close(started)
		<-msg.Context().Done()
		return msg.Context().Err()
	})
	sent := send(t, b, &command.SyncSource{})
	<-started
	if err := router.Close(); err != nil {
		t.Fatal(err)
	}
	again := make(chan *command.Command, 1)
	runJobs(t, b, cfg, func(msg *message.Message) error {
		c, err := CommandOf(msg)
		again <- c
		return err
	})
	select {
	case c := <-again:
		if c.ID != sent.ID {
			t.Errorf("got %s", c.ID)
		}
	case <-time.After(testLimit):
		t.Error("the command did not come again")
	}
	waitDone(t, b)
	if n := len(deadLetters(t, b)); n != 0 {
		t.Errorf("%d dead letters: being cut off counted as a failure", n)
	}
}

func TestJobsRefusesOtherTopics(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	if _, err := b.Jobs(JobsConfig{Command: "DropTables"}); !errors.Is(err, command.ErrUnknown) {
		t.Errorf("an unknown command: %v", err)
	}
	sub, err := b.Jobs(JobsConfig{Command: "SyncSource"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Subscribe(t.Context(), "headwater.commands.>"); err == nil {
		t.Error("subscribed to every command")
	}
}

func none() map[string]int { return nil }
