package projections

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"headwater/bus/event"
)

// memoryLog is a Log in memory that can grow while it is followed.
type memoryLog struct {
	mu      sync.Mutex
	grown   chan struct{} // closed when events are added
	events  []*event.Event
	first   uint64
	created time.Time
	decode  func(sequence uint64) error
}

func newLog(events ...*event.Event) *memoryLog {
	return &memoryLog{events: events, first: 1, created: epoch, grown: make(chan struct{})}
}

func (l *memoryLog) add(events ...*event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, events...)
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *memoryLog) State(context.Context) (first, last uint64, created time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first, uint64(len(l.events)), l.created, nil
}

func (l *memoryLog) Decode(msg *message.Message) (uint64, *event.Event, error) {
	sequence, err := strconv.ParseUint(msg.Metadata.Get("sequence"), 10, 64)
	if err != nil {
		return 0, nil, err
	}
	if l.decode != nil {
		if err := l.decode(sequence); err != nil {
			return sequence, nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := *l.events[sequence-1]
	return sequence, &e, nil
}

func (l *memoryLog) Ordered(after uint64) message.Subscriber {
	return &memorySubscriber{log: l, next: after + 1, done: make(chan struct{})}
}

type memorySubscriber struct {
	log  *memoryLog
	next uint64
	done chan struct{}
	wg   sync.WaitGroup
}

func (m *memorySubscriber) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	m.wg.Go(func() {
		defer close(out)
		for ; ; m.next++ {
			for {
				m.log.mu.Lock()
				ready, grown := m.next <= uint64(len(m.log.events)), m.log.grown
				m.log.mu.Unlock()
				if ready {
					break
				}
				select {
				case <-grown:
				case <-m.done:
					return
				case <-ctx.Done():
					return
				}
			}
			msg := message.NewMessage(fmt.Sprint(m.next), nil)
			msg.Metadata.Set("sequence", fmt.Sprint(m.next))
			select {
			case out <- msg:
			case <-m.done:
				return
			case <-ctx.Done():
				return
			}
		}
	})
	return out, nil
}

func (m *memorySubscriber) Close() error {
	close(m.done)
	m.wg.Wait()
	return nil
}

// follow runs Follow until the store has applied the log, and ends it.
func follow(t *testing.T, s *Store, log *memoryLog) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	result := make(chan error, 1)
	go func() { result <- s.Follow(ctx, log) }()
	_, last, _, _ := log.State(ctx)
	// A store that is to be emptied is ahead at first.
	for s.Position() != last {
		select {
		case err := <-result:
			t.Fatalf("Follow ended at %d: %v", s.Position(), err)
		case <-ctx.Done():
			t.Fatalf("at %d, not %d", s.Position(), last)
		case <-time.After(time.Millisecond):
		}
	}
	select {
	case <-s.Ready():
	case <-ctx.Done():
		t.Fatal("not ready")
	}
	stop()
	if err := <-result; err != nil {
		t.Fatalf("Follow: %v", err)
	}
}

// life is a history of n syncs of a few sources.
func life(n int) *history {
	var h history
	for i := range 5 {
		h.connect(at("ann", fmt.Sprint("src_", i)), fmt.Sprint("op_c", i), fmt.Sprint("n", i))
	}
	for i := range n {
		a, op, id := at("ann", fmt.Sprint("src_", i%5)), fmt.Sprint("op_s", i), fmt.Sprint("syn_", i)
		h.add(started(a, going(op, "sync", 1, 0), id, 1))
		h.add(progressed(a, going(op, "sync", 1, 0), id, holding(int64(9*(i/5)+5), table("running", "incremental", 5))))
		h.add(completed(a, final(op, "sync", 1, 0), id, "completed", holding(int64(9*(i/5)+9), table("completed", "incremental", 9))))
	}
	return &h
}

func TestFollow(t *testing.T) {
	defer goleak.VerifyNone(t)
	h := life(300)
	whole := openMem(t)
	apply(t, whole, h.events...)
	want := hashOf(t, whole)

	fs := vfs.NewMem()
	log := newLog(h.events[:400]...)
	s := openOn(t, fs)
	follow(t, s, log)
	log.add(h.events[400:]...)
	follow(t, s, log)
	if got := hashOf(t, s); got != want {
		t.Error("following in parts is not applying at once")
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}

	s = openOn(t, fs) // restart
	if s.Position() != uint64(len(h.events)) || hashOf(t, s) != want {
		t.Errorf("after a restart at %d", s.Position())
	}
	follow(t, s, log)
	if hashed, err := s.HashTables(t.Context()); err != nil || len(hashed) < 10 {
		t.Error(hashed, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := fs.RemoveAll("store"); err != nil {
		t.Fatal(err)
	}
	s = openOn(t, fs)
	follow(t, s, log)
	if got := hashOf(t, s); got != want {
		t.Error("a store rebuilt from history is another one")
	}

	// A stream that is younger than the store, or another one.
	short := newLog(h.events[:100]...)
	follow(t, s, short)
	if s.Position() != 100 {
		t.Errorf("a store ahead of its log is at %d", s.Position())
	}
	short.created = epoch.Add(time.Hour)
	short.events = h.events[:200]
	follow(t, s, short)
	short.created = epoch.Add(2 * time.Hour)
	short.events = life(40).events[3:103]
	for i := range short.events {
		copied := *short.events[i]
		copied.Sequence = uint64(i + 1)
		short.events[i] = &copied
	}
	fresh := openMem(t)
	apply(t, fresh, short.events...)
	follow(t, s, short)
	if hashOf(t, s) != hashOf(t, fresh) {
		t.Error("something of another log's history was kept")
	}

	gone := newLog(h.events...)
	gone.created, gone.first = short.created, 102
	if err := s.Follow(t.Context(), gone); !errors.Is(err, ErrTruncated) || s.Position() != 100 {
		t.Errorf("a truncated log: %v at %d", err, s.Position())
	}
	gone.created = epoch
	if err := s.Follow(t.Context(), gone); !errors.Is(err, ErrTruncated) || s.Position() != 100 {
		t.Errorf("another, truncated log: %v at %d", err, s.Position())
	}
	for _, s := range []*Store{s, whole, fresh} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFollowSkipsWhatItCannotRead(t *testing.T) {
	h := life(10)
	log := newLog(h.events...)
	log.decode = func(sequence uint64) error {
		switch sequence {
		case 3:
			return fmt.Errorf("%w: type", event.ErrUnknown)
		case 4:
			return errors.New("broken")
		}
		return nil
	}
	s := openMem(t)
	follow(t, s, log)
	if _, err := s.Source(at("ann", "src_1")); !errors.Is(err, ErrNotFound) {
		t.Errorf("source of skipped events: %v", err)
	}
	if _, err := s.Source(at("ann", "src_2")); err != nil {
		t.Errorf("source behind them: %v", err)
	}
}
