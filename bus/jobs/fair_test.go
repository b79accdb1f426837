package jobs

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/bustest/broker"
	"headwater/bus/bustest/leaks"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/fairqueue"
	"headwater/bus/kv"
	"headwater/bus/wire"
)

func TestMain(m *testing.M) { leaks.Verify(m) }

// counts are Counts in memory.
type counts struct{ values sync.Map }

func (c *counts) Get(_ context.Context, key string) (kv.Entry, error) {
	if value, ok := c.values.Load(key); ok {
		return kv.Entry{Value: []byte(value.(string))}, nil
	}
	return kv.Entry{}, kv.ErrKeyNotFound
}

func (c *counts) Put(_ context.Context, key, value string) (uint64, error) {
	c.values.Store(key, value)
	return 1, nil
}

func (c *counts) Erase(_ context.Context, key string) error { c.values.Delete(key); return nil }

// serve starts a broker with the stream of commands. It returns what workers need of
// it, and the dead letters that they make.
func serve(t *testing.T) (b Broker, letters *atomic.Int64) {
	t.Helper()
	nc, js := broker.Start(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: command.Stream, Subjects: []string{command.SubjectPrefix + ".>"}}); err != nil {
		t.Fatal(err)
	}
	letters = new(atomic.Int64)
	return Broker{
		JS: js, Conn: nc, Embedded: true, Reconnected: new(wire.Signal), Bodies: wire.BodiesIn(nil), Postponed: new(counts),
		Bury:   func(context.Context, string, *message.Message) error { letters.Add(1); return nil },
		Synced: func(context.Context, string, uint64) bool { return true },
		Track:  func(io.Closer) error { return nil }, Untrack: func(io.Closer) {}, Log: slog.New(slog.DiscardHandler),
	}, letters
}

// newJobs returns New's subscriber as it is inside.
func newJobs(t *testing.T, b Broker, cfg Config) *subscriber {
	t.Helper()
	sub, err := New(b, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Close() })
	return sub.(*subscriber)
}

func send(t *testing.T, b Broker, a event.Address) {
	t.Helper()
	c := &command.Command{ID: "01900000-0000-7000-8000-000000000001", Time: time.Now().UTC(), Data: &command.SyncSource{}}
	*c.Data.Header() = command.Meta{Meta: event.At(a, event.Operation{ID: "op_1", Kind: event.KindSync, Targets: 1, Actor: "ada"}), Deadline: time.Now().Add(time.Minute).UTC()}
	headers, body, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m := nats.NewMsg(c.Subject())
	m.Data = body
	for k, v := range headers {
		m.Header.Set(k, v)
	}
	if _, err := b.JS.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// A command that waits for its turn while its process dies, again and again, is
// no command that kills its worker; one whose turn it was is.
func TestWaitingBurnsNoDeliveries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ turn, done bool }{"waiting": {false, true}, "working": {true, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, letters := serve(t)
			cfg := Config{Command: "SyncSource", Concurrency: 1, PerWorkspace: 1, AckWait: time.Second, MaxDeliver: 2}
			died := newJobs(t, b, cfg)
			consumer, err := died.consumer(t.Context(), "SyncSource")
			if err != nil {
				t.Fatal(err)
			}
			send(t, b, event.Address{Organization: "acme", Workspace: "a", Owner: "ada", Source: "src_1"})
			for death := range 3 {
				dieInLine(t, &subscription{jobs: died, consumer: consumer, fetching: t.Context(), working: t.Context()}, death, c.turn)
			}
			messages, err := newJobs(t, b, cfg).Subscribe(t.Context(), "SyncSource")
			if err != nil {
				t.Fatal(err)
			}
			var done atomic.Int64
			go func() {
				for msg := range messages {
					done.Add(1)
					msg.Ack()
				}
			}()
			broker.Eventually(t, "it is settled", func() bool {
				info, err := consumer.Info(t.Context())
				return err == nil && info.NumAckPending == 0 && info.NumPending == 0 && info.AckFloor.Stream == 1
			})
			if handled := done.Load() == 1; handled != c.done || (letters.Load() == 1) == c.done {
				t.Errorf("handled: %v, dead letters: %d", handled, letters.Load())
			}
		})
	}
}

// dieInLine takes the next delivery as a process does that dies while it waits
// for its turn, or just after.
func dieInLine(t *testing.T, s *subscription, deaths int, turn bool) {
	t.Helper()
	in, err := s.consumer.Next(jetstream.FetchMaxWait(broker.Limit))
	if err != nil {
		t.Fatal(err)
	}
	msg, meta, err := wire.Receive(in)
	if err != nil || int(meta.NumDelivered) != deaths+1 {
		t.Fatalf("delivery %d after %d deaths: %v", meta.NumDelivered, deaths, err)
	}
	line := fairqueue.New(1, 1, 0)
	first, k := line.Enter("a"), line.Enter("a")
	d := &delivery{subscription: s, in: in, msg: msg, meta: meta}
	ended := make(chan bool, 1)
	before := d.timesPostponed()
	go func() { ended <- (&delivery{subscription: s, in: in, msg: msg, meta: meta}).awaitTurn(k) }()
	broker.Eventually(t, "the wait to be noted", func() bool {
		return (&delivery{subscription: s, in: in, msg: msg, meta: &jetstream.MsgMetadata{Stream: meta.Stream, Sequence: meta.Sequence, NumDelivered: 2}}).timesPostponed() == before+1
	})
	if turn {
		line.Leave(first)
		if !<-ended {
			t.Fatal("it was not its turn")
		}
	}
}

func TestWorkspaceOf(t *testing.T) {
	a := event.Address{Organization: "a.b", Workspace: "w", Source: "s"}
	other := event.Address{Organization: "a", Workspace: "b.w", Source: "s"}
	subject := func(a event.Address) string { return command.SubjectPrefix + "." + a.Tokens() + ".SyncSource" }
	if workspaceOf(subject(a)) == workspaceOf(subject(other)) || workspaceOf(subject(a)) == "" || workspaceOf("x.y") != "" {
		t.Error("two workspaces share a line")
	}
}
