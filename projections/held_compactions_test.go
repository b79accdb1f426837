package projections

import (
	"context"
	"errors"
	"testing"
	"time"

	"headwater/bus/event"
	"headwater/projections/projectionstest"
)

// TestCompactionsAreHeldBack: while they are, flushed tables pile up, and with
// the end of it they are compacted.
func TestCompactionsAreHeldBack(t *testing.T) {
	h := life(60)
	s := openMem(t)
	s.compactions.Hold(true)
	flushed := 0
	for from := 0; from+10 <= len(h.events); from += 10 {
		apply(t, s, h.events[from:from+10]...)
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		flushed++
	}
	m := s.db.Metrics()
	if m.Compact.DefaultCount != 0 || m.Levels[0].Sublevels != int32(flushed) || flushed < 12 {
		t.Errorf("%d compactions, %d sublevels after %d flushes", m.Compact.DefaultCount, m.Levels[0].Sublevels, flushed)
	}
	before := hashOf(t, s)
	s.compactions.Hold(false)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if m = s.db.Metrics(); m.Compact.DefaultCount > 0 && m.Compact.NumInProgress == 0 && m.Levels[0].Sublevels < 4 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d compactions, %d sublevels", m.Compact.DefaultCount, m.Levels[0].Sublevels)
		}
	}
	if hashOf(t, s) != before {
		t.Error("compacting changed what is stored")
	}
	s.compactions.Hold(true) // and closed so
}

// stuckLog is a log that does not go on after the first few events.
type stuckLog struct {
	*projectionstest.Log
	stuck chan struct{}
}

func (l *stuckLog) Replay(ctx context.Context, after, last uint64, each func(uint64, *event.Event, int, error) error) error {
	for at := after + 1; at <= after+5; at++ {
		if err := each(at, l.Events[at-1], 100, nil); err != nil {
			return err
		}
	}
	close(l.stuck)
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestCloseEndsAReplay, which holds what Apply and Close need, also when the log
// says nothing.
func TestCloseEndsAReplay(t *testing.T) {
	h := life(60)
	s := openMem(t)
	log := &stuckLog{Log: newLog(h.events...), stuck: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- s.replay(t.Context(), log, uint64(len(h.events)), 3) }()
	<-log.stuck
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	for name, got := range map[string]chan error{"replay": ended, "close": closed} {
		select {
		case err := <-got:
			if want := map[string]error{"replay": ErrClosed}[name]; !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s does not end", name)
		}
	}
	if s.Position() != 5 {
		t.Errorf("what was folded is at %d", s.Position())
	}
}
