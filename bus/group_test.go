package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
)

// scripted is a broker of which a test says how it answers.
type scripted struct {
	group
	mu      sync.Mutex
	last    uint64
	singles int
	batches []int
	hold    chan struct{}           // batches wait for it
	answer  func([]*nats.Msg) error // of a batch
}

func newScripted() *scripted {
	s := &scripted{hold: make(chan struct{}), answer: func([]*nats.Msg) error { return nil }}
	s.group = group{
		log: slog.New(slog.DiscardHandler),
		alone: func(context.Context, *nats.Msg) (*jetstream.PubAck, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.singles++
			s.last++
			return &jetstream.PubAck{Sequence: s.last}, nil
		},
		batch: func(ctx context.Context, messages []*nats.Msg) (uint64, error) {
			select {
			case <-s.hold:
			case <-ctx.Done():
				return 0, ctx.Err()
			}
			if err := s.answer(messages); err != nil {
				return 0, err
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.batches = append(s.batches, len(messages))
			s.last += uint64(len(messages))
			return s.last, nil
		},
		health: func() error { return nil },
	}
	return s
}

// occupy keeps so many single messages on their way until the returned function
// is called.
func (s *scripted) occupy(t *testing.T, n int) (release func()) {
	t.Helper()
	alone, free := s.alone, make(chan struct{})
	s.alone = func(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) { <-free; return alone(ctx, m) }
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { _, _ = s.store(context.Background(), nats.NewMsg("occupied")) })
	}
	eventually(t, "messages are on their way", func() bool { s.group.mu.Lock(); defer s.group.mu.Unlock(); return s.apart == n })
	return func() { close(free); wg.Wait() }
}

func (s *scripted) waiting() int { s.group.mu.Lock(); defer s.group.mu.Unlock(); return len(s.queue) }

// storeMany stores that many at once and returns who got which sequence.
func (s *scripted) storeMany(n int) (acks []*jetstream.PubAck, errs []error, wait func()) {
	acks, errs = make([]*jetstream.PubAck, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { acks[i], errs[i] = s.store(context.Background(), nats.NewMsg(fmt.Sprint(i))) })
	}
	return acks, errs, wg.Wait
}

func TestManyMessagesAreStoredTogether(t *testing.T) {
	t.Parallel()
	s := newScripted()
	release := s.occupy(t, groupFrom)
	acks, errs, wait := s.storeMany(40)
	eventually(t, "a batch is on its way, and the others wait", func() bool { return s.flight.Load() != nil && s.waiting() == 40-groupFrom })
	release()
	close(s.hold)
	wait()
	seen := map[uint64]bool{}
	for i, ack := range acks {
		if errs[i] != nil || seen[ack.Sequence] {
			t.Fatalf("message %d: %v %v", i, ack, errs[i])
		}
		seen[ack.Sequence] = true
	}
	if len(s.batches) != 2 || s.batches[1] != 40-groupFrom || s.singles != groupFrom {
		t.Errorf("batches of %d, and %d alone", s.batches, s.singles)
	}
	if s.flight.Load() != nil || s.apart != 0 {
		t.Error("something is still on its way")
	}
}

// The broker refuses a batch as a whole: what was wrong with one must not be an
// error of the others.
func TestARefusedBatchGoesOneByOne(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]jetstream.ErrorCode{"a message": errRepeated, "another reason": 10174} {
		s := newScripted()
		s.answer = func(m []*nats.Msg) error {
			return fmt.Errorf("%w of %d: %w", errRefused, len(m), &jetstream.APIError{ErrorCode: refusal})
		}
		close(s.hold)
		release := s.occupy(t, groupFrom)
		_, errs, wait := s.storeMany(20)
		eventually(t, "batches were refused", func() bool { s.group.mu.Lock(); defer s.group.mu.Unlock(); return s.apart > groupFrom })
		release()
		wait()
		if err := errors.Join(errs...); err != nil || s.singles != groupFrom+20 {
			t.Errorf("%s: %d of %d stored: %v", name, s.singles, groupFrom+20, err)
		}
		if paused := time.Now().Before(s.pause); paused != (refusal == 10174) {
			t.Errorf("%s: batches are paused: %v", name, paused)
		}
	}
}

func TestACallerThatLeavesTheGroup(t *testing.T) {
	t.Parallel()
	s := newScripted()
	release := s.occupy(t, groupFrom)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, groupFrom)
	for range groupFrom { // they fly
		go func() { _, err := s.store(ctx, nats.NewMsg("flies")); left <- err }()
	}
	eventually(t, "a batch is on its way", func() bool { return s.flight.Load() != nil })
	go func() { _, err := s.store(ctx, nats.NewMsg("waits")); left <- err }()
	eventually(t, "another waits", func() bool { return s.waiting() == 1 })
	cancel()
	for range groupFrom + 1 {
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Fatalf("left with %v", err)
		}
	}
	s.answer = func(m []*nats.Msg) error {
		return fmt.Errorf("%w: %w", errRefused, &jetstream.APIError{ErrorCode: errRepeated})
	}
	close(s.hold)
	release()
	eventually(t, "the batch has ended", func() bool { return s.flight.Load() == nil })
	if s.group.mu.Lock(); s.apart != 0 || len(s.queue) != 0 {
		t.Errorf("%d are on their way for nobody, %d wait", s.apart, len(s.queue))
	}
	s.group.mu.Unlock()
}

