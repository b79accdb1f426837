package bus

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"

	"headwater/bus/event"
	"headwater/bus/wire"
)

func appendMany(t *testing.T, b *Bus, a event.Address, n int) {
	t.Helper()
	last, err := b.LastSequence(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if last, err = b.Append(t.Context(), last, testEvent(a, &event.SyncProgressed{SyncID: "syn_1"})); err != nil {
			t.Fatal(err)
		}
	}
}

func receiveOne(t *testing.T, messages <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg, ok := <-messages:
		if !ok {
			t.Fatal("the subscription ended")
		}
		return msg
	case <-time.After(testLimit):
		t.Fatal("nothing was delivered")
	}
	return nil
}

func TestOrderedBeginsAfterASequence(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	appendMany(t, b, testAddress, 5)
	for after := range uint64(5) {
		want := after + 1
		for _, e := range readEvents(t, b, after, int(5-after)) {
			if e.Sequence != want {
				t.Fatalf("after %d: sequence %d, wanted %d", after, e.Sequence, want)
			}
			want++
		}
	}
}

func TestOrderedFilters(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	shared, foreign := testAddress, testAddress
	shared.Owner, foreign.Owner = "", "eve"
	appendMany(t, b, testAddress, 1)
	appendMany(t, b, foreign, 1)
	appendMany(t, b, shared, 1)
	sub := b.Ordered(0)
	messages, err := sub.Subscribe(t.Context(), "headwater.events.acme.*.ada.>,headwater.events.acme.*._.>")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []event.Address{testAddress, shared} {
		e, err := EventOf(receiveOne(t, messages))
		if err != nil || e.Address() != want {
			t.Errorf("got %+v, %v; wanted one of %+v", e, err, want)
		}
	}
}

// A consumer that the broker dropped leaves neither a gap nor a repeat.
func TestOrderedReplacesALostConsumer(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	messages, err := b.Ordered(0).Subscribe(t.Context(), event.SubjectPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(3) {
		appendMany(t, b, testAddress, 1)
		if e, err := EventOf(receiveOne(t, messages)); err != nil || e.Sequence != n+1 {
			t.Fatalf("sequence %d, %v; wanted %d", e.Sequence, err, n+1)
		}
		lost := 0
		for name := range b.events.ConsumerNames(t.Context()).Name() {
			if err := b.events.DeleteConsumer(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			lost++
		}
		if lost != 1 {
			t.Fatalf("%d consumers", lost)
		}
	}
}

func TestOrderedEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	appendMany(t, b, testAddress, 1)
	ctx, cancel := context.WithCancel(t.Context())
	messages, err := b.Ordered(0).Subscribe(ctx, event.SubjectPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	msg := receiveOne(t, messages)
	cancel()
	if _, open := <-messages; open {
		t.Error("delivered after its context ended")
	}
	<-msg.Context().Done()
	eventually(t, "the bus forgets the subscriber", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.open) == 0
	})
	eventually(t, "the broker forgets the consumer", func() bool {
		info, err := b.events.Info(t.Context())
		return err == nil && info.State.Consumers == 0
	})
}

// What is not an event is handed on all the same: only the reader may decide to
// skip it.
func TestOrderedHandsOnWhatItCannotRead(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	subject := testAddress.Subject("SyncStarted")
	for _, m := range []*nats.Msg{
		{Subject: subject, Header: nats.Header{"X": {"1", "2"}}, Data: []byte("{}")},
		{Subject: subject, Header: nats.Header{event.HeaderDataRef: {"sha256:" + "00"}}},
		{Subject: subject, Header: nats.Header{event.HeaderType: {"headwater.Unheard.v1"}}, Data: []byte("{}")},
	} {
		if _, err := b.publish.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := testEvent(testAddress, &event.SyncStarted{})
	headers, body, err := elsewhere.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.store(t.Context(), "headwater.events.evil.w._.s.SyncStarted", newMessage(t.Context(), "x", headers, body)); err != nil {
		t.Fatal(err)
	}
	messages, err := b.Ordered(0).Subscribe(t.Context(), event.SubjectPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if e, err := EventOf(receiveOne(t, messages)); err == nil {
			t.Errorf("read %+v", e)
		}
	}
}

func TestOrderedKeepsUpWithALongLog(t *testing.T) {
	t.Parallel()
	const n = 1500 // more than a window
	b := openBus(t, Config{})
	nc := b.conns[0]
	for range n { // unconfirmed: the log's length matters, not how it got there
		if err := nc.Publish(testAddress.Subject("SyncProgressed"), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	messages, err := b.Ordered(0).Subscribe(t.Context(), event.SubjectPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	for want := uint64(1); want <= n; want++ {
		if got := wire.Number(receiveOne(t, messages), MetaSequence); got != want {
			t.Fatalf("sequence %d, wanted %d", got, want)
		}
	}
}
