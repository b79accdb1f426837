package webhooks

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"headwater/bus"
	"headwater/bus/event"
)

// TestDelivers holds what is delivered, to whom, how, and what is told of it.
func TestDelivers(t *testing.T) {
	h := newHouse(t)
	r := newReceiver(t)
	h.happen(h.address("src_a"), 2)
	all := h.hook(r.URL)
	foreign := newReceiver(t)
	h.hook(foreign.URL, func(w *Webhook) { w.SourceID = "src_none" })
	narrow := newReceiver(t)
	h.hook(narrow.URL, func(w *Webhook) { w.SourceID, w.Types, w.After = "src_a", []string{"SourceRemoved", "SyncFailed"}, 1 })
	shared := newReceiver(t)
	h.hook(shared.URL, func(w *Webhook) { w.Owner = "" })
	h.deliver()
	for range 3 {
		h.happen(h.address("src_a"), 2)
		h.happen(h.address("src_b"), 2)
		h.happen(event.Address{Organization: "acme", Workspace: "w1", Source: "src_s"}, 1)
		h.happen(event.Address{Organization: "acme", Workspace: "w1", Owner: "bob", Source: "src_c"}, 1)
		h.happen(event.Address{Organization: "acme", Workspace: "w2", Owner: "ada", Source: "src_d"}, 1)
		h.happen(event.Address{Organization: "other", Workspace: "w1", Owner: "ada", Source: "src_e"}, 1)
		h.happen(event.Address{Organization: "acme", Workspace: "w1", Owner: "_", Source: "src_f"}, 1)
	}
	h.eventually("all events", func() bool { return r.all() >= 17 && shared.all() >= 3 && narrow.all() >= 7 })
	r.inOrder("src_a", 8)
	r.inOrder("src_b", 6)
	r.inOrder("src_s", 3)
	narrow.inOrder("src_a", 7)
	shared.inOrder("src_s", 3)
	h.eventually("the position", func() bool {
		s, pending := h.state(all)
		return pending == 0 && s.LastDelivered == s.Floor && len(s.Ahead) == 0 && s.Failures == 0 && s.LastStatus == 200 && s.LastAttemptAt != nil
	})
	if r.all() != 17 || shared.all() != 3 || narrow.all() != 7 || foreign.asked() != 0 {
		t.Errorf("%d, %d, %d and %d events", r.all(), shared.all(), narrow.all(), foreign.asked())
	}
}

// TestWhatCallersDidGoesToWhoNamesIt holds that events of no source, as of
// requests that were refused, are passed over unless a webhook names them.
func TestWhatCallersDidGoesToWhoNamesIt(t *testing.T) {
	h := newHouse(t)
	r, named := newReceiver(t), newReceiver(t)
	all := h.hook(r.URL)
	h.hook(named.URL, func(w *Webhook) { w.Types = []string{"RequestRefused"} })
	h.deliver()
	refused := h.address("refused")
	meta := event.At(refused, event.Operation{ID: "req", Kind: event.KindRequest, Targets: 1})
	if _, err := h.bus.Append(t.Context(), 0, &event.Event{ID: "refusal", Time: time.Now().UTC(), Data: &event.RequestRefused{Meta: meta, Status: 404}}); err != nil {
		t.Fatal(err)
	}
	h.happen(h.address("src_a"), 1)
	h.eventually("both events", func() bool { return r.all() == 1 && named.all() == 1 })
	r.inOrder("src_a", 1)
	h.eventually("the position", func() bool { s, pending := h.state(all); return pending == 0 && s.Floor == 2 && len(s.Ahead) == 0 })
}

