package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
	"headwater/bus/guests"
	"headwater/bus/wire"
)

// realNames returns what the consumers of the events are called on the stream.
func realNames(t *testing.T, b *Bus) []string {
	t.Helper()
	stream, err := b.reads.Stream(t.Context(), StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	return consumerNames(t, stream)
}

// Whoever knows the name of a consumer that is not its own gets nothing out of
// it: neither by a pull, nor by an ack that asks for the next message.
func TestForeignConsumersAreOutOfReach(t *testing.T) {
	t.Parallel()
	b := guarded(t)
	appendMany(t, b, testAddress, 3)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := b.Ordered(3).Subscribe(ctx, event.SubjectPrefix+".>"); err != nil {
		t.Fatal(err)
	}
	ours := realNames(t, b)
	_, js := mustEnter(t, b, "adas-token")
	theirs, err := js.CreateConsumer(t.Context(), StreamEvents, jetstream.ConsumerConfig{Durable: "billing", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	m, err := theirs.Next(jetstream.FetchMaxWait(testLimit))
	if err != nil {
		t.Fatal(err)
	}

	nc, mine := mustEnter(t, b, "eves-token")
	if _, err := mine.CreateConsumer(t.Context(), StreamEvents, jetstream.ConsumerConfig{Durable: "billing", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	loot, err := nc.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	names := realNames(t, b)
	if len(ours) != 1 || len(names) != 3 {
		t.Fatalf("the consumers are %v, then %v", ours, names)
	}
	for _, name := range names {
		if err := nc.PublishRequest(apiNext+"."+name, loot.Subject, []byte(`{"batch":5,"no_wait":true}`)); err != nil {
			t.Fatal(err)
		}
		for _, ack := range []string{apiAck + "." + name + ".1.1.1.1.0", apiAck + "._.hash." + name + ".1.1.1.1.0.x"} {
			if err := nc.PublishRequest(ack, loot.Subject, []byte(`+NXT {"batch":5}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// An ack of another's delivery, as it stands on the wire.
	if err := nc.Publish(m.Reply(), []byte("+ACK")); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := loot.NextMsg(200 * time.Millisecond)
		if errors.Is(err, nats.ErrTimeout) {
			break
		}
		if errors.Is(err, nats.ErrNoResponders) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("Status") != "503" {
			t.Errorf("got %s %v %s", m.Subject, m.Header, m.Data)
		}
	}
	info, err := theirs.Info(t.Context())
	if err != nil || info.NumAckPending != 1 || info.Delivered.Consumer != 1 {
		t.Errorf("Ada's consumer: %+v, %v", info, err)
	}
	if err := m.DoubleAck(t.Context()); err != nil {
		t.Errorf("her own ack: %v", err)
	}
}

// What a consumer of ours is called tells nothing of the next one's name, and
// a live event shows no inbox and nothing that counts.
func TestNothingLeadsToOurConsumers(t *testing.T) {
	t.Parallel()
	b := guarded(t)
	nc, _ := mustEnter(t, b, "adas-token")
	live, err := nc.SubscribeSync(adasEvents)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	appendMany(t, b, testAddress, 1)
	// Several at once: those go as a batch, whose id stays in the headers.
	var failed []error
	done := make(chan error)
	for i := range 12 {
		go func() {
			a := testAddress
			a.Source = fmt.Sprintf("src_many_%d", i)
			_, err := b.Append(t.Context(), 0, testEvent(a, &event.SyncProgressed{SyncID: "syn"}))
			done <- err
		}()
	}
	for range 12 {
		failed = append(failed, <-done)
	}
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	for range 13 {
		m, err := live.NextMsg(testLimit)
		if err != nil {
			t.Fatal(err)
		}
		if m.Reply != "" {
			t.Errorf("a live event shows %s", m.Reply)
		}
		if id := m.Header.Get("Nats-Batch-Id"); id != "" && len(id) != len(wire.SecretName()) {
			t.Errorf("the id of a batch is %s", id)
		}
		if m.Header.Get("Nats-Sequence") == "" {
			t.Error("it does not say where in the log it is")
		}
	}
	seen := map[string]string{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 20 {
		if _, err := b.Ordered(0).Subscribe(ctx, event.SubjectPrefix+".>"); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range realNames(t, b) {
		if other, twice := seen[name[:8]]; twice || len(name) < 26 {
			t.Errorf("%s and %s begin alike", name, other)
		}
		seen[name[:8]] = name
	}
}

// An event that the log refuses is nobody's: it must not be seen live.
func TestRefusedEventsAreNotSeen(t *testing.T) {
	t.Parallel()
	b := guarded(t)
	nc, _ := mustEnter(t, b, "adas-token")
	live, err := nc.SubscribeSync(adasEvents)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	at, err := b.Append(t.Context(), 0, testEvent(testAddress, &event.SyncProgressed{SyncID: "syn_0"}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Append(t.Context(), at+7, testEvent(testAddress, &event.SyncProgressed{SyncID: "syn_1"})); !errors.Is(err, ErrConflict) {
		t.Fatal(err)
	}
	if _, err := b.Append(t.Context(), at, testEvent(testAddress, &event.SyncProgressed{SyncID: "syn_2"})); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"syn_0", "syn_2"} {
		m, err := live.NextMsg(testLimit)
		if err != nil || !strings.Contains(string(m.Data), want) {
			t.Fatalf("wanted %s: %v, %v", want, m, err)
		}
	}
}

// A guest's subscriptions and connections have an end.
func TestGuestsAreBounded(t *testing.T) {
	t.Parallel()
	b := guarded(t)
	refused := make(chan error, 64)
	nc, err := nats.Connect("nats://"+b.Listening(), nats.UserInfo("any", "eves-token"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case refused <- err:
		default:
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for i := range guests.MaxSubscriptions + 10 {
		if _, err := nc.SubscribeSync(fmt.Sprint("_INBOX.many.", i)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-refused:
		if !strings.Contains(err.Error(), "maximum subscriptions") {
			t.Errorf("refused: %v", err)
		}
	case <-time.After(testLimit):
		t.Error("subscriptions have no end")
	}
	if n := b.broker.server.NumSubscriptions(); n > 2*guests.MaxSubscriptions+1000 { // an inbox counts twice: as itself, and for what is pushed there
		t.Errorf("the broker keeps %d", n)
	}
	let := 0
	for range maxConnections + 5 {
		if _, err := enter(t, b, "eves-token"); err == nil {
			let++
		}
	}
	if let+1 != maxConnections { // one is there
		t.Errorf("%d more connections of one grant", let)
	}
	if _, err := enter(t, b, "adas-token"); err != nil {
		t.Errorf("another grant: %v", err)
	}
}
