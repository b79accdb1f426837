package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/api/jobs"
	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
)

func TestRepeats(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	body := object{"sources": []object{source("x", "db")}}
	first := c.post("/data/w1/connect", body, "Idempotency-Key", `"k-1"`)
	again := c.post("/data/w1/connect", body, "Idempotency-Key", "k-1")
	if seq := first.Header.Get("X-Headwater-Sequence"); seq == "" || again.Header.Get("X-Headwater-Sequence") != seq {
		t.Errorf("answered at sequence %q, repeated at %q", seq, again.Header.Get("X-Headwater-Sequence"))
	}
	if first.Code != 200 || again.Raw != first.Raw || again.Header.Get("Idempotency-Replayed") != "true" || first.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("first %s\nagain %d %s", first.Raw, again.Code, again.Raw)
	}
	tenant := c
	tenant.base = "/jarvispy/acme/ada/api/v1"
	if r := tenant.post("/data/w1/connect", body, "Idempotency-Key", "k-1"); r.Raw != first.Raw {
		t.Errorf("under the other path: %s", r.Raw)
	}
	if n := h.worker.count("ConnectSource"); n != 1 {
		t.Errorf("%d commands", n)
	}
	if r := c.post("/data/w1/connect", object{"sources": []object{source("y", "db")}}, "Idempotency-Key", "k-1"); r.Code != 422 || r.code() != "idempotency_mismatch" {
		t.Errorf("another body: %d %s", r.Code, r.Raw)
	}
	for name, r := range map[string]reply{
		"another user":      h.as("acme", "bob", auth.RoleEditor).post("/data/w1/connect", body, "Idempotency-Key", "k-1"),
		"another workspace": c.post("/data/w2/connect", body, "Idempotency-Key", "k-1"),
		"another call":      c.post("/data/w1/sync", object{}, "Idempotency-Key", "k-1"),
	} {
		if r.Code != 200 || r.Header.Get("Idempotency-Replayed") != "" {
			t.Errorf("%s: %d %s", name, r.Code, r.Raw)
		}
	}
	// A refusal is not kept: the same key may send what is right.
	if r := c.post("/data/w1/connect", `{"sources":[]}`, "Idempotency-Key", "k-2"); r.Code != 400 {
		t.Errorf("a refusal: %d", r.Code)
	}
	if r := c.post("/data/w1/connect", body, "Idempotency-Key", "k-2"); r.Code != 200 {
		t.Errorf("after a refusal: %d %s", r.Code, r.Raw)
	}
	// An outcome is, also one that failed.
	failed := c.post("/data/w1/connect", object{"sources": []object{source("u", "unreachable")}}, "Idempotency-Key", "k-3")
	if r := c.post("/data/w1/connect", object{"sources": []object{source("u", "unreachable")}}, "Idempotency-Key", "k-3"); failed.Code != 422 || r.Raw != failed.Raw || r.Code != 422 {
		t.Errorf("a failed outcome: %d %s, then %d %s", failed.Code, failed.Raw, r.Code, r.Raw)
	}
}

// TestNothingDoneIsKeptToo holds that a repeated cleanup of nothing does not
// remove what was connected since.
func TestNothingDoneIsKeptToo(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	first := c.post("/data/w1/cleanup", object{}, "Idempotency-Key", "k")
	c.connected("user", source("x", "db"))
	if r := c.post("/data/w1/cleanup", object{}, "Idempotency-Key", "k"); r.Raw != first.Raw {
		t.Errorf("repeated: %s", r.Raw)
	}
	if n := h.worker.count("RemoveSource"); n != 0 {
		t.Errorf("%d sources were removed", n)
	}
}

func TestRacingRepeats(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	var all sync.WaitGroup
	var done, inFlight atomic.Int32
	for range 12 {
		all.Go(func() {
			for {
				r, err := c.try(t.Context(), http.MethodPost, "/data/w1/connect", object{"sources": []object{source("x", "slow"), source("y", "db")}}, "Idempotency-Key", "k")
				switch {
				case err != nil:
					t.Error(err)
					return
				case r.Code == http.StatusOK:
					done.Add(1)
					return
				case r.Code == http.StatusConflict && r.code() == "idempotency_in_flight" && r.Header.Get("Retry-After") == "1":
					if inFlight.Add(1) == 11 {
						h.worker.open()
					}
					time.Sleep(20 * time.Millisecond)
				default:
					t.Errorf("%d %s", r.Code, r.Raw)
					return
				}
			}
		})
	}
	all.Wait()
	if n := h.worker.count("ConnectSource"); n != 2 || done.Load() != 12 {
		t.Errorf("%d commands, %d answers", n, done.Load())
	}
}