// TestAFailingSourceWaitsAlone holds the order of a source whose event is
// refused, and that others go on meanwhile.
func TestAFailingSourceWaitsAlone(t *testing.T) {
	h := newHouse(t)
	r := newReceiver(t)
	r.answers(func(w http.ResponseWriter, _ *http.Request, g got) bool {
		if g.source == "src_a" {
			http.Error(w, "whsec_ in an answer is nobody's reason", http.StatusInternalServerError)
			return false
		}
		return true
	})
	hook := h.hook(r.URL)
	stop := h.deliver()
	h.happen(h.address("src_a"), 3)
	h.happen(h.address("src_b"), 20)
	h.eventually("the others", func() bool { return len(r.of("src_b")) == 20 })
	h.eventually("the state", func() bool {
		s, pending := h.state(hook)
		return pending == 3 && s.Floor == 0 && len(s.Ahead) == 20 && len(s.Waiting) == 1 && s.Waiting[0].Failures > 3
	})
	s, _ := h.state(hook)
	if w := s.Waiting[0]; w.SourceID != "src_a" || w.Sequence != 1 || w.Status != 500 || w.Reason != "the receiver answered 500" || w.NextAttemptAt == nil || s.NextAttemptAt == nil {
		t.Errorf("waiting %+v", w)
	}
	// Across a restart too.
	stop()
	before := r.all()
	h.deliver()
	h.happen(h.address("src_a"), 2)
	r.answers(nil)
	h.eventually("the one that failed", func() bool { return len(r.of("src_a")) == 5 })
	r.inOrder("src_a", 5)
	r.inOrder("src_b", 20)
	if r.all() != before+5 {
		t.Errorf("%d events more, want 5: what was taken came again", r.all()-before)
	}
	h.eventually("the position", func() bool { s, pending := h.state(hook); return pending == 0 && s.Floor == 25 && len(s.Waiting) == 0 })
}

// TestReceiversThatFail holds that nothing is lost to any of them, and what is
// told of each.
func TestReceiversThatFail(t *testing.T) {
	metadata := make(chan struct{}, 100)
	inside := newReceiver(t)
	inside.answers(func(http.ResponseWriter, *http.Request, got) bool { metadata <- struct{}{}; return true })
	for _, test := range []struct {
		name, reason string
		answer       func(w http.ResponseWriter, r *http.Request, g got) bool
	}{
		{"refuses", "the receiver answered 500", status(500)},
		{"is gone", "the receiver answered 410, it wants no more events: delete the webhook if that is meant", status(410)},
		{"hangs", "the receiver did not answer within 300ms", func(_ http.ResponseWriter, r *http.Request, _ got) bool { <-r.Context().Done(); return false }},
		{"drops the connection", "the connection broke before there was an answer", func(http.ResponseWriter, *http.Request, got) bool { panic(http.ErrAbortHandler) }},
		{"redirects", "the receiver answered 307: redirects are not followed, register the URL that it leads to", func(w http.ResponseWriter, r *http.Request, _ got) bool {
			http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
			return false
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t, func(d *Deps) {
				if test.name == "hangs" { // the others answer, however late
					d.Options.Timeout = 300 * time.Millisecond
				}
			})
			r := newReceiver(t)
			r.answers(test.answer)
			hook := h.hook(r.URL)
			h.deliver()
			for _, source := range []string{"src_a", "src_b", "src_c", "src_d", "src_e", "src_f"} {
				h.happen(h.address(source), 2)
			}
			h.eventually("failures", func() bool { s, _ := h.state(hook); return s.Failures > 8 })
			s, pending := h.state(hook)
			if s.LastReason != test.reason || pending != 12 || len(s.Waiting) == 0 || s.NextAttemptAt == nil {
				t.Errorf("%d pending, %+v", pending, s)
			}
			r.answers(nil)
			h.eventually("all", func() bool { return len(r.of("")) == 12 })
			h.eventually("the position", func() bool { s, pending := h.state(hook); return pending == 0 && s.Failures == 0 && s.LastReason == "" })
			for _, source := range []string{"src_a", "src_b", "src_c", "src_d", "src_e", "src_f"} {
				r.inOrder(source, 2)
			}
		})
	}
	if len(metadata) != 0 {
		t.Error("a redirect was followed")
	}
}

// TestRetryAfter holds that a receiver may ask for a pause.
func TestRetryAfter(t *testing.T) {
	h := newHouse(t)
	r := newReceiver(t)
	r.answers(func(w http.ResponseWriter, _ *http.Request, _ got) bool {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		return false
	})
	hook := h.hook(r.URL)
	h.deliver()
	h.happen(h.address("src_a"), 1)
	h.eventually("the pause", func() bool { s, _ := h.state(hook); return s.NextAttemptAt != nil })
	if s, _ := h.state(hook); time.Until(*s.NextAttemptAt) < 50*time.Minute || s.LastStatus != 429 {
		t.Errorf("%+v", s)
	}
	h.happen(h.address("src_b"), 1)
	if asked := r.asked(); asked != 1 {
		t.Errorf("%d requests within the pause", asked)
	}
}