// A broker that cannot write says nothing, hands out what it could not write,
// and takes a repeat of it for stored.
func TestABrokerThatCannotWrite(t *testing.T) {
	t.Parallel()
	s := newScripted()
	broken := errors.New("no space left")
	s.health = func() error { return broken }
	release := s.occupy(t, groupFrom)
	_, errs, wait := s.storeMany(groupFrom + 1)
	eventually(t, "a batch is on its way, and another waits", func() bool { return s.flight.Load() != nil && s.waiting() == 1 })
	wait() // the watch looks at its health
	for i, err := range errs {
		if err == nil {
			t.Errorf("message %d counts as stored", i)
		}
	}
	release()
	if _, err := s.store(t.Context(), nats.NewMsg("later")); !errors.Is(err, broken) {
		t.Errorf("a later message: %v", err)
	}
	if err := s.failure(); !errors.Is(err, broken) {
		t.Errorf("readiness is told %v", err)
	}
	if !s.synced(t.Context(), s.last) {
		t.Error("what was stored before cannot be read")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if s.synced(ctx, s.last+1) {
		t.Error("what was not written may be read")
	}
}

func TestReadersWaitForTheSync(t *testing.T) {
	t.Parallel()
	s := newScripted()
	release := s.occupy(t, groupFrom)
	_, _, wait := s.storeMany(groupFrom)
	eventually(t, "a batch is on its way", func() bool { return s.flight.Load() != nil })
	read := make(chan bool, 1)
	go func() { read <- s.synced(t.Context(), 3) }()
	select {
	case <-read:
		t.Error("an event was read that is not on disk")
	case <-time.After(20 * time.Millisecond):
	}
	close(s.hold)
	if !<-read {
		t.Error("an event cannot be read")
	}
	release()
	wait()
	if !s.synced(t.Context(), 99) {
		t.Error("what was stored alone cannot be read")
	}
}

// Many writers at once, with repeats and histories that moved on among them,
// against the broker itself.
func TestManyAppendTogether(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	if b.groups == nil {
		t.Skip("there is no memory to stage batches in")
	}
	const writers, each = 48, 12
	var refused, repeated atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		a := event.Address{Organization: "acme", Workspace: "w", Owner: "ada", Source: fmt.Sprintf("src_%d", w)}
		wg.Go(func() {
			after := uint64(0)
			for n := range each {
				e := testEvent(a, &event.SyncFailed{Message: fmt.Sprint(n)})
				if n%4 == 3 {
					if _, err := b.Append(t.Context(), after+1_000_000, e); !errors.Is(err, ErrConflict) {
						t.Errorf("an event behind what is not there: %v", err)
					}
					refused.Add(1)
				}
				sequence, err := b.Append(t.Context(), after, e)
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				if n%5 == 4 {
					again, err := b.Append(t.Context(), after, e)
					if err != nil || again != sequence {
						t.Errorf("a repeat of %d: %d %v", sequence, again, err)
					}
					repeated.Add(1)
				}
				after = sequence
			}
		})
	}
	events := readEvents(t, b, 0, writers*each)
	wg.Wait()
	next, batched := map[string]int{}, 0
	for _, e := range events {
		if got := e.Data.(*event.SyncFailed).Message; got != fmt.Sprint(next[e.Address().Source]) {
			t.Fatalf("event %d of %s is its %s.", e.Sequence, e.Address().Source, got)
		}
		next[e.Address().Source]++
		raw, err := b.events.GetMsg(t.Context(), e.Sequence)
		if err != nil {
			t.Fatal(err)
		}
		if raw.Header.Get(headerBatch) != "" {
			batched++
		}
	}
	if batched == 0 || refused.Load() == 0 || repeated.Load() == 0 {
		t.Errorf("%d events came in batches, %d were refused, %d repeated", batched, refused.Load(), repeated.Load())
	}
	t.Logf("%d of %d events came in batches", batched, len(events))
}

// Of two writers behind the same end of a history one is refused, also when both
// wait for the same batch: the broker itself would store both.
func TestABatchKeepsTheFence(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	const sources = 300
	won := make([]atomic.Int64, sources)
	var wg sync.WaitGroup
	for s := range sources {
		a := testAddress
		a.Source = fmt.Sprintf("src_%d", s)
		for range 2 {
			wg.Go(func() {
				switch _, err := b.Append(t.Context(), 0, testEvent(a, &event.SyncFailed{})); {
				case err == nil:
					won[s].Add(1)
				case !errors.Is(err, ErrConflict):
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for s := range won {
		if n := won[s].Load(); n != 1 {
			t.Errorf("source %d has %d events behind 0", s, n)
		}
	}
}

// What came in a batch can be sent on, alone.
func TestWhatCameInABatchIsSentOn(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	msg := message.NewMessage(testID(), []byte("{}"))
	for _, key := range []string{headerBatch, headerBatchPlace, headerBatchCommit} {
		msg.Metadata.Set(key, "5")
	}
	if err := b.Publisher().Publish(SubjectDeadLetters+".sent.on", msg); err != nil {
		t.Error(err)
	}
}

func TestStagingIsOurs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := stagingOf(dir, StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	link := s.links[0]
	if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.begin(); err != nil {
		t.Skip("there is no memory to stage batches in:", err)
	}
	t.Cleanup(func() { _ = s.remove() })
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Readlink(link); err != nil {
		t.Errorf("our own link was removed: %v", err)
	}
	// A copy of the folder has the link of the original.
	copied := filepath.Join(t.TempDir(), "copy")
	c, err := stagingOf(copied, StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(c.links[0]), 0o700), os.Symlink(s.target(link), c.links[0]), c.check()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(c.links[0]); err == nil {
		t.Error("the copy follows the link of the original")
	}
	// After a restart of the machine the folder is gone, or another's.
	if err := errors.Join(os.RemoveAll(s.root), s.check()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(link); err == nil {
		t.Error("a link that leads to nothing is left for whoever makes it first")
	}
}
