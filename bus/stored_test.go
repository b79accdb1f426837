package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/groupcommit"
	"headwater/bus/wire"
)

// sendMany sends that many commands at once and returns when they are stored.
func sendMany(t *testing.T, b *Bus, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			a := testAddress
			a.Source = fmt.Sprintf("src_%d", i)
			if err := b.Send(t.Context(), testCommand(a, &command.RemoveSource{})); err != nil {
				t.Errorf("send: %v", err)
			}
		})
	}
	wg.Wait()
}

// Each command lies in the stream, under its sequence, when its handler begins.
func TestCommandsAreStoredBeforeTheyAreHandled(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	stream, err := b.reads.Stream(t.Context(), StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	var runs sync.Map
	var handled atomic.Int64
	runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 8}, func(msg *message.Message) error {
		c, err := CommandOf(msg)
		if err != nil || c.Deliveries != 1 {
			t.Errorf("delivery of %v, %v; wanted the first of a command", c, err)
		}
		if _, again := runs.LoadOrStore(msg.UUID, true); again {
			t.Errorf("%s was handled twice", msg.UUID)
		}
		raw, err := stream.GetMsg(msg.Context(), wire.Number(msg, MetaSequence))
		if err != nil || raw.Header.Get(event.HeaderID) != msg.UUID {
			t.Errorf("command %s was handled; at its sequence %d lies %v, %v", msg.UUID, wire.Number(msg, MetaSequence), raw, err)
		}
		handled.Add(1)
		return nil
	})
	const many = 400
	sendMany(t, b, many)
	waitDone(t, b)
	if n := handled.Load(); n != many {
		t.Errorf("%d of %d commands were handled", n, many)
	}
}

// The broker hands out what came in a batch before the disk has it. No handler
// begins until then.
func TestHandlersWaitForTheSync(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	if b.groups == nil {
		t.Skip("there is no memory to stage batches in")
	}
	free, written := make(chan struct{}), make(chan struct{}, 1)
	batches := groupcommit.Batches(b.conns[0])
	b.groups[StreamCommands] = groupcommit.New(groupcommit.Config{
		Log:    testLog(),
		Chain:  chainOf,
		Health: func() error { return nil },
		Append: func(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
			select { // until a batch has gathered behind it
			case <-free:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return b.appendPlain(ctx, m)
		},
		Batch: func(ctx context.Context, messages []*nats.Msg) (uint64, error) {
			last, err := batches(ctx, messages)
			written <- struct{}{}
			<-free // as a slow disk
			return last, err
		},
	})
	const many = 15 // enough for a batch
	var handled atomic.Int64
	runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 20}, func(*message.Message) error { handled.Add(1); return nil })
	var sending sync.WaitGroup
	sending.Go(func() { sendMany(t, b, many) })
	<-written
	eventually(t, "the batch is handed out", func() bool {
		consumer, err := b.jobs.Consumer(t.Context(), StreamCommands, DurableFor("RemoveSource"))
		return err == nil && consumer.CachedInfo().NumAckPending > 0
	})
	select {
	case <-time.After(50 * time.Millisecond):
	case <-t.Context().Done():
	}
	if n := handled.Load(); n != 0 {
		t.Errorf("%d commands were handled that the disk does not have", n)
	}
	close(free)
	go func() {
		for range written { // of later batches
		}
	}()
	sending.Wait()
	waitDone(t, b)
	close(written)
	if n := handled.Load(); n != many {
		t.Errorf("%d of %d commands were handled", n, many)
	}
}

// A command that is sent again while its handler is at work does not get a second
// one, whatever the number of subscriptions.
func TestOneHandlerACommand(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	var at, most, runs atomic.Int64
	free := make(chan struct{})
	handle := func(*message.Message) error {
		runs.Add(1)
		most.Store(max(most.Load(), at.Add(1)))
		<-free
		at.Add(-1)
		return nil
	}
	for range 2 {
		runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 4}, handle)
	}
	c := testCommand(testAddress, &command.RemoveSource{})
	for range 6 {
		if err := b.Send(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the handler to begin", func() bool { return at.Load() > 0 })
	close(free)
	waitDone(t, b)
	if most.Load() != 1 || runs.Load() != 1 {
		t.Errorf("%d handlers ran, %d at once; wanted 1", runs.Load(), most.Load())
	}
}

// What waited in the stream before there were workers is handled beside what is
// sent now.
func TestABacklogBesideWhatIsSent(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	sendMany(t, b, 50)
	var handled atomic.Int64
	runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 4}, func(*message.Message) error { handled.Add(1); return nil })
	sendMany(t, b, 50)
	waitDone(t, b)
	if handled.Load() != 100 {
		t.Errorf("%d of 100 were handled", handled.Load())
	}
}

// What is not stored is not handled: neither what was sent for a request that has
// ended, nor what a broker cannot write.
func TestWhatIsNotStoredIsNotHandled(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	var handled atomic.Int64
	router := runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 4}, func(*message.Message) error { handled.Add(1); return nil })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Send(ended, testCommand(testAddress, &command.RemoveSource{})); err == nil {
		t.Error("a command was sent for a request that has ended")
	}
	if b.groups != nil {
		b.groups[StreamCommands] = groupcommit.New(groupcommit.Config{
			Log:    testLog(),
			Chain:  chainOf,
			Health: func() error { return errors.New("no space left") },
			Append: func(context.Context, *nats.Msg) (*jetstream.PubAck, error) { return nil, nats.ErrTimeout },
		})
		if err := b.Send(t.Context(), testCommand(testAddress, &command.RemoveSource{})); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a broker that cannot write: %v", err)
		}
	}
	if err := router.Close(); err != nil { // which waits for what has begun
		t.Fatal(err)
	}
	if handled.Load() != 0 {
		t.Errorf("%d commands were handled that are not stored", handled.Load())
	}
}
