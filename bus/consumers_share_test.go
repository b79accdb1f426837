package bus

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The many users of one organization have a share of the consumers together, and
// another organization has its own; our readers find room beside a thousand.
func TestOrganizationsShareTheConsumers(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{Listen: "127.0.0.1:0", Authenticate: func(token string) (Grant, error) {
		return Grant{Subscribe: []string{"headwater.events." + token + ".>"}}, nil
	}})
	as := func(grant string) jetstream.JetStream {
		nc, err := nats.Connect("nats://"+b.Listening(), nats.UserInfo("any", grant))
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
	durable := func(js jetstream.JetStream, name string) error {
		_, err := js.CreateConsumer(t.Context(), StreamEvents, jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy})
		return err
	}
	passing := func(js jetstream.JetStream) error {
		_, err := js.CreateConsumer(t.Context(), StreamEvents, jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy})
		return err
	}
	for i := range maxOrganizationDurables - 1 { // left by other users
		if _, err := b.events.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
			Durable: fmt.Sprint("left-", i), FilterSubject: fmt.Sprintf("headwater.events.evil.*.eve%d.>", i/maxDurables), MemoryStorage: true,
			AckPolicy: jetstream.AckExplicitPolicy, Metadata: map[string]string{metaGuest: fmt.Sprint("guest-", i/maxDurables)},
		}); err != nil {
			t.Fatal(err)
		}
	}
	eve := as("evil.*.eve99")
	if err := durable(eve, "last"); err != nil {
		t.Errorf("the last of the share: %v", err)
	}
	if err := durable(eve, "more"); err == nil {
		t.Error("one organization has more durable consumers than its share")
	}
	made := 0
	for user := range 4 {
		js := as(fmt.Sprintf("evil.*.eve%d", user))
		for range 110 {
			if passing(js) == nil {
				made++
			}
		}
	}
	if made > organizationConsumers {
		t.Errorf("one organization made %d consumers", made)
	}
	if js := as("acme.*.ada"); durable(js, "d") != nil || passing(js) != nil {
		t.Error("another organization makes none")
	}
}

// The broker's own limit of a thousand consumers shuts nobody out.
func TestReadersBesideAThousandConsumers(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	for range 1001 {
		if _, err := b.events.CreateConsumer(t.Context(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true}); err != nil {
			t.Fatal(err)
		}
	}
	appendMany(t, b, testAddress, 1)
	if got := readEvents(t, b, 0, 1); len(got) != 1 {
		t.Errorf("read %d", len(got))
	}
}

// The requests of one organization that are worked on leave room for another's.
func TestOrganizationsShareTheGate(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{Listen: "127.0.0.1:0", Authenticate: matrixGrant})
	ada, eve := asBearer(t, b.Listening(), "ada"), asBearer(t, b.Listening(), "eve")
	asks := func(who bearer) error {
		_, err := who.js.Stream(t.Context(), StreamEvents)
		return err
	}
	if err := asks(eve); err != nil {
		t.Fatal(err)
	}
	g := b.broker.door.gate
	g.mu.Lock()
	evil := g.made["evil"]
	g.mu.Unlock()
	evil.working.Add(gateShare) // under way, as slow ones are
	if err := asks(eve); err == nil {
		t.Error("one organization has more than its share")
	}
	if err := asks(ada); err != nil {
		t.Errorf("another organization: %v", err)
	}
	evil.working.Add(-gateShare)
	if err := asks(eve); err != nil {
		t.Errorf("with its share free again: %v", err)
	}
	eventually(t, "nothing is worked on", func() bool { return evil.working.Load() == 0 && len(g.busy) == 0 })
}
