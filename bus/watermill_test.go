package bus

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
	"headwater/bus/jobs"
)

// suiteBus is a bus with a stream for Watermill's own topics, read through any
// number of consumer groups.
func suiteBus(t *testing.T) *Bus {
	t.Helper()
	b := openBus(t, Config{})
	if _, err := b.publish.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "SUITE", Subjects: []string{"suite.>"}, Duplicates: dedupWindow,
		// Syncing each of the suite's ten thousands of messages would test the disk.
		PersistMode: jetstream.AsyncPersistMode,
	}); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWatermillSuite(t *testing.T) {
	t.Parallel()
	b := suiteBus(t)
	open := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		sub, err := jobs.At(b.workers(), JobsConfig{
			AckWait: 2 * time.Second, MaxDeliver: 1000, Drain: 500 * time.Millisecond,
			Backoff: func(int) time.Duration { return time.Millisecond },
		}, func(topic string) (string, jetstream.ConsumerConfig, error) {
			return "SUITE", jetstream.ConsumerConfig{Durable: group + "_" + strings.ReplaceAll(topic, ".", "_"), FilterSubject: topic}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return b.Publisher(), sub
	}
	tests.TestPubSub(t, tests.Features{
		ConsumerGroups:                   true,
		ExactlyOnceDelivery:              false, // at least once: a lost ack means another delivery
		GuaranteedOrder:                  false, // a message that waits for its retry is overtaken
		Persistent:                       true,
		NewSubscriberReceivesOldMessages: false, // a command is handed out once; who reads history is Ordered
		GenerateTopicFunc:                func(c tests.TestContext) string { return "suite." + string(c.TestID) },
		ForceShort:                       testing.Short(),
	}, func(t *testing.T) (message.Publisher, message.Subscriber) {
		return open(t, "all")
	}, open)
}

// The ordered subscriber knows no acks, so only the parts of the suite that
// need no redelivery apply to it.
func TestWatermillSuiteOrdered(t *testing.T) {
	t.Parallel()
	b := suiteBus(t)
	features := tests.Features{
		GuaranteedOrder: true, Persistent: true, NewSubscriberReceivesOldMessages: true,
		GenerateTopicFunc: func(c tests.TestContext) string { return "suite." + string(c.TestID) },
		ForceShort:        testing.Short(),
	}
	open := func(*testing.T) (message.Publisher, message.Subscriber) {
		return b.Publisher(), b.OrderedOf("SUITE", 0)
	}
	for name, run := range map[string]func(*testing.T, tests.TestContext, tests.PubSubConstructor){
		"publish":      tests.TestPublishSubscribe,
		"order":        tests.TestPublishSubscribeInOrder,
		"topics":       tests.TestTopic,
		"many topics":  tests.TestConcurrentSubscribeMultipleTopics,
		"close":        tests.TestPublisherClose,
		"old messages": tests.TestNewSubscriberReceivesOldMessages,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, tests.TestContext{TestID: tests.NewTestID(), Features: features}, open)
		})
	}
}

// Another service reads our events with the subscriber that comes with
// watermill-nats, through JetStream from the beginning.
func TestStockSubscriberReadsEvents(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), 0).ClientURL()
	b := openBus(t, Config{URL: url})
	e := testEvent(testAddress, &event.SyncCompleted{SyncID: "syn_1", Status: "completed", Records: 42})
	if _, err := b.Append(t.Context(), 0, e); err != nil {
		t.Fatal(err)
	}
	sub, err := wmnats.NewSubscriber(wmnats.SubscriberConfig{
		URL: url, Unmarshaler: &wmnats.NATSMarshaler{}, CloseTimeout: time.Second,
		JetStream: wmnats.JetStreamConfig{SubscribeOptions: []nats.SubOpt{nats.DeliverAll()}},
	}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	messages, err := sub.Subscribe(t.Context(), "headwater.events.acme.*.ada.*.SyncCompleted")
	if err != nil {
		t.Fatal(err)
	}
	msg := receiveOne(t, messages)
	defer msg.Ack()
	got, err := event.Parse(msg.Metadata.Get, msg.Payload)
	if err != nil {
		t.Fatal(err)
	}
	if msg.UUID != e.ID || got.ID != e.ID || got.Data.(*event.SyncCompleted).Records != 42 {
		t.Errorf("read %s: %+v", msg.UUID, got.Data)
	}
}

func TestPublisherKeepsTheOrder(t *testing.T) {
	t.Parallel()
	b := suiteBus(t)
	var sent []string
	for range 20 {
		msg := message.NewMessage(watermill.NewUUID(), []byte("{}"))
		sent = append(sent, msg.UUID)
		if err := b.Publisher().Publish("suite.order", msg, msg); err != nil { // twice, stored once
			t.Fatal(err)
		}
	}
	sub := b.OrderedOf("SUITE", 0)
	messages, err := sub.Subscribe(t.Context(), "suite.order")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for range sent {
		got = append(got, receiveOne(t, messages).UUID)
	}
	if !slices.Equal(got, sent) {
		t.Errorf("read %v, sent %v", got, sent)
	}
}
