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

	"headwater/bus/command"
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

// waiting returns how many commands were begun and not delivered yet.
func (l *leads) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.begun)
}

func TestHandlersBeginWhileTheCommandIsStored(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	var runs sync.Map
	var ahead atomic.Int64
	runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 8, Ahead: true}, func(msg *message.Message) error {
		c, err := CommandOf(msg)
		if err != nil || c.Deliveries != 1 {
			t.Errorf("delivery %d of %v, %v", c.Deliveries, c, err)
		}
		if _, again := runs.LoadOrStore(msg.UUID, true); again {
			t.Errorf("%s was handled twice", msg.UUID)
		}
		if number(msg, MetaSequence) == 0 {
			ahead.Add(1)
		}
		return nil
	})
	const many = 400
	sendMany(t, b, many)
	handled := func() (n int) { runs.Range(func(any, any) bool { n++; return true }); return n }
	eventually(t, "all to be handled", func() bool { return handled() == many })
	waitDone(t, b)
	if n := ahead.Load(); n == 0 || n == many {
		t.Errorf("%d of %d began ahead, with 8 places", n, many)
	}
	if n := b.leadsOf("RemoveSource", 0).waiting(); n != 0 {
		t.Errorf("%d are remembered for ever", n)
	}
}

// What fails ahead is handled as if it had not begun: counted from its first
// delivery, given up and buried once.
func TestWhatFailsAheadIsDelivered(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	var tries, exhausted atomic.Int64
	runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 2, Ahead: true, MaxDeliver: 3,
		Backoff: func(int) time.Duration { return time.Millisecond },
		OnExhausted: func(_ context.Context, _ *message.Message, cause error) error {
			exhausted.Add(1)
			return nil
		},
	}, func(*message.Message) error {
		tries.Add(1)
		return errors.New("no")
	})
	send(t, b, &command.RemoveSource{})
	waitDone(t, b)
	if tries.Load() != 1+3 || exhausted.Load() != 1 || len(deadLetters(t, b)) != 1 {
		t.Errorf("%d tries, given up %d times, %d dead letters", tries.Load(), exhausted.Load(), len(deadLetters(t, b)))
	}
}

// A repeat is not stored and so not delivered; nothing must wait for that.
func TestRepeatsAheadLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	var handled atomic.Int64
	router := runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 2, Ahead: true}, func(*message.Message) error { handled.Add(1); return nil })
	c := testCommand(testAddress, &command.RemoveSource{})
	for range 3 {
		if err := b.Send(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		waitDone(t, b)
	}
	l := b.leadsOf("RemoveSource", 0)
	eventually(t, "nothing is remembered", func() bool { return l.waiting() == 0 })
	if err := router.Close(); err != nil {
		t.Fatal(err)
	}
	before := handled.Load()
	if err := b.Send(t.Context(), testCommand(testAddress, &command.RemoveSource{})); err != nil {
		t.Fatal(err)
	}
	if n := l.waiting(); n != 0 || handled.Load() != before {
		t.Errorf("a subscription that is closed began to handle a command")
	}
}

// Close gives a handler that began ahead its time, and its command to another
// worker if that did not suffice.
func TestCloseWhileAHandlerIsAhead(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	begun := make(chan struct{}, 2)
	stuck := runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 1, Ahead: true, AckWait: time.Second, Drain: 50 * time.Millisecond}, func(msg *message.Message) error {
		begun <- struct{}{}
		<-msg.Context().Done()
		return msg.Context().Err()
	})
	send(t, b, &command.RemoveSource{})
	<-begun
	if err := stuck.Close(); err != nil {
		t.Fatal(err)
	}
	var handled atomic.Int64
	runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 1, AckWait: time.Second}, func(*message.Message) error { handled.Add(1); return nil })
	eventually(t, "another worker to have it", func() bool { return handled.Load() == 1 })
	waitDone(t, b)
}

// A command that is sent again while its handler is at work does not get a second
// one, and neither does its delivery.
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
	for range 2 { // also where two subscriptions take the command
		runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 4, Ahead: true}, handle)
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
		t.Errorf("%d handlers ran, %d at once", runs.Load(), most.Load())
	}
	sendMany(t, b, 100)
	waitDone(t, b)
	if n := b.leadsOf("RemoveSource", 0).waiting(); n != 0 || runs.Load() != 101 {
		t.Errorf("%d are remembered for ever; %d handlers ran for 101 commands", n, runs.Load())
	}
}

// What waited in the stream before there were workers is handled beside what is
// sent now.
func TestLeadsBesideABacklog(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	sendMany(t, b, 50)
	var handled atomic.Int64
	runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 4, Ahead: true}, func(*message.Message) error { handled.Add(1); return nil })
	sendMany(t, b, 50)
	waitDone(t, b)
	if handled.Load() != 100 {
		t.Errorf("%d of 100 were handled", handled.Load())
	}
}

// What is not stored is not begun either, as far as that is known before.
func TestWhatIsNotStoredIsNotBegun(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	var handled atomic.Int64
	router := runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 4, Ahead: true}, func(*message.Message) error { handled.Add(1); return nil })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Send(ended, testCommand(testAddress, &command.RemoveSource{})); err == nil {
		t.Error("a command was sent for a request that has ended")
	}
	if g := b.groups[StreamCommands]; g != nil {
		g.mu.Lock()
		g.fail(errors.New("no space left"))
		g.mu.Unlock()
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