// TestCrashes takes a request up again whose node was lost at each step that
// writes, as a repeat with the same key does.
func TestCrashes(t *testing.T) {
	lost := errors.New("the node was lost")
	for name, crash := range map[string]func(d *Deps, first func() bool){
		"before the plan is stored": func(d *Deps, first func() bool) {
			d.Idempotency = answerBox{Bucket: d.Idempotency, create: failing(first, lost)}
		},
		"before the first command": func(d *Deps, first func() bool) {
			d.Commands = sender{d.Commands, func(context.Context, *command.Command) error { return failing(first, lost)() }}
			d.Events = writer{d.Events, func(*event.Event) error { return failing(first, lost)() }}
		},
		"before the answer is kept": func(d *Deps, first func() bool) {
			d.Idempotency = answerBox{Bucket: d.Idempotency, update: failing(first, lost)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var healthy atomic.Bool
			h := newHouse(t, func(d *Deps) {
				d.Options.Lease = 300 * time.Millisecond
				crash(d, func() bool { return !healthy.Load() })
			})
			c := h.ada()
			healthy.Store(true)
			ids := c.connected("user", source("one", "db"), source("two", "db"))
			for _, call := range []string{"sync", "cleanup"} {
				healthy.Store(false)
				if r := c.post("/data/w1/"+call, object{}, "Idempotency-Key", "k"); r.Code == 200 != strings.Contains(name, "answer") {
					t.Errorf("%s on a lost node: %d %s", call, r.Code, r.Raw)
				}
				healthy.Store(true)
				var r reply
				eventually(t, "the request is taken up again", func() bool {
					r = c.post("/data/w1/"+call, object{}, "Idempotency-Key", "k")
					return r.Code != http.StatusConflict
				})
				if r.Code != 200 || !strings.Contains(r.Raw, ids["one"]) || !strings.Contains(r.Raw, ids["two"]) {
					t.Errorf("%s again: %d %s", call, r.Code, r.Raw)
				}
			}
			// The effects, not the deliveries: no command was new.
			h.worker.mu.Lock()
			defer h.worker.mu.Unlock()
			if n := len(h.worker.ids); n != 6 {
				t.Errorf("%d different commands, want 2 connects, 2 syncs and 2 removals", n)
			}
		})
	}
}

func failing(first func() bool, err error) func() error {
	return func() error {
		if first() {
			return err
		}
		return nil
	}
}

// TestBusRefusesOne holds that a target whose command was not taken ends, and
// its neighbours with it.
func TestBusRefusesOne(t *testing.T) {
	h := newHouse(t, func(d *Deps) {
		d.Commands = sender{d.Commands, func(_ context.Context, c *command.Command) error {
			if s, ok := c.Data.(*command.ConnectSource); ok && s.Name == "unlucky" {
				return bus.ErrUnavailable
			}
			return nil
		}}
	})
	c := h.ada()
	r := c.post("/data/w1/connect", object{"sources": []object{source("unlucky", "db"), source("lucky", "db")}})
	if r.Code != 200 || !strings.Contains(r.Raw, "hand the command to a worker") {
		t.Errorf("one of two: %d %s", r.Code, r.Raw)
	}
}

// TestDoneThoughNotConfirmed holds that a target which a worker has ended is not
// ended again because the broker did not confirm its command.
func TestDoneThoughNotConfirmed(t *testing.T) {
	var inner jobs.Commands
	var reads Reads
	h := newHouse(t, func(d *Deps) {
		inner, reads = d.Commands, d.Reads
		d.Commands = sender{d.Commands, func(ctx context.Context, c *command.Command) error {
			if _, ok := c.Data.(*command.RemoveSource); !ok {
				return nil
			}
			if err := inner.Send(ctx, c); err != nil {
				return err
			}
			meta := c.Data.Header().Meta
			if _, err := reads.WaitOperation(ctx, meta.Organization, meta.WorkspaceID, meta.Operation.ID); err != nil {
				return err
			}
			return bus.ErrUnavailable
		}}
		d.Events = writer{d.Events, func(e *event.Event) error {
			if _, ok := e.Data.(*event.CommandRejected); ok {
				t.Errorf("a target that had ended was rejected: %v", e.Data)
			}
			return nil
		}}
	})
	c := h.ada()
	ids := c.connected("user", source("mine", "db"))
	if r := c.post("/data/w1/cleanup", object{"source_ids": []string{ids["mine"]}}); r.Code != 200 {
		t.Errorf("a removal that was carried out: %d %s", r.Code, r.Raw)
	}
}

func TestBusIsAway(t *testing.T) {
	h := newHouse(t, func(d *Deps) {
		d.Commands = sender{d.Commands, func(context.Context, *command.Command) error { return bus.ErrUnavailable }}
		d.Events = writer{d.Events, func(*event.Event) error { return bus.ErrUnavailable }}
	})
	r := h.ada().post("/data/w1/connect", object{"sources": []object{source("x", "db")}})
	if r.Code != 503 || r.code() != "unavailable" || r.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v %s", r.Code, r.Header, r.Raw)
	}
	if !strings.Contains(h.logs.String(), "the broker did not confirm") || strings.Contains(r.Raw, "broker") {
		t.Error("the cause belongs into the log and not into the answer")
	}
}