// TestDeleteInTheMiddle holds that a deletion ends everything.
func TestDeleteInTheMiddle(t *testing.T) {
	h := newHouse(t)
	r := newReceiver(t)
	r.answers(status(503))
	hook := h.hook(r.URL)
	h.deliver()
	h.happen(h.address("src_a"), 5)
	h.happen(h.address("src_b"), 5)
	h.eventually("attempts", func() bool { return r.asked() > 3 })
	if s, err := h.bus.EventsState(t.Context()); err != nil || s.Readers != 1 {
		t.Errorf("%d readers, %v", s.Readers, err)
	}
	if err := h.registry.Delete(t.Context(), hook.Address()); err != nil {
		t.Fatal(err)
	}
	asked := r.asked()
	h.happen(h.address("src_a"), 5)
	h.eventually("its reader to go", func() bool {
		s, err := h.bus.EventsState(t.Context())
		return err == nil && s.Readers == 0
	})
	// One may have been on its way when the deletion was answered.
	if more := r.asked() - asked; more > maxUnderWay {
		t.Errorf("%d requests after the deletion", more)
	}
	if keys, err := h.deps.Bucket.Keys(t.Context(), ""); err != nil || len(keys) != 1 || keys[0] != leaseKey {
		t.Errorf("left: %v %v", keys, err)
	}
	if _, err := h.deps.Vault.Open(t.Context(), hook.Address(), hook.SecretRef); err == nil {
		t.Error("the secret is still readable")
	}
	if err := h.registry.Delete(t.Context(), hook.Address()); !errors.Is(err, ErrNotFound) {
		t.Errorf("again: %v", err)
	}
}

// TestDeleteWhileIdle holds that a webhook to which nothing happens leaves no
// reader behind either.
func TestDeleteWhileIdle(t *testing.T) {
	h := newHouse(t)
	hook := h.hook("http://127.0.0.1:1/")
	h.deliver()
	readers := func(n int) func() bool {
		return func() bool {
			s, err := h.bus.EventsState(t.Context())
			return err == nil && s.Readers == n
		}
	}
	h.eventually("its reader", readers(1))
	if err := h.registry.Delete(t.Context(), hook.Address()); err != nil {
		t.Fatal(err)
	}
	h.eventually("its reader to go", readers(0))
}

// TestRotate holds that both secrets sign for a while.
func TestRotate(t *testing.T) {
	h := newHouse(t)
	r := newReceiver(t)
	hook := h.hook(r.URL)
	h.deliver()
	next := []byte(strings.Repeat("n", 32))
	for range 2 { // a repeat changes nothing
		rotated, err := h.registry.Rotate(t.Context(), hook.Address(), next)
		if err != nil || rotated.PreviousRef != hook.SecretRef {
			t.Fatalf("%+v %v", rotated, err)
		}
	}
	r.mu.Lock()
	r.keys = [][]byte{testKey, next}
	r.mu.Unlock()
	h.happen(h.address("src_a"), 1)
	h.eventually("an event", func() bool { return r.all() == 1 })
	if a, err := h.registry.Test(t.Context(), hook.Address(), "test-1"); err != nil || !a.Taken() || a.Status != 200 {
		t.Errorf("test %+v %v", a, err)
	}
	if r.all() != 2 {
		t.Errorf("%d events", r.all())
	}
	// Sealed at rest, whatever one looks at.
	for _, name := range []string{bus.BucketWebhooks, bus.BucketSecrets} {
		bucket := h.bus.Bucket(name)
		keys, err := bucket.Keys(t.Context(), "")
		if err != nil || len(keys) < 2 {
			t.Fatalf("%s: %v %v", name, keys, err)
		}
		for _, key := range keys {
			entry, err := bucket.Get(t.Context(), key)
			if err != nil || bytes.Contains(entry.Value, next) || bytes.Contains(entry.Value, testKey) || strings.Contains(string(entry.Value), Secret(next)[10:]) {
				t.Errorf("%s of %s shows a secret, or %v", key, name, err)
			}
		}
	}
	third := []byte(strings.Repeat("m", 32))
	if _, err := h.registry.Rotate(t.Context(), hook.Address(), third); err != nil {
		t.Fatal(err)
	}
	if _, err := h.deps.Vault.Open(t.Context(), hook.Address(), hook.SecretRef); err == nil {
		t.Error("the secret before the last is still readable")
	}
}
