package webhooks

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/bus"
	"headwater/bus/kv"
)

const (
	whole       = iota
	lost        // as by a process that is killed before the write
	unconfirmed // stored, and only the confirmation lost
)

// failing is a bucket that fails the writes of states.
type failing struct {
	kv.Store
	mode *atomic.Int32
}

func (f failing) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if mode := f.mode.Load(); mode != whole && strings.HasPrefix(key, "state.") {
		if mode == unconfirmed {
			_, err := f.Store.Update(ctx, key, value, revision)
			if err != nil {
				return 0, err
			}
		}
		return 0, bus.ErrUnavailable
	}
	return f.Store.Update(ctx, key, value, revision)
}

// TestRestarts holds that a deliverer that ends at any moment, with its
// position written or not, skips nothing and keeps the order.
func TestRestarts(t *testing.T) {
	var mode atomic.Int32
	h := newHouse(t, func(d *Deps) { d.Bucket = failing{d.Bucket, &mode} })
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
		mode.Store(int32(round % 3))
		stop := h.deliver()
		for _, source := range sources {
			h.happen(h.address(source), 8)
		}
		h.eventually("some events", func() bool { return len(r.of("")) > round*24 })
		stop()
	}
	mode.Store(whole)
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
	h := newHouse(t, func(d *Deps) { d.Options.Lease = 3 * time.Second }) // which a busy machine renews in time
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
	begun := time.Now()
	if err := dead.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.deps.Options.Lease = dead.time
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

// TestASecretThatIsLost holds that a webhook whose keys are gone says so, and
// that a rotation mends it.
func TestASecretThatIsLost(t *testing.T) {
	h := newHouse(t)
	r := newReceiver(t)
	hook := h.hook(r.URL)
	if err := h.registry.Vault.Destroy(t.Context(), hook.Address()); err != nil {
		t.Fatal(err)
	}
	h.deliver()
	h.happen(h.address("src_a"), 2)
	h.eventually("the reason", func() bool { s, _ := h.state(hook); return strings.Contains(s.LastReason, "rotate") })
	if _, err := h.registry.Rotate(t.Context(), hook.Address(), testKey); err != nil {
		t.Fatal(err)
	}
	h.eventually("the events", func() bool { return r.all() == 2 })
	r.inOrder("src_a", 2)
}

// TestAnotherLog holds that a position beyond the log is told.
func TestAnotherLog(t *testing.T) {
	h := newHouse(t)
	hook := h.hook("http://127.0.0.1:1/", func(w *Webhook) { w.After = 1000 })
	h.deliver()
	h.eventually("the reason", func() bool { s, _ := h.state(hook); return strings.Contains(s.LastReason, "1000") && s.Failures == 1 })
}

// TestALongSilence holds that a source whose event is refused lets as many of
// others pass as the window holds, and that a receiver that was down while more
// happened than that gets all of it.
func TestALongSilence(t *testing.T) {
	if testing.Short() {
		t.Skip("publishes thousands of events")
	}
	h := newHouse(t)
	r := newReceiver(t)
	r.answers(func(w http.ResponseWriter, _ *http.Request, g got) bool {
		if g.source == "src_0" {
			w.WriteHeader(http.StatusBadGateway)
		}
		return g.source != "src_0"
	})
	hook := h.hook(r.URL)
	stop := h.deliver()
	const sources, each = 8, 300
	for i := range sources {
		h.happen(h.address("src_"+strconv.Itoa(i)), each)
	}
	const passed = maxWindow - each
	h.eventually("the end of the window", func() bool {
		s, pending := h.state(hook)
		return pending == sources*each-passed && len(s.Ahead) == passed
	})
	asked := r.asked()
	h.eventually("more attempts", func() bool { return r.asked() > asked+3 })
	if r.all() != passed {
		t.Errorf("%d events passed the one that waits, the window holds %d", r.all(), passed)
	}
	r.answers(status(502))
	stop()
	asked = r.asked()
	h.deliver()
	h.eventually("another attempt", func() bool { return r.asked() > asked })
	r.answers(nil)
	h.eventually("all", func() bool { return len(r.of("")) == sources*each })
	for i := range sources {
		r.inOrder("src_"+strconv.Itoa(i), each)
	}
	if r.all() != sources*each {
		t.Errorf("%d events, want %d", r.all(), sources*each)
	}
	h.eventually("the position", func() bool { s, pending := h.state(hook); return pending == 0 && s.Floor == sources*each })
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
