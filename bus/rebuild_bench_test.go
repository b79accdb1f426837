package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
	"headwater/projections"
)

// followed is the bus as the projection follows it.
type followed struct{ *Bus }

func (f followed) State(ctx context.Context) (first, last uint64, created time.Time, err error) {
	s, err := f.EventsState(ctx)
	return s.First, s.Last, s.Created, err
}

func (f followed) Decode(msg *message.Message) (uint64, *event.Event, error) {
	sequence, err := strconv.ParseUint(msg.Metadata.Get(MetaSequence), 10, 64)
	if err != nil {
		return 0, nil, err
	}
	e, err := EventOf(msg)
	return sequence, e, err
}

// BenchmarkRebuild folds 1,000,000 events of connects and syncs into an empty
// projection on disk, and drains the same stream by a bare ordered consumer in
// turn: x-bare is the drain's median time over the rebuild's, which must reach
// 0.5; x-bare-cpu the same of user and system time. -short takes a tenth.
func BenchmarkRebuild(b *testing.B) {
	events := 1_000_000
	if testing.Short() {
		events /= 10
	}
	dir := filepath.Join(b.TempDir(), "broker")
	fill(b, dir, events)
	wire, err := Open(b.Context(), Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = wire.Close(context.WithoutCancel(b.Context())) }()
	for b.Loop() {
		var bare, rebuild [2][]float64
		for round := range 5 {
			measure(b, &bare, func() error { return drain(b.Context(), wire, uint64(events)) })
			measure(b, &rebuild, func() error {
				return fold(b.Context(), wire, filepath.Join(b.TempDir(), fmt.Sprint("projection", round)), uint64(events))
			})
		}
		b.ReportMetric(median(bare[0])/median(rebuild[0]), "x-bare(limit>=0.5)")
		b.ReportMetric(median(bare[1])/median(rebuild[1]), "x-bare-cpu")
		b.ReportMetric(float64(events)/median(rebuild[0]), "events/s")
		b.ReportMetric(float64(events)/median(bare[0]), "bare-events/s")
	}
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// measure notes how many seconds f takes by the clock and of processors.
func measure(b *testing.B, into *[2][]float64, f func() error) {
	b.Helper()
	began, used := time.Now(), processors(b)
	if err := f(); err != nil {
		b.Fatal(err)
	}
	into[0] = append(into[0], time.Since(began).Seconds())
	into[1] = append(into[1], processors(b)-used)
}

func processors(b *testing.B) float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}

func drain(ctx context.Context, wire *Bus, last uint64) error {
	consumer, err := wire.reads.OrderedConsumer(ctx, StreamEvents, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(5000))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next()
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil || meta.Sequence.Stream >= last {
			return err
		}
	}
}

func fold(ctx context.Context, wire *Bus, dir string, last uint64) error {
	s, err := projections.Open(projections.Options{Dir: dir})
	if err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Follow(following, followed{wire}) }()
	err = s.Wait(ctx, last)
	stop()
	return errors.Join(err, <-ended, s.Close())
}

// fill makes the store of a bus that holds so many events. It does not sync
// each of them, which would take minutes.
func fill(b *testing.B, dir string, events int) {
	b.Helper()
	opts := &server.Options{JetStream: true, StoreDir: dir, DontListen: true, NoSigs: true, MaxPayload: maxPayload, JetStreamMaxStore: 1 << 50}
	s, err := server.NewServer(opts)
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(brokerStart) {
		b.Fatal("the broker does not start")
	}
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range streamConfigs(1) {
		if _, err := js.CreateStream(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	for d := range busyLife(events) {
		e := &event.Event{ID: fmt.Sprintf("01900000-0000-7000-8000-%012d", n), Time: time.Unix(1_700_000_000, int64(n)*1e6).UTC(), Data: d}
		n++
		headers, body, err := e.Encode()
		if err != nil {
			b.Fatal(err)
		}
		msg, err := (&wmnats.NATSMarshaler{}).Marshal(e.Subject(), newMessage(b.Context(), e.ID, headers, body))
		if err != nil {
			b.Fatal(err)
		}
		msg.Header.Set(nats.MsgIdHdr, dedupID(e.Subject(), e.ID))
		if _, err := js.PublishMsgAsync(msg, jetstream.WithStallWait(time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(5 * time.Minute):
		b.Fatal("the stream does not fill")
	}
}

// busyLife yields connects with their schemas, then syncs of three tables with
// their checkpoints.
func busyLife(events int) func(yield func(event.Data) bool) {
	const sources = 200
	return func(yield func(event.Data) bool) {
		n := 0
		give := func(d event.Data) bool { n++; return n <= events && yield(d) }
		for i := range sources {
			a, op := sourceAt(i), event.Operation{ID: fmt.Sprint("op_c", i), Kind: event.KindConnect, Targets: 1, Actor: "ada"}
			c := &event.SourceConnected{Meta: event.At(a, op), Name: fmt.Sprint("name", i), Type: "database", Connector: "postgresql", ConfigVersion: 1,
				Config: json.RawMessage(`{"host":"db","port":5432}`), SecretRef: "ref"}
			op.Final = true
			d := &event.SchemaDiscovered{Meta: event.At(a, op), Version: 1, Cause: "connect"}
			for _, name := range []string{"orders", "people", "items"} {
				d.Tables = append(d.Tables, event.Table{Name: name, Namespace: "public", Kind: "table", Columns: []event.Column{{Name: "id", Type: "int64", SourceType: "bigint"}}})
			}
			if !give(c) || !give(d) {
				return
			}
		}
		for i := 0; ; i++ {
			a, op, id := sourceAt(i%sources), event.Operation{ID: fmt.Sprint("op_s", i), Kind: event.KindSync, Targets: 1, Actor: "ada"}, fmt.Sprint("syn_", i)
			if !give(&event.SyncStarted{Meta: event.At(a, op), SyncID: id, Attempt: 1, Mode: "incremental", Tables: []string{"public.orders", "public.people", "public.items"}}) {
				return
			}
			var results []event.TableResult
			for t, name := range []string{"orders", "people", "items"} {
				total := int64(1000*(i/sources) + 100*t)
				r := event.TableResult{Name: name, Namespace: "public", Status: "running", Mode: "incremental", Records: 100, Bytes: 10_000, Total: &total}
				if !give(&event.SyncProgressed{Meta: event.At(a, op), SyncID: id, Table: r, Records: int64(100 * (t + 1)), Bytes: int64(10_000 * (t + 1))}) {
					return
				}
				r.Status = "completed"
				results = append(results, r)
			}
			op.Final = true
			if !give(&event.SyncCompleted{Meta: event.At(a, op), SyncID: id, Status: "completed", Mode: "incremental", Records: 300, Bytes: 30_000, DurationMS: 1500, Tables: results}) {
				return
			}
		}
	}
}

func sourceAt(i int) event.Address {
	return event.Address{Organization: "acme", Workspace: "w1", Owner: "ada", Source: fmt.Sprint("src_", i)}
}
