package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
)

// served is where a client of NATS reads from: a plain server, or one that it is a guest of.
type served struct {
	name, address string
	guest         bool
}

// login is how a Go client connects there.
func (p served) login() []nats.Option {
	opts := []nats.Option{nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}
	if p.guest {
		opts = append(opts, nats.UserInfo("any", "ada"))
	}
	return opts
}

// servers holds five events of Ada's each. Where it is a guest lie others', too,
// before, between and after hers.
func servers(t *testing.T) []served {
	t.Helper()
	plain := startServer(t, t.TempDir(), 0).ClientURL()
	fillServer(t, openBus(t, Config{URL: plain}), false)
	guarded := openBus(t, Config{Listen: "127.0.0.1:0", Authenticate: matrixGrant})
	fillServer(t, guarded, true)
	return []served{{"plain", strings.TrimPrefix(plain, "nats://"), false}, {"guest", guarded.Listening(), true}}
}

const adasEventCount = 5

func fillServer(t *testing.T, b *Bus, others bool) {
	t.Helper()
	foreign, bobs := testAddress, testAddress
	foreign.Organization, bobs.Owner = "evil", "bob"
	last := map[event.Address]uint64{}
	put := func(a event.Address, id string) {
		at, err := b.Append(t.Context(), last[a], testEvent(a, &event.SyncProgressed{SyncID: id}))
		if err != nil {
			t.Fatal(err)
		}
		last[a] = at
	}
	for i := range adasEventCount {
		if others {
			put(foreign, fmt.Sprint("foreign_", i))
			put(bobs, fmt.Sprint("bobs_", i))
		}
		put(testAddress, fmt.Sprint("adas_", i+1))
	}
	if others {
		put(foreign, "foreign_last")
	}
}

// readOf is what a client says that it read: an event's subject, or its sync.
func readOf(subject string, data []byte) string {
	var e struct {
		SyncID string `json:"sync_id"`
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return err.Error()
	}
	return subject + " " + e.SyncID
}

// adasReads is what every client reads of the five.
func adasReads() []string {
	var want []string
	for i := range adasEventCount {
		want = append(want, fmt.Sprint("headwater.events.acme.w1.ada.src_1.SyncProgressed adas_", i+1))
	}
	return want
}

// reads compares what one client read in one way with what it must have.
func reads(t *testing.T, got []string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%v, after %d: %v", err, len(got), got)
		return
	}
	if want := adasReads(); !slices.Equal(got, want) {
		t.Errorf("read %v\nwanted %v", got, want)
	}
}

// What is pushed to one guest is seen by nobody else, whatever inbox it names,
// and whoever follows all inboxes of another grant.
func TestPushesAreAGuestsOwn(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{Listen: "127.0.0.1:0", Authenticate: matrixGrant})
	fillServer(t, b, true)
	var others []*nats.Subscription
	for _, who := range []string{"bob", "eve", "admin"} {
		sub, err := asBearer(t, b.Listening(), who).nc.SubscribeSync("_INBOX.>")
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, sub)
	}
	ada := asBearer(t, b.Listening(), "ada")
	if err := ada.push("_INBOX.acme.bob.theirs", adasEvents); err != nil {
		t.Fatal(err)
	}
	for _, sub := range others {
		if m, err := sub.NextMsg(100 * time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
			t.Errorf("another saw %v, %v", m, err)
		}
	}
	// A client's word that it got so far reaches no consumer of anybody else's.
	eve := asBearer(t, b.Listening(), "eve")
	for _, name := range realNames(t, b) {
		if _, err := eve.nc.Request(apiFlow+"."+name+".x", nil, 200*time.Millisecond); err == nil {
			t.Error("it was answered")
		}
	}
}

// A push consumer is there after a restart, under the inbox that its guest gave it.
func TestPushSurvivesRestart(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Authenticate: matrixGrant}
	b := openBus(t, cfg)
	fillServer(t, b, true)
	const inbox = "_INBOX.acme.ada.kept"
	if _, err := asBearer(t, b.Listening(), "ada").js.CreatePushConsumer(t.Context(), StreamEvents, jetstream.ConsumerConfig{Durable: "kept", DeliverSubject: inbox, FilterSubject: adasEvents, AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b = openBus(t, cfg)
	c, err := asBearer(t, b.Listening(), "ada").js.PushConsumer(t.Context(), StreamEvents, "kept")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.CachedInfo().Config.DeliverSubject; got != inbox {
		t.Errorf("it delivers to %s", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	got, err := consumedPush(ctx, c.Consume)
	reads(t, got, err)
}

// Clients ask for more unconfirmed messages than one consumer may hold, without
// their users' knowledge; no limit is asked for with -1.
func TestConsumersKeepWithinBounds(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{Listen: "127.0.0.1:0", Authenticate: matrixGrant})
	js := asBearer(t, b.Listening(), "ada").js
	for _, asked := range []int{-1, maxUnacked + 1} {
		c, err := js.CreateConsumer(t.Context(), StreamEvents, jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: asked, MaxWaiting: maxPulls + 1})
		if err != nil {
			t.Fatal(err)
		}
		if cfg := c.CachedInfo().Config; cfg.MaxAckPending != maxUnacked || cfg.MaxWaiting != maxPulls {
			t.Errorf("asked for %d, it has %d and %d pulls", asked, cfg.MaxAckPending, cfg.MaxWaiting)
		}
	}
}
