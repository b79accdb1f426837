package proof

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/bus/event"
	"headwater/projections"
	"headwater/projections/projectionstest"
)

func openMem(t testing.TB) *projections.Store {
	t.Helper()
	return openOn(t, vfs.NewMem())
}

func openOn(t testing.TB, fs vfs.FS) *projections.Store {
	t.Helper()
	s, err := projections.Open(projections.Options{Dir: "store", FS: fs, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// edit closes a store, changes what is in it, and opens it again.
func edit(t testing.TB, s *projections.Store, fs vfs.FS, change func(*pebble.DB) error) *projections.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := pebble.Open(s.Dir(), &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(change(db), db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	return openOn(t, fs)
}

func apply(t testing.TB, s *projections.Store, events ...*event.Event) {
	t.Helper()
	if err := s.Apply(events...); err != nil {
		t.Fatal(err)
	}
}

func hashOf(t testing.TB, s *projections.Store) string {
	t.Helper()
	h, err := s.Hash(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// follow runs Follow until the store has applied the log, and ends it.
func follow(t *testing.T, s *projections.Store, log *projectionstest.Log) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	result := make(chan error, 1)
	go func() { result <- s.Follow(ctx, log) }()
	_, last, _, _ := log.State(ctx)
	if err := s.Wait(ctx, last); err != nil {
		t.Fatalf("at %d, not %d: %v", s.Position(), last, err)
	}
	stop()
	if err := <-result; err != nil {
		t.Fatalf("Follow: %v", err)
	}
}
