package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A durable stands where its subscriber left it: after a reconnect, after a
// restart of the broker, and for every connection of the same grant.
func TestDurableSurvivesRestart(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Authenticate: matrixGrant}
	b := openBus(t, cfg)
	bobs := testAddress
	bobs.Owner = "bob"
	appendMany(t, b, testAddress, 4)
	appendMany(t, b, bobs, 1)
	for name, token := range map[string]string{"Ada's": "ada", "Bob's": "bob"} {
		// Both call theirs alike, and neither meets the other's.
		if _, err := asBearer(t, b.Listening(), token).js.CreateConsumer(t.Context(), StreamEvents, jetstream.ConsumerConfig{Durable: "mine", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	take(t, b, "ada", 1)
	take(t, b, "ada", 2)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b = openBus(t, cfg)
	take(t, b, "ada", 3)
	take(t, b, "bob", 5)
	appendMany(t, b, bobs, 1)
	appendMany(t, b, testAddress, 1)
	take(t, b, "ada", 4)
	take(t, b, "ada", 7)
	js := asBearer(t, b.Listening(), "ada").js
	stream, err := js.Stream(t.Context(), StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	if names := consumerNames(t, stream); !slices.Equal(names, []string{"mine"}) {
		t.Errorf("Ada's consumers are %v", names)
	}
	if err := stream.DeleteConsumer(t.Context(), "mine"); err != nil {
		t.Error(err)
	}
	if _, err := stream.Consumer(t.Context(), "mine"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("after its removal: %v", err)
	}
	take(t, b, "bob", 6)
}

// take confirms the next event of the durable "mine" over a new connection.
func take(t *testing.T, b *Bus, token string, want uint64) {
	t.Helper()
	js := asBearer(t, b.Listening(), token).js
	c, err := js.Consumer(t.Context(), StreamEvents, "mine")
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Next(jetstream.FetchMaxWait(testLimit))
	if err != nil {
		t.Fatalf("%s: %v", token, err)
	}
	meta, err := m.Metadata()
	if err != nil || meta.Sequence.Stream != want {
		t.Fatalf("%s was handed %+v, %v; wanted sequence %d", token, meta, err, want)
	}
	if err := m.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func consumerNames(t *testing.T, stream jetstream.Stream) []string {
	t.Helper()
	names := []string{}
	list := stream.ConsumerNames(t.Context())
	for name := range list.Name() {
		names = append(names, name)
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

func TestConsumersAreBounded(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{Listen: "127.0.0.1:0", Authenticate: matrixGrant})
	js := asBearer(t, b.Listening(), "ada").js
	make := func(name string) (jetstream.Consumer, error) {
		return js.CreateConsumer(context.WithoutCancel(t.Context()), StreamEvents, jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy, InactiveThreshold: 365 * 24 * time.Hour})
	}
	for i := range maxDurables {
		c, err := make(fmt.Sprintf("d%d", i))
		if err != nil {
			t.Fatal(err)
		}
		if config := c.CachedInfo().Config; config.InactiveThreshold != durableIdle || config.MemoryStorage || config.Durable != fmt.Sprintf("d%d", i) {
			t.Fatalf("made %+v", config)
		}
	}
	if _, err := make("more"); err == nil {
		t.Error("one durable too many")
	}
	if _, err := make("d0"); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	if err := js.DeleteConsumer(t.Context(), StreamEvents, "d1"); err != nil {
		t.Fatal(err)
	}
	if _, err := make("again"); err != nil {
		t.Errorf("after another's removal: %v", err)
	}
	passing, err := js.CreateConsumer(t.Context(), StreamEvents, jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy})
	if err != nil {
		t.Fatal(err)
	}
	if config := passing.CachedInfo().Config; config.InactiveThreshold != guestWindow || !config.MemoryStorage {
		t.Errorf("a passing one: %+v", config)
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
