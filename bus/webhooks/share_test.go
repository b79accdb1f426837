package webhooks

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"headwater/bus/event"
)

// Webhooks cost no consumer each, and those of one organization have no more
// requests under way than its share, whatever its receivers do: another's event
// arrives beside them.
func TestManyWebhooksShareOneConsumer(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Options.Timeout = testLimit })
	var now, most atomic.Int64
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		<-release
		now.Add(-1)
	}))
	defer silent.Close()
	const hooks = shareUnderWay + 16
	for i := range hooks {
		h.hook(silent.URL, func(w *Webhook) {
			w.ID, w.Organization, w.Workspace = fmt.Sprint("whk_", i), "other", fmt.Sprint("w", i%8)
		})
	}
	r := newReceiver(t)
	h.hook(r.URL)
	h.deliver()
	for i := range 8 {
		h.happen(event.Address{Organization: "other", Workspace: fmt.Sprint("w", i), Owner: "ada", Source: "src_1"}, 1)
	}
	h.eventually("the share is taken", func() bool { return now.Load() == shareUnderWay })
	h.happen(h.address("src_1"), 1)
	h.eventually("the neighbour's event", func() bool { return r.all() == 1 })
	h.eventually("all follow by one consumer", func() bool {
		s, err := h.bus.EventsState(t.Context())
		return err == nil && s.Readers == 1
	})
	close(release)
	h.eventually("all were sent", func() bool { return now.Load() == 0 })
	if most.Load() > shareUnderWay {
		t.Errorf("%d requests at once, the share is %d", most.Load(), shareUnderWay)
	}
}

// What waits in memory for all webhooks of an organization is bounded.
func TestWindowsShareTheirBytes(t *testing.T) {
	of := new(share)
	of.bytes.Store(shareBytes)
	w := newWindow(State{}, of)
	if w.full() {
		t.Error("not one event is let in")
	}
	i := &item{sequence: 1, body: []byte("x")}
	w.add(i)
	if !w.full() {
		t.Error("a second event is let in")
	}
	w.done(i)
	if w.full() || of.bytes.Load() != shareBytes {
		t.Errorf("full %v, %d bytes", w.full(), of.bytes.Load())
	}
}

// An organization has no more webhooks than its share, in however many
// workspaces.
func TestTooManyOfAll(t *testing.T) {
	h := newHouse(t)
	one := Webhook{Organization: "acme", Owner: "ada", URL: "http://127.0.0.1:1/"}
	for i := range MaxPerOrganization {
		one.ID, one.Workspace = fmt.Sprint("whk_", i), fmt.Sprint("w", i/MaxPerScope)
		// Only the keys count.
		if err := h.registry.create(t.Context(), definitionKey(one.Address()), one); err != nil {
			t.Fatal(err)
		}
	}
	one.ID, one.Workspace = "whk_more", "wx"
	if err := h.registry.Create(t.Context(), one, testKey); !errors.Is(err, ErrTooManyOfAll) {
		t.Errorf("one more: %v", err)
	}
	one.Organization = "other"
	if err := h.registry.Create(t.Context(), one, testKey); err != nil {
		t.Errorf("another organization's: %v", err)
	}
}
