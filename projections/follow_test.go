package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/bus/bustest/leaks"
	"headwater/bus/event"
	"headwater/projections/projectionstest"
)

type memoryLog = projectionstest.Log

func newLog(events ...*event.Event) *memoryLog { return projectionstest.NewLog(events...) }

// follow runs Follow until the store has applied the log, and ends it.
func follow(t *testing.T, s *Store, log *memoryLog) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
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
func life(n int) *history { return &history{events: projectionstest.Life(n)} }

func TestFollow(t *testing.T) {
	defer leaks.None(t)
	h := life(300)
	whole := openMem(t)
	apply(t, whole, h.events...)
	want := hashOf(t, whole)

	fs := vfs.NewMem()
	log := newLog(h.events[:400]...)
	s := openOn(t, fs)
	follow(t, s, log)
	log.Add(h.events[400:]...)
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
		"a log that lost its end":        {func(l *memoryLog) { l.Events = l.Events[:100] }, ErrAhead},
		"a log that was made anew":       {func(l *memoryLog) { l.Created = epoch.Add(time.Hour) }, ErrOtherLog},
		"a log that was made anew, long": {func(l *memoryLog) { l.Created = epoch.Add(time.Hour); l.Events = life(900).events }, ErrOtherLog},
		"a log without its beginning":    {func(l *memoryLog) { l.Events = life(900).events; l.First = uint64(len(h.events)) + 2 }, ErrTruncated},
	} {
		log := newLog(h.events...)
		bad.change(log)
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute) // which a Follow that goes on ends by
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
	gone.First = 2
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
	log.Refuse = func(sequence uint64) error {
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
