package guests

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/bustest/broker"
	"headwater/bus/bustest/leaks"
	"headwater/bus/event"
)

func TestMain(m *testing.M) { leaks.Verify(m) }

const (
	adasEvents   = "headwater.events.acme.*.ada.>"
	sharedEvents = "headwater.events.acme.*._.>"
)

func twoPeople(token string) (Grant, error) {
	switch token {
	case "ada":
		return Grant{Subscribe: []string{adasEvents, sharedEvents}}, nil
	case "eve":
		return Grant{Subscribe: []string{"headwater.events.evil.>"}}, nil
	}
	return Grant{}, errors.New("unknown token")
}

// serve starts a broker with the stream of events that lets guests in. home makes
// consumers as we do.
func serve(t *testing.T, authenticate func(string) (Grant, error)) (a *Authenticator, address string, home jetstream.JetStream) {
	t.Helper()
	a = NewAuthenticator("us", "our password", authenticate, slog.New(slog.DiscardHandler))
	broker, err := server.NewServer(&server.Options{JetStream: true, StoreDir: t.TempDir(), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		CustomClientAuthentication: a, MaxSubs: MaxSubscriptions, JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: -1}})
	if err != nil {
		t.Fatal(err)
	}
	a.Attach(broker)
	broker.Start()
	t.Cleanup(func() { broker.Shutdown(); broker.WaitForShutdown() })
	if !broker.ReadyForConnections(time.Minute) {
		t.Fatal("the broker does not start")
	}
	nc, err := nats.Connect("", nats.InProcessServer(broker), nats.UserInfo("us", "our password"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if home, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	if _, err := home.CreateStream(t.Context(), jetstream.StreamConfig{Name: event.Stream, Subjects: []string{event.SubjectPrefix + ".>"}}); err != nil {
		t.Fatal(err)
	}
	if err := a.Open(nc); err != nil {
		t.Fatal(err)
	}
	return a, broker.Addr().String(), home
}

// enter connects as a guest.
func enter(t *testing.T, address, token string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect("nats://"+address, nats.UserInfo("any", token))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func consumerNames(t *testing.T, s jetstream.Stream) (names []string) {
	t.Helper()
	list := s.ConsumerNames(t.Context())
	for name := range list.Name() {
		names = append(names, name)
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		outer, inner string
		want         bool
	}{
		{"a.>", "a.b", true}, {"a.>", "a.b.c", true}, {"a.>", "a.>", true}, {"a.>", "a", false}, {"a.>", "b.c", false},
		{"a.*", "a.b", true}, {"a.*", "a.*", true}, {"a.*", "a.>", false}, {"a.*", "a.b.c", false}, {"a.b", "a.*", false},
		{"a.*.c.>", "a.>", false}, {"a.*.c.>", "a.*.c.d", true}, {"a.*.c.>", "a.b.c.>", true},
		{"a.>", "a.>.b", false}, {"a.>", "a..b", false}, {"a.>", "", false}, {"a.>", "a.b ", false}, {"a.>", "a.b>", false},
	} {
		if got := covers(c.outer, c.inner); got != c.want {
			t.Errorf("covers(%q, %q) = %v", c.outer, c.inner, got)
		}
	}
}

// A name for a consumer that the broker has ended is forgotten, and only that.
func TestEndedConsumersAreForgotten(t *testing.T) {
	t.Parallel()
	a, address, _ := serve(t, twoPeople)
	js := enter(t, address, "ada")
	for name, idle := range map[string]time.Duration{"brief": 100 * time.Millisecond, "stays": 0} {
		if _, err := js.CreateConsumer(t.Context(), event.Stream, jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy, InactiveThreshold: idle}); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := js.Stream(t.Context(), event.Stream)
	if err != nil {
		t.Fatal(err)
	}
	broker.Eventually(t, "the broker ends it", func() bool { return slices.Equal(consumerNames(t, stream), []string{"stays"}) })
	p := a.proxy
	p.mu.Lock()
	p.swept = time.Time{}
	who := p.guests[guestName(slices.Sorted(slices.Values([]string{adasEvents, sharedEvents})))]
	p.mu.Unlock()
	p.sweep()
	if names := who.aliases(); len(names) != 1 || names["stays"] == "" {
		t.Errorf("it remembers %v", names)
	}
}

// The many users of one organization have a share of the consumers together, and
// another organization has its own.
func TestOrganizationsShareTheConsumers(t *testing.T) {
	t.Parallel()
	_, address, home := serve(t, func(token string) (Grant, error) {
		return Grant{Subscribe: []string{"headwater.events." + token + ".>"}}, nil
	})
	durable := func(js jetstream.JetStream, name string) error {
		_, err := js.CreateConsumer(t.Context(), event.Stream, jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy})
		return err
	}
	passing := func(js jetstream.JetStream) error {
		_, err := js.CreateConsumer(t.Context(), event.Stream, jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy})
		return err
	}
	for i := range maxOrganizationDurables - 1 { // left by other users
		if _, err := home.CreateConsumer(t.Context(), event.Stream, jetstream.ConsumerConfig{
			Durable: fmt.Sprint("left-", i), FilterSubject: fmt.Sprintf("headwater.events.evil.*.eve%d.>", i/maxDurables), MemoryStorage: true,
			AckPolicy: jetstream.AckExplicitPolicy, Metadata: map[string]string{metaGuest: fmt.Sprint("guest-", i/maxDurables)},
		}); err != nil {
			t.Fatal(err)
		}
	}
	eve := enter(t, address, "evil.*.eve99")
	if err := durable(eve, "last"); err != nil {
		t.Errorf("the last of the share: %v", err)
	}
	if err := durable(eve, "more"); err == nil {
		t.Error("one organization has more durable consumers than its share")
	}
	made := 0
	for user := range 4 {
		js := enter(t, address, fmt.Sprintf("evil.*.eve%d", user))
		for range 110 {
			if passing(js) == nil {
				made++
			}
		}
	}
	if made > organizationConsumers {
		t.Errorf("one organization made %d consumers", made)
	}
	if js := enter(t, address, "acme.*.ada"); durable(js, "d") != nil || passing(js) != nil {
		t.Error("another organization makes none")
	}
}

// The requests of one organization that are worked on leave room for another's.
func TestOrganizationsShareTheProxy(t *testing.T) {
	t.Parallel()
	a, address, _ := serve(t, twoPeople)
	ada, eve := enter(t, address, "ada"), enter(t, address, "eve")
	asks := func(who jetstream.JetStream) error {
		_, err := who.Stream(t.Context(), event.Stream)
		return err
	}
	if err := asks(eve); err != nil {
		t.Fatal(err)
	}
	p := a.proxy
	p.mu.Lock()
	evil := p.made["evil"]
	p.mu.Unlock()
	evil.working.Add(proxyShare) // under way, as slow ones are
	if err := asks(eve); err == nil {
		t.Error("one organization has more than its share")
	}
	if err := asks(ada); err != nil {
		t.Errorf("another organization: %v", err)
	}
	evil.working.Add(-proxyShare)
	if err := asks(eve); err != nil {
		t.Errorf("with its share free again: %v", err)
	}
	broker.Eventually(t, "nothing is worked on", func() bool { return evil.working.Load() == 0 && len(p.busy) == 0 })
}
