package projections_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"headwater/bus"
	"headwater/bus/bustest"
	"headwater/bus/bustest/leaks"
	"headwater/bus/event"
	"headwater/projections"
)

func TestMain(m *testing.M) {
	bustest.CheckEvents()
	leaks.Verify(m)
}

// TestRealLog follows an embedded broker on a real disk, across a restart, and
// again from nothing.
func TestRealLog(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{Dir: filepath.Join(t.TempDir(), "nats")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	wide := make([]event.Table, 3000) // more than the bus carries inline
	for i := range wide {
		wide[i] = event.Table{Name: fmt.Sprintf("table_%04d", i), Kind: "table", Columns: []event.Column{{Name: "id", Type: "int64"}, {Name: "note", Type: "string", Comment: "a comment of some length, so that it adds up"}}}
	}
	var last uint64
	publish := func(from, to int) {
		for i := from; i < to; i++ {
			a := event.Address{Organization: "acme", Workspace: "w1", Owner: "ann", Source: fmt.Sprintf("src_%d", i)}
			op := event.Operation{ID: fmt.Sprintf("op_%d", i), Kind: event.KindConnect, Targets: 1}
			end := op
			end.Final = true
			before := uint64(0)
			for n, d := range []event.Data{
				&event.SourceConnected{Meta: event.At(a, op), Name: fmt.Sprintf("n%d", i), Type: "file", Connector: "csv", ConfigVersion: 1},
				&event.SchemaDiscovered{Meta: event.At(a, end), Version: 1, Cause: "connect", Tables: wide[:map[bool]int{true: len(wide), false: 1}[i%10 == 1]]},
			} {
				e := &event.Event{ID: fmt.Sprintf("01900000-0000-7000-8000-%06d%06d", i, n), Time: time.Now().UTC(), Data: d}
				if before, err = b.Append(ctx, before, e); err != nil {
					t.Fatal(err)
				}
				last = before
			}
		}
	}
	dir := filepath.Join(t.TempDir(), "projection")
	fold := func() string {
		t.Helper()
		s, err := projections.Open(projections.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := projections.Open(projections.Options{Dir: dir}); !errors.Is(err, projections.ErrInUse) {
			t.Errorf("a second Open: %v", err)
		}
		following, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- s.Follow(following, b) }()
		if err := s.Wait(ctx, last); err != nil {
			t.Fatal(err)
		}
		o, err := s.WaitOperation(ctx, "acme", "w1", "op_1")
		if err != nil || o.Status != projections.StatusCompleted || o.Targets[0].Result.Tables != len(wide) {
			t.Errorf("%s, %v", o.JSON, err)
		}
		page, err := s.SchemaPage(projections.SchemaQuery{Address: event.Address{Organization: "acme", Workspace: "w1", Owner: "ann", Source: "src_1"}, Table: "table_2999"})
		if err != nil || page.Tables != 1 {
			t.Errorf("%+v, %v", page, err)
		}
		hash, err := s.Hash(ctx)
		stop()
		if err := errors.Join(err, <-ended, s.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		return hash
	}
	publish(0, 10)
	fold()
	publish(10, 20)
	live := fold()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if rebuilt := fold(); rebuilt != live {
		t.Errorf("rebuilt %s, live %s", rebuilt, live)
	}
}
