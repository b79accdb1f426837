package projections

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"headwater/bus/bustest/leaks"
	"headwater/bus/event"
)

// TestNobodySleepsOn has thousands wait for every kind of thing while events
// are applied, and all of them wake.
func TestNobodySleepsOn(t *testing.T) {
	defer leaks.None(t)
	h := life(400)
	s := openMem(t)
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	var all sync.WaitGroup
	for i := range 3000 {
		all.Go(func() {
			switch i % 3 {
			case 0:
				sequence := uint64(1 + rand.IntN(len(h.events)))
				if err := s.Wait(ctx, sequence); err != nil || s.Position() < sequence {
					t.Errorf("Wait(%d) at %d: %v", sequence, s.Position(), err)
				}
			case 1:
				o, err := s.WaitOperation(ctx, "acme", "w1", fmt.Sprint("op_s", rand.IntN(400)))
				if err != nil || o.Status != StatusCompleted || len(o.Targets) != 1 {
					t.Errorf("%+v, %v", o, err)
				}
			case 2:
				a := at("ann", fmt.Sprint("src_", rand.IntN(5)))
				watch, forget := context.WithCancel(ctx)
				defer forget()
				for changes := s.WatchSource(watch, a); ; {
					src, err := s.Source(a)
					if err != nil && !errors.Is(err, ErrNotFound) {
						t.Error(err)
						return
					}
					if src.LastSync != nil && src.LastSync.Status == StatusCompleted && src.Records >= 720 {
						return
					}
					select {
					case <-changes:
					case <-ctx.Done():
						t.Errorf("watch of %s at %d records", a.Source, src.Records)
						return
					}
				}
			}
		})
	}
	for from := 0; from < len(h.events); {
		to := min(len(h.events), from+1+rand.IntN(8))
		apply(t, s, h.events[from:to]...)
		from = to
	}
	all.Wait()
	stop()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		sequences, operations, sources := s.waiting.Waiting()
		if sequences+operations+sources == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d waits, %d operations, %d sources are still registered", sequences, operations, sources)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWaitsEnd(t *testing.T) {
	var h history
	h.connect(ann, "op_1", "a")
	h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
	s := openMem(t)
	apply(t, s, h.events...)
	short, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Wait(short, 4); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := s.Wait(short, 3); err != nil {
		t.Error(err)
	}
	if o, err := s.WaitOperation(short, "acme", "w1", "op_2"); !errors.Is(err, context.Canceled) || o.Status != StatusRunning {
		t.Error(o.Status, err)
	}
	if o, err := s.WaitOperation(short, "acme", "w1", "op_x"); !errors.Is(err, context.Canceled) || o.ID != "" {
		t.Error(o, err)
	}
	if o, err := s.WaitOperation(short, "acme", "w1", "op_1"); err != nil || o.Status != StatusCompleted {
		t.Error(o.Status, err)
	}
	errs := make(chan error, 2)
	go func() { errs <- s.Wait(t.Context(), 4) }()
	go func() { _, err := s.WaitOperation(t.Context(), "acme", "w1", "op_2"); errs <- err }()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
	_, errSource := s.Source(ann)
	_, errList := s.List(ListQuery{})
	_, errHash := s.Hash(t.Context())
	for _, err := range []error{errSource, errList, errHash, s.Apply(&event.Event{Sequence: 9})} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}
