package projections

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
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

	for name, bad := range map[string]struct {
		change func(*memoryLog)
		want   error
	}{
		"a log that lost its end":        {func(l *memoryLog) { l.events = l.events[:100] }, ErrAhead},
		"a log that was made anew":       {func(l *memoryLog) { l.created = epoch.Add(time.Hour) }, ErrOtherLog},
		"a log that was made anew, long": {func(l *memoryLog) { l.created = epoch.Add(time.Hour); l.events = life(900).events }, ErrOtherLog},
		"a log without its beginning":    {func(l *memoryLog) { l.events = life(900).events; l.first = uint64(len(h.events)) + 2 }, ErrTruncated},
	} {
		log := newLog(h.events...)
		bad.change(log)
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second) // which a Follow that goes on ends by
		err := s.Follow(ctx, log)
		stop()
		if !errors.Is(err, bad.want) || !strings.Contains(err.Error(), "restore") || s.Position() != uint64(len(h.events)) || hashOf(t, s) != want {
			t.Errorf("%s: %v at %d", name, err, s.Position())
		}
		if err := s.Agree(t.Context(), log); !errors.Is(err, bad.want) {
			t.Errorf("%s: Agree: %v", name, err)
		}
	}
	empty := openMem(t)
	gone := newLog(h.events...)
	gone.first = 2
	if err := empty.Follow(t.Context(), gone); !errors.Is(err, ErrTruncated) || empty.Position() != 0 {
		t.Errorf("an empty store, a log without its beginning: %v at %d", err, empty.Position())
	}
	for _, s := range []*Store{s, whole, empty} {
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
