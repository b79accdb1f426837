package webhooks

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/bus"
	"headwater/bus/bustest"
	"headwater/bus/bustest/leaks"
	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/connectors"
)

func TestMain(m *testing.M) {
	bustest.CheckEvents()
	leaks.Verify(m)
}

const testLimit = time.Minute

// house is a registry over a real bus and vault.
type house struct {
	t        *testing.T
	bus      *bus.Bus
	deps     Deps
	registry *Registry
	stop     func() // the deliverer
}

func newHouse(t *testing.T, change ...func(*Deps)) *house {
	t.Helper()
	h := &house{t: t, stop: func() {}}
	var err error
	if h.bus, err = bus.Open(t.Context(), bus.Config{Dir: t.TempDir(), Listen: "off"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testLimit)
		defer cancel()
		if err := h.bus.Close(ctx); err != nil {
			t.Errorf("close the bus: %v", err)
		}
	})
	vault, err := seal.New(bytes.Repeat([]byte{7}, seal.MasterKeySize), h.bus.Bucket(bus.BucketSecrets))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := connectors.ParsePolicy("auto", true)
	if err != nil {
		t.Fatal(err)
	}
	h.deps = Deps{
		Bucket: h.bus.Bucket(bus.BucketWebhooks), Vault: vault, Events: h.bus,
		Dial: connectors.Outbound(policy, time.Minute, nil), Allows: policy.Allows, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Options: Options{
			Timeout: testLimit, Backoff: 20 * time.Millisecond, Limit: 100 * time.Millisecond, Lease: 3 * time.Second,
			Poll: 20 * time.Millisecond, Save: 20 * time.Millisecond, Grace: time.Second,
		},
	}
	for _, c := range change {
		c(&h.deps)
	}
	h.registry = New(h.deps)
	t.Cleanup(func() {
		h.stop()
		_ = h.registry.Close()
	})
	return h
}

// deliver runs a deliverer of its own until the test ends or stop is called.
func (h *house) deliver() (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.t.Context()))
	registry, ended := New(h.deps), make(chan struct{})
	go func() {
		defer close(ended)
		registry.Deliver(ctx)
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			<-ended
			_ = registry.Close()
		})
	}
	before := h.stop
	h.stop = func() { stop(); before() }
	return stop
}

// hook creates a webhook of ada's.
func (h *house) hook(url string, change ...func(*Webhook)) Webhook {
	h.t.Helper()
	w := Webhook{ID: fmt.Sprintf("whk_%d", time.Now().UnixNano()), Organization: "acme", Workspace: "w1", Owner: "ada", URL: url, CreatedAt: time.Now()}
	for _, c := range change {
		c(&w)
	}
	if err := h.registry.Create(h.t.Context(), w, testKey); err != nil {
		h.t.Fatal(err)
	}
	w, err := h.registry.Get(h.t.Context(), w.Address())
	if err != nil {
		h.t.Fatal(err)
	}
	return w
}

var testKey = bytes.Repeat([]byte{3}, 32)

func (h *house) address(source string) event.Address {
	return event.Address{Organization: "acme", Workspace: "w1", Owner: "ada", Source: source}
}

// happen publishes n events of a source.
func (h *house) happen(a event.Address, n int) {
	h.t.Helper()
	for range n {
		after, err := h.bus.LastSequence(h.t.Context(), a)
		if err != nil {
			h.t.Fatal(err)
		}
		e := &event.Event{
			ID: fmt.Sprintf("%s-%d", a.Source, time.Now().UnixNano()), Time: time.Now().UTC(),
			Data: &event.SourceRemoved{Meta: event.At(a, event.Operation{ID: "op_1", Kind: event.KindCleanup, Targets: 1})},
		}
		if _, err := h.bus.Append(h.t.Context(), after, e); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *house) state(w Webhook) (State, uint64) {
	h.t.Helper()
	s, pending, err := h.registry.Progress(h.t.Context(), w)
	if err != nil {
		h.t.Fatal(err)
	}
	return s, pending
}

func (h *house) eventually(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(testLimit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("not within %s: %s", testLimit, what)
		}
	}
}

// got is one event as a receiver read it.
type got struct {
	id, source, kind string
	sequence         uint64
}

// receiver takes events as a stranger would: it knows the convention and the
// secret, and none of our code.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	keys     [][]byte
	requests int
	taken    []got
	answer   func(w http.ResponseWriter, r *http.Request, g got) bool // false: it has answered, and not taken it
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, keys: [][]byte{testKey}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		r.CloseClientConnections()
		r.Close()
	})
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	r.requests++
	answer, keys := r.answer, r.keys
	r.mu.Unlock()
	signed := strings.Join([]string{q.Header.Get("webhook-id"), q.Header.Get("webhook-timestamp"), string(body)}, ".")
	for _, key := range keys {
		h := hmac.New(sha256.New, key)
		io.WriteString(h, signed)
		if want := "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil)); !slices.Contains(strings.Split(q.Header.Get("webhook-signature"), " "), want) {
			r.t.Errorf("signature %q, want %q", q.Header.Get("webhook-signature"), want)
		}
	}
	seconds, err := strconv.ParseInt(q.Header.Get("webhook-timestamp"), 10, 64)
	if age := time.Since(time.Unix(seconds, 0)); err != nil || age < -5*time.Second || age > 5*time.Minute {
		r.t.Errorf("timestamp %q", q.Header.Get("webhook-timestamp"))
	}
	if kind := q.Header.Get("Content-Type"); kind != "application/cloudevents+json; charset=utf-8" {
		r.t.Errorf("content type %q", kind)
	}
	var e struct {
		SpecVersion, ID, Type, Source, Subject string
		Time                                   time.Time
		Sequence                               uint64
		Data                                   struct {
			Organization, Owner string
		}
	}
	if err := json.Unmarshal(body, &e); err != nil || e.SpecVersion != "1.0" || e.ID == "" || e.ID != q.Header.Get("webhook-id") || e.Source != "/headwater" || e.Time.IsZero() {
		r.t.Errorf("body %s: %v", body, err)
	}
	if e.Data.Organization != "acme" || e.Data.Owner != "ada" && e.Data.Owner != "" {
		r.t.Errorf("an event of somebody else: %s", body)
	}
	g := got{e.ID, e.Subject, e.Type, e.Sequence}
	if answer != nil && !answer(w, q, g) {
		return
	}
	r.mu.Lock()
	r.taken = append(r.taken, g)
	r.mu.Unlock()
}

func (r *receiver) answers(answer func(w http.ResponseWriter, r *http.Request, g got) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func status(code int) func(w http.ResponseWriter, r *http.Request, g got) bool {
	return func(w http.ResponseWriter, _ *http.Request, _ got) bool { w.WriteHeader(code); return false }
}

func (r *receiver) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// of returns the sequences of one source ("" for all) as they were taken, each
// id once.
func (r *receiver) of(source string) []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	var all []uint64
	for _, g := range r.taken {
		if (source == "" || g.source == source) && !seen[g.id] {
			seen[g.id] = true
			all = append(all, g.sequence)
		}
	}
	return all
}

// all returns how many events were taken, repeats too.
func (r *receiver) all() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.taken)
}

// inOrder fails unless n events of the source were taken, in their order.
func (r *receiver) inOrder(source string, n int) {
	r.t.Helper()
	if all := r.of(source); len(all) != n || !slices.IsSorted(all) {
		r.t.Errorf("%s: %d events in the order %v, want %d in theirs", source, len(all), all, n)
	}
}
