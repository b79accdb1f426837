package webhooks

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/bus"
	"headwater/bus/seal"
)

// failing is a bucket that loses the writes of states, as a process does that
// is killed before them.
type failing struct {
	seal.Store
	broken *atomic.Bool
}

func (f failing) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if f.broken.Load() && strings.HasPrefix(key, "state.") {
		return 0, bus.ErrUnavailable
	}
	return f.Store.Update(ctx, key, value, revision)
}

// TestRestarts holds that a deliverer that ends at any moment, with its
// position written or not, skips nothing and keeps the order.
func TestRestarts(t *testing.T) {
	var broken atomic.Bool
	h := newHouse(t, func(d *Deps) { d.Bucket = failing{d.Bucket, &broken} })
	r := newReceiver(t)
	var n atomic.Int64
	r.answers(func(w http.ResponseWriter, _ *http.Request, _ got) bool {
		time.Sleep(time.Millisecond)
		if n.Add(1)%7 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
			return false
		}
		return true
	})
	hook := h.hook(r.URL)
	sources := []string{"src_a", "src_b", "src_c"}
	for round := range 6 {
		broken.Store(round%2 == 1)
		stop := h.deliver()
		for _, source := range sources {
			h.happen(h.address(source), 8)
		}
		h.eventually("some events", func() bool { return len(r.of("")) > round*24 })
		stop()
	}
	broken.Store(false)
	h.deliver()
	h.eventually("all", func() bool { return len(r.of("")) == 6*24 })
	for _, source := range sources {
		r.inOrder(source, 6*8)
	}
	h.eventually("the position", func() bool { s, pending := h.state(hook); return pending == 0 && s.Floor == 6*24 })
	if r.all() == 6*24 {
		t.Error("no position was lost: the test shows nothing")
	}
}

// TestOneDelivers holds that of several processes one delivers, and another
// takes over when it ends or stands still.
func TestOneDelivers(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Options.Lease = time.Second })
	r := newReceiver(t)
	h.hook(r.URL)
	first := h.deliver()
	h.happen(h.address("src_a"), 1)
	h.eventually("the first", func() bool { return r.all() == 1 })
	h.deliver()
	h.happen(h.address("src_a"), 9)
	h.eventually("ten", func() bool { return len(r.of("")) == 10 })
	first() // frees the lease
	h.happen(h.address("src_a"), 10)
	h.eventually("twenty", func() bool { return len(r.of("")) == 20 })
	r.inOrder("src_a", 20)
	if r.all() != 20 {
		t.Errorf("%d events, 20 happened: two deliver", r.all())
	}
	h.stop()

	// A holder that does not renew any more, and thinks that it still delivers.
	dead := &lease{bucket: h.deps.Bucket, holder: "dead", time: time.Second}
	if err := dead.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	h.deliver()
	h.happen(h.address("src_a"), 1)
	h.eventually("a takeover", func() bool { return len(r.of("")) == 21 })
	if waited := time.Since(begun); waited < time.Second {
		t.Errorf("taken over after %s, within the lease", waited)
	}
	if err := dead.keep(t.Context()); err == nil {
		t.Error("the one that stood still does not know that it lost the lease")
	}
}

// TestPlacesThatAreRefused holds the egress policy at creation and at every
// connect.
func TestPlacesThatAreRefused(t *testing.T) {
	h := newHouse(t)
	for url, kind := range map[string]error{
		"ftp://example.com/x":                       ErrURL,
		"example.com":                               ErrURL,
		"/only/a/path":                              ErrURL,
		"https://":                                  ErrURL,
		"https://ada:s3cret@example.com":            ErrURL,
		"https://example.com/#x":                    ErrURL,
		"https://example.com:0/":                    ErrURL,
		"https://example.com:99999/":                ErrURL,
		"http://exa mple.com/":                      ErrURL,
		"mailto:ada@example.com":                    ErrURL,
		"https://h/" + strings.Repeat("x", maxURL):  ErrURL,
		"http://169.254.169.254/latest/meta-data":   ErrUnreachable,
		"http://[fe80::1]/":                         ErrUnreachable,
		"http://[::ffff:169.254.169.254]/":          ErrUnreachable,
		"http://0.0.0.0/":                           ErrUnreachable,
		"http://there-is-no-such-host.invalid/hook": ErrUnreachable,
	} {
		err := h.registry.CheckURL(t.Context(), url)
		if !errors.Is(err, kind) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %v", url, err, kind)
		}
	}
	if err := h.registry.CheckURL(t.Context(), "http://localhost:1/hook"); err != nil {
		t.Errorf("localhost where it is allowed: %v", err)
	}

	// What was allowed at creation is not any more.
	var allowed atomic.Bool
	allowed.Store(true)
	r := newReceiver(t)
	dial := h.deps.Dial
	h.deps.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if allowed.Load() {
			return dial(ctx, network, address)
		}
		return dial(ctx, network, "169.254.169.254:80")
	}
	h.deps.Allows = func(netip.Addr) bool { return true }
	hook := h.hook(r.URL)
	allowed.Store(false)
	h.deliver()
	h.happen(h.address("src_a"), 1)
	h.eventually("a refusal", func() bool { s, _ := h.state(hook); return s.Failures > 1 })
	if s, _ := h.state(hook); !strings.Contains(s.LastReason, "egress policy") || s.LastStatus != 0 || r.asked() != 0 {
		t.Errorf("%+v after %d requests", s, r.asked())
	}
	allowed.Store(true)
	h.eventually("the event", func() bool { return r.all() == 1 })
}

// TestTooMany holds the limit of a scope.
func TestTooMany(t *testing.T) {
	h := newHouse(t)
	for range MaxPerScope {
		h.hook("http://127.0.0.1:1/")
	}
	one := Webhook{ID: "whk_more", Organization: "acme", Workspace: "w1", Owner: "ada", URL: "http://127.0.0.1:1/"}
	if err := h.registry.Create(t.Context(), one, testKey); !errors.Is(err, ErrTooMany) {
		t.Errorf("one more: %v", err)
	}
	one.Owner = ""
	if err := h.registry.Create(t.Context(), one, testKey); err != nil {
		t.Errorf("the other scope: %v", err)
	}
	if all, err := h.registry.List(t.Context(), "acme", "w1", "ada"); err != nil || len(all) != MaxPerScope {
		t.Errorf("%d listed, %v", len(all), err)
	}
}
