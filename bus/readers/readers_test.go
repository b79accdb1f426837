package readers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/bustest/broker"
	"headwater/bus/bustest/leaks"
	"headwater/bus/event"
	"headwater/bus/fairqueue"
	"headwater/bus/wire"
)

func TestMain(m *testing.M) { leaks.Verify(m) }

var testAddress = event.Address{Organization: "acme", Workspace: "w1", Owner: "ada", Source: "src_1"}

// log is a broker with a log of events, and its readers.
type log struct {
	*Readers
	js jetstream.JetStream
}

// open starts a broker. What still reads when the test ends is closed.
func open(t *testing.T) *log {
	t.Helper()
	nc, js := broker.Start(t)
	events, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: event.Stream, Subjects: []string{event.SubjectPrefix + ".>"}})
	if err != nil {
		t.Fatal(err)
	}
	store, err := js.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "BODIES"})
	if err != nil {
		t.Fatal(err)
	}
	open := sync.Map{}
	t.Cleanup(func() {
		open.Range(func(c, _ any) bool { _ = c.(io.Closer).Close(); return true })
	})
	return &log{js: js, Readers: New(Broker{
		JS: js, Conn: nc, Events: events, Embedded: true, Reconnected: new(wire.Signal), Bodies: wire.BodiesIn(store),
		Synced: func(context.Context, string, uint64) bool { return true },
		Track:  func(c io.Closer) error { open.Store(c, true); return nil }, Untrack: func(c io.Closer) { open.Delete(c) },
		Log: slog.New(slog.DiscardHandler),
	})}
}

