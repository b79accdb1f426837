package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

type accepted struct {
	Operation string `json:"operation_id"`
}

// operation reads an operation through its Location.
func (c caller) operation(r reply) (reply, string) {
	c.t.Helper()
	if r.Code != http.StatusAccepted || r.Header.Get("Location") == "" {
		c.t.Fatalf("want a 202 with its Location, got %d %v %s", r.Code, r.Header, r.Raw)
	}
	c.base = ""
	op := c.get(r.Header.Get("Location"))
	return op, into[struct{ Status string }](c.t, op).Status
}

func TestWaiting(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	c.connected("user", source("slow_one", "db"))

	r := c.post("/data/w1/sync", object{}, "Prefer", "respond-async")
	if r.Header.Get("Preference-Applied") != "respond-async" || into[accepted](t, r).Operation == "" {
		t.Errorf("respond-async: %v %s", r.Header, r.Raw)
	}
	op, status := c.operation(r)
	if op.Code != 200 || status != "running" || !strings.Contains(op.Raw, `"name":"slow_one"`) {
		t.Errorf("right after a 202: %d %s", op.Code, op.Raw)
	}
	// The second sync attaches to the first, which the projection knows.
	eventually(t, "the sync runs", func() bool { return strings.Contains(c.get("/data/w1/list").Raw, `"status":"syncing"`) })
	begun := time.Now()
	second := c.post("/data/w1/sync", object{}, "Prefer", `foo, wait="1"; bar=2`)
	if second.Header.Get("Preference-Applied") != "wait=1" || time.Since(begun) < time.Second {
		t.Errorf("wait=1: %v after %s", second.Header, time.Since(begun))
	}
	if op, status := c.operation(second); status != "running" || !strings.Contains(op.Raw, `"attached":true`) {
		t.Errorf("attached: %s", op.Raw)
	}
	if n := h.worker.count("SyncSource"); n != 1 {
		t.Errorf("%d syncs were begun", n)
	}
	// What a running sync would not do is not answered as if it had been done.
	if r := c.post("/data/w1/sync", object{"sync_options": object{"batch_size": 10}}); r.Code != 409 || !strings.Contains(r.Message, "slow_one is syncing (syn_") || !strings.Contains(r.Raw, `"already_syncing"`) {
		t.Errorf("options of its own: %d %s", r.Code, r.Raw)
	}
	third := make(chan reply, 1)
	go func() {
		r, _ := c.try(t.Context(), http.MethodPost, "/data/w1/sync", object{})
		third <- r
	}()
	eventually(t, "the third is accepted", func() bool { return strings.Count(c.get("/data/w1/syncs").Raw, "syn_") == 1 })
	h.worker.open()
	if r := <-third; r.Code != 200 || !strings.Contains(r.Raw, `"records_processed":42`) {
		t.Errorf("a sync that was attached: %d %s", r.Code, r.Raw)
	}
	for _, r := range []reply{r, second} {
		eventually(t, "the operation ends", func() bool { _, status := c.operation(r); return status == "completed" })
	}
	if r := c.post("/data/w1/operations/"+into[accepted](t, second).Operation+"/cancel", nil); r.Code != 200 || !strings.Contains(r.Raw, "completed") {
		t.Errorf("cancel of what has ended: %d %s", r.Code, r.Raw)
	}
}

