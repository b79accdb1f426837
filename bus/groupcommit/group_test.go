package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/bustest/broker"
	"headwater/bus/bustest/leaks"
)

func TestMain(m *testing.M) { leaks.Verify(m) }

// scripted is a broker of which a test says how it answers.
type scripted struct {
	Group
	mu      sync.Mutex
	last    uint64
	singles int
	batches []int
	hold    chan struct{}           // batches wait for it
	answer  func([]*nats.Msg) error // of a batch
}

func newScripted() *scripted {
	s := &scripted{hold: make(chan struct{}), answer: func([]*nats.Msg) error { return nil }}
	s.Group = Group{
		log: slog.New(slog.DiscardHandler),
		append: func(context.Context, *nats.Msg) (*jetstream.PubAck, error) {
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
		chain:  func(string) string { return "" },
	}
	return s
}

// occupy keeps so many single messages on their way until the returned function
// is called.
func (s *scripted) occupy(t *testing.T, n int) (release func()) {
	t.Helper()
	plain, free := s.append, make(chan struct{})
	s.append = func(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) { <-free; return plain(ctx, m) }
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { _, _ = s.Store(context.Background(), nats.NewMsg("occupied")) })
	}
	broker.Eventually(t, "messages are on their way", func() bool { s.Group.mu.Lock(); defer s.Group.mu.Unlock(); return s.single == n })
	return func() { close(free); wg.Wait() }
}

func (s *scripted) waiting() int { s.Group.mu.Lock(); defer s.Group.mu.Unlock(); return len(s.queue) }

// storeMany stores that many at once and returns who got which sequence.
func (s *scripted) storeMany(n int) (acks []*jetstream.PubAck, errs []error, wait func()) {
	acks, errs = make([]*jetstream.PubAck, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { acks[i], errs[i] = s.Store(context.Background(), nats.NewMsg(fmt.Sprint(i))) })
	}
	return acks, errs, wg.Wait
}

func TestManyMessagesAreStoredTogether(t *testing.T) {
	t.Parallel()
	s := newScripted()
	release := s.occupy(t, batchFrom)
	acks, errs, wait := s.storeMany(40)
	broker.Eventually(t, "a batch is on its way, and the others wait", func() bool { return s.flight.Load() != nil && s.waiting() == 40-batchFrom })
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
	if len(s.batches) != 2 || s.batches[1] != 40-batchFrom || s.singles != batchFrom {
		t.Errorf("batches of %d, and %d alone", s.batches, s.singles)
	}
	if s.flight.Load() != nil || s.single != 0 {
		t.Error("something is still on its way")
	}
}

// The broker refuses a batch as a whole: what was wrong with one must not be an
// error of the others.
func TestARefusedBatchGoesOneByOne(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]jetstream.ErrorCode{"a message": errCodeRepeated, "another reason": 10174} {
		s := newScripted()
		s.answer = func(m []*nats.Msg) error {
			return fmt.Errorf("%w of %d: %w", errRefused, len(m), &jetstream.APIError{ErrorCode: refusal})
		}
		close(s.hold)
		release := s.occupy(t, batchFrom)
		_, errs, wait := s.storeMany(20)
		broker.Eventually(t, "batches were refused", func() bool { s.Group.mu.Lock(); defer s.Group.mu.Unlock(); return s.single > batchFrom })
		release()
		wait()
		if err := errors.Join(errs...); err != nil || s.singles != batchFrom+20 {
			t.Errorf("%s: %d of %d stored: %v", name, s.singles, batchFrom+20, err)
		}
		if paused := time.Now().Before(s.pause); paused != (refusal == 10174) {
			t.Errorf("%s: batches are paused: %v", name, paused)
		}
	}
}

func TestACallerThatLeavesTheGroup(t *testing.T) {
	t.Parallel()
	s := newScripted()
	release := s.occupy(t, batchFrom)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, batchFrom)
	for range batchFrom { // they fly
		go func() { _, err := s.Store(ctx, nats.NewMsg("flies")); left <- err }()
	}
	broker.Eventually(t, "a batch is on its way", func() bool { return s.flight.Load() != nil })
	go func() { _, err := s.Store(ctx, nats.NewMsg("waits")); left <- err }()
	broker.Eventually(t, "another waits", func() bool { return s.waiting() == 1 })
	cancel()
	for range batchFrom + 1 {
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Fatalf("left with %v", err)
		}
	}
	s.answer = func(m []*nats.Msg) error {
		return fmt.Errorf("%w: %w", errRefused, &jetstream.APIError{ErrorCode: errCodeRepeated})
	}
	close(s.hold)
	release()
	broker.Eventually(t, "the batch has ended", func() bool { return s.flight.Load() == nil })
	if s.Group.mu.Lock(); s.single != 0 || len(s.queue) != 0 {
		t.Errorf("%d are on their way for nobody, %d wait", s.single, len(s.queue))
	}
	s.Group.mu.Unlock()
}

// A broker that cannot write says nothing, hands out what it could not write,
// and takes a repeat of it for stored.
func TestABrokerThatCannotWrite(t *testing.T) {
	t.Parallel()
	s := newScripted()
	broken := errors.New("no space left")
	s.health = func() error { return broken }
	release := s.occupy(t, batchFrom)
	_, errs, wait := s.storeMany(batchFrom + 1)
	broker.Eventually(t, "a batch is on its way, and another waits", func() bool { return s.flight.Load() != nil && s.waiting() == 1 })
	wait() // the watch looks at its health
	for i, err := range errs {
		if err == nil {
			t.Errorf("message %d counts as stored", i)
		}
	}
	release()
	if _, err := s.Store(t.Context(), nats.NewMsg("later")); !errors.Is(err, broken) {
		t.Errorf("a later message: %v", err)
	}
	if err := s.Failure(); !errors.Is(err, broken) {
		t.Errorf("readiness is told %v", err)
	}
	if !s.Synced(t.Context(), s.last) {
		t.Error("what was stored before cannot be read")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if s.Synced(ctx, s.last+1) {
		t.Error("what was not written may be read")
	}
}

func TestReadersWaitForTheSync(t *testing.T) {
	t.Parallel()
	s := newScripted()
	release := s.occupy(t, batchFrom)
	_, _, wait := s.storeMany(batchFrom)
	broker.Eventually(t, "a batch is on its way", func() bool { return s.flight.Load() != nil })
	read := make(chan bool, 1)
	go func() { read <- s.Synced(t.Context(), 3) }()
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
	if !s.Synced(t.Context(), 99) {
		t.Error("what was stored alone cannot be read")
	}
}