// Append stores an event behind the others.
func (l *log) Append(ctx context.Context, _ uint64, e *event.Event) (uint64, error) {
	headers, body, err := e.Encode()
	if err != nil {
		return 0, err
	}
	m := nats.NewMsg(e.Subject())
	for k, v := range headers {
		m.Header.Set(k, v)
	}
	if m.Data = body; len(body) > wire.MaxInline {
		ref, err := l.broker.Bodies.Put(ctx, body)
		if err != nil {
			return 0, err
		}
		m.Header.Set(event.HeaderDataRef, ref)
		m.Data = nil
	}
	ack, err := l.js.PublishMsg(ctx, m)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

func testEvent(a event.Address, data event.Data) *event.Event {
	*data.Header() = event.At(a, event.Operation{ID: "op_1", Kind: event.KindSync, Targets: 1, Actor: "ada"})
	return &event.Event{ID: fmt.Sprint(time.Now().UnixNano()), Time: time.Now().UTC(), Causation: "cmd-1", Data: data}
}

func appendMany(t *testing.T, b *log, a event.Address, n int) {
	t.Helper()
	for range n {
		if _, err := b.Append(t.Context(), 0, testEvent(a, &event.SyncProgressed{SyncID: "syn_1"})); err != nil {
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
	case <-time.After(broker.Limit):
		t.Fatal("nothing was delivered")
	}
	return nil
}

// consumersOf returns how many consumers the events have.
func consumersOf(t *testing.T, b *log) int {
	t.Helper()
	state, err := b.EventsState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state.Readers
}

// Who does not read costs the others nothing, keeps a bounded number of events,
// and finds all of them in the log when it reads on.
func TestSlowFollowerFallsBackToTheLog(t *testing.T) {
	t.Parallel()
	b := open(t)
	messages, err := b.Follow(0).Subscribe(t.Context(), event.SubjectPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	const n = memberQueue + 300
	var e []*event.Event
	for range n {
		e = append(e, testEvent(testAddress, &event.SyncProgressed{SyncID: "syn_1"}))
	}
	last := uint64(0)
	for _, e := range e {
		if last, err = b.Append(t.Context(), last, e); err != nil {
			t.Fatal(err)
		}
	}
	broker.Eventually(t, "the feed is at the end", func() bool {
		b.feed.mu.Lock()
		defer b.feed.mu.Unlock()
		return b.feed.at == n
	})
	b.feed.mu.Lock()
	b.feed.members.Match(testAddress.Subject("SyncProgressed"), func(m *member) {
		if !m.lost || len(m.queue) > memberQueue {
			t.Errorf("%d events queue, lost %v", len(m.queue), m.lost)
		}
	})
	b.feed.mu.Unlock()
	for want := range uint64(n) {
		if e, err := wire.EventOf(receiveOne(t, messages)); err != nil || e.Sequence != want+1 {
			t.Fatalf("got %v, %v; wanted %d", e, err, want+1)
		}
	}
}

// What the feed keeps is bounded, and who asks for what it let go reads the log.
func TestFeedKeepsABoundedPart(t *testing.T) {
	t.Parallel()
	b := open(t)
	slow, err := b.Follow(0).Subscribe(t.Context(), event.SubjectPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	quick, err := b.Follow(0).Subscribe(t.Context(), event.SubjectPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 200<<10)
	const n = feedBytes/(200<<10) + 20
	for i := range uint64(n) {
		if _, err := b.Append(t.Context(), i, testEvent(testAddress, &event.SyncFailed{SyncID: "syn_1", Message: text})); err != nil {
			t.Fatal(err)
		}
		receiveOne(t, quick)
	}
	b.feed.mu.Lock()
	kept := b.feed.bytes
	b.feed.mu.Unlock()
	if kept > feedBytes || kept < feedBytes/2 {
		t.Errorf("%d bytes kept", kept)
	}
	for want := range uint64(n) {
		if e, err := wire.EventOf(receiveOne(t, slow)); err != nil || e.Sequence != want+1 {
			t.Fatalf("got %v, %v; wanted %d", e, err, want+1)
		}
	}
}

// Readers of the past take turns by organization: one that has its share waits,
// another does not, and a line that is too long only takes longer.
func TestReadersOfThePastTakeTurns(t *testing.T) {
	t.Parallel()
	b := open(t)
	appendMany(t, b, testAddress, 3)
	other := testAddress
	other.Organization = "other"
	appendMany(t, b, other, 3)
	var held []*fairqueue.Ticket
	for range pastEach {
		k, err := b.past.Wait(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, k)
	}
	read := func(ctx context.Context, organization string, last uint64) (n int, err error) {
		err = b.Past(ctx, 0, last, []string{"headwater.events." + organization + ".>"}, func(*message.Message) bool { n++; return true })
		return n, err
	}
	if n, err := read(t.Context(), "other", 6); n != 3 || err != nil {
		t.Errorf("another organization read %d, %v", n, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if n, err := read(short, "acme", 3); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beyond its share it read %d, %v", n, err)
	}
	const readers = 2 * 64
	done := make(chan error, readers)
	for range readers {
		go func() {
			n, err := read(t.Context(), "acme", 3)
			if n != 3 && err == nil {
				err = fmt.Errorf("read %d", n)
			}
			done <- err
		}()
	}
	for _, k := range held {
		b.past.Leave(k)
	}
	for range readers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	broker.Eventually(t, "nobody reads the log", func() bool { return consumersOf(t, b) == 0 })
}

// TestReplayHoldsFewLargeBodies: who does not take what is read does not have
// all of it fetched.
func TestReplayHoldsFewLargeBodies(t *testing.T) {
	b := open(t)
	const events = 3 * largeAhead
	var last uint64
	for n := range events {
		e := &event.Event{ID: fmt.Sprint("large", n), Time: time.Now(), Data: &event.SyncFailed{
			Meta: event.At(testAddress, event.Operation{ID: "op_1"}), SyncID: fmt.Sprint("syn_", n), Message: strings.Repeat("m", wire.MaxInline+1)}}
		var err error
		if last, err = b.Append(t.Context(), last, e); err != nil {
			t.Fatal(err)
		}
	}
	r := &replay{of: b.Readers, ctx: t.Context(), last: last, decode: make(chan *chunk, chunksAhead), chunks: make(chan *chunk, chunksAhead), large: make(chan struct{}, largeAhead)}
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		r.run()
	}()
	for n := range events {
		c := <-r.chunks
		if ahead := len(r.chunks); !c.large || ahead >= largeAhead {
			t.Fatalf("%d large ones are read ahead", ahead)
		}
		if len(c.messages) != 1 || c.messages[0].sequence != uint64(n+1) {
			t.Fatalf("chunk %d: %+v", n, c.messages)
		}
		select {
		case <-r.large:
		default:
			t.Fatal("a large one has no place")
		}
	}
	<-reading
}