func TestAttachByRejection(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	ids := c.connected("user", source("slow_one", "db"))
	first := c.post("/data/w1/sync", object{}, "Prefer", "respond-async")
	eventually(t, "the sync runs", func() bool { return strings.Contains(c.get("/data/w1/list").Raw, `"status":"syncing"`) })
	// A node whose projection is behind does not know, and is told by the worker.
	d := h.handler.Deps
	d.Reads = behind{h.view}
	late, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/data/w1/sync", strings.NewReader(`{"source_ids":["`+ids["slow_one"]+`"]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	w := newRecorder()
	done := make(chan struct{})
	go func() { defer close(done); late.ServeHTTP(w, req) }()
	eventually(t, "the worker refuses the second", func() bool { return h.worker.count("SyncSource") == 2 })
	h.worker.open()
	<-done
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"records_processed":42`) {
		t.Errorf("a sync that was attached late: %d %s", w.Code, w.Body)
	}
	eventually(t, "the first ends", func() bool { _, status := c.operation(first); return status == "completed" })
}

func TestCancel(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	c.connected("user", source("slow_one", "db"), source("slow_two", "db"))
	r := c.post("/data/w1/sync", object{}, "Prefer", "respond-async")
	eventually(t, "both syncs run", func() bool { return strings.Count(c.get("/data/w1/list").Raw, `"status":"syncing"`) == 2 })
	cancelled := c.post("/data/w1/operations/"+into[accepted](t, r).Operation+"/cancel", `{}`)
	if cancelled.Code != 200 || strings.Count(cancelled.Raw, `"status":"cancelled","sync_id"`) != 2 || !strings.Contains(cancelled.Message, "cancelled") {
		t.Errorf("cancel: %d %s", cancelled.Code, cancelled.Raw)
	}
}

func TestOutcomesOfSyncs(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	ids := c.connected("user", source("broken", "db"), source("gone", "db"), source("fine", "db"))
	r := c.post("/data/w1/sync", object{})
	if r.Code != 200 || r.Message != "Synced 1 of 3 data sources: 42 records" || strings.Count(r.Raw, `"status":"failed"`) != 2 {
		t.Errorf("one of three: %d %s", r.Code, r.Raw)
	}
	half := c.connected("user", source("partial", "db"))["partial"]
	if r := c.post("/data/w1/sync", object{"source_ids": []string{half}}); r.Code != 200 || r.Message != "Synced 1 data source: 42 records; of 1 data source some tables failed, see their messages in syncs" {
		t.Errorf("in part: %d %s", r.Code, r.Raw)
	}
	r = c.post("/data/w1/sync", object{"source_ids": []string{ids["gone"], ids["gone"], ids["broken"]}})
	if r.Code != 422 || r.fields() != "source_ids[0] source_ids[2]" || r.Error.Details[1].Reason != "bad_data" || r.Error.Details[1].Name != "broken" {
		t.Errorf("none of two: %d %s", r.Code, r.Raw)
	}
	r = c.post("/data/w1/sync", object{"source_ids": []string{ids["broken"]}})
	if r.Code != 422 || r.code() != "bad_data" || !strings.Contains(r.Message, "row 12") {
		t.Errorf("none of one: %d %s", r.Code, r.Raw)
	}
}

// TestClientLeaves holds that what was accepted goes on without its client.
func TestClientLeaves(t *testing.T) {
	// With so long a lease nobody takes the request up again meanwhile.
	h := newHouse(t, func(d *Deps) { d.Options.Lease = time.Hour })
	c := h.ada()
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = c.try(ctx, http.MethodPost, "/data/w1/connect", object{"sources": []object{source("x", "slow")}}, "Idempotency-Key", "k")
	}()
	eventually(t, "the worker has it", func() bool { return h.worker.count("ConnectSource") == 1 })
	leave()
	<-done
	h.worker.open()
	eventually(t, "it is connected", func() bool { return strings.Contains(c.get("/data/w1/list").Raw, `"name":"x"`) })
	eventually(t, "its answer is kept", func() bool {
		r := c.post("/data/w1/connect", object{"sources": []object{source("x", "slow")}}, "Idempotency-Key", "k")
		return r.Code == 200 && r.Header.Get("Idempotency-Replayed") == "true"
	})
	if n := h.worker.count("ConnectSource"); n != 1 {
		t.Errorf("%d connects", n)
	}
}

func TestDrainAnswersWhoWaits(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	waiting := make(chan reply, 1)
	go func() {
		r, _ := c.try(t.Context(), http.MethodPost, "/data/w1/connect", object{"sources": []object{source("x", "slow")}})
		waiting <- r
	}()
	eventually(t, "the worker has it", func() bool { return h.worker.count("ConnectSource") == 1 })
	begun := time.Now()
	h.handler.Drain()
	if r := <-waiting; r.Code != http.StatusAccepted || time.Since(begun) > testLimit {
		t.Errorf("while draining: %d after %s: %s", r.Code, time.Since(begun), r.Raw)
	}
	c.token = ""
	if r := c.get("/readyz"); r.Code != 503 {
		t.Errorf("ready while draining: %d", r.Code)
	}
}

func TestTooManyAtOnce(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Options.MaxInFlight = 1 })
	c := h.ada()
	waiting := make(chan reply, 1)
	go func() {
		r, _ := c.try(t.Context(), http.MethodPost, "/data/w1/connect", object{"sources": []object{source("x", "slow")}})
		waiting <- r
	}()
	eventually(t, "the worker has it", func() bool { return h.worker.count("ConnectSource") == 1 })
	if r := c.post("/data/w1/cleanup", object{}); r.Code != 429 || r.Header.Get("Retry-After") != "1" {
		t.Errorf("the second: %d %v", r.Code, r.Header)
	}
	if r := c.post("/data/w2/cleanup", object{}); r.Code != 200 {
		t.Errorf("another workspace: %d", r.Code)
	}
	h.worker.open()
	<-waiting
	if r := c.post("/data/w1/cleanup", object{}); r.Code != 200 {
		t.Errorf("afterwards: %d %s", r.Code, r.Raw)
	}
}

// TestServerTimeouts holds that a server's own limits do not end a wait.
func TestServerTimeouts(t *testing.T) {
	h := newHouse(t)
	server := httptest.NewUnstartedServer(h.handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 900*time.Millisecond, 900*time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	c := h.ada()
	elsewhere := *h
	elsewhere.server, c.house = server, &elsewhere
	if r := c.post("/data/w1/connect", object{"sources": []object{source("x", "slow")}}, "Prefer", "wait=2"); r.Code != http.StatusAccepted {
		t.Errorf("%d %s", r.Code, r.Raw)
	}
}
