package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"headwater/bus/event"
	"headwater/bus/wire"
)

// chunkEvents are decoded together.
const chunkEvents = 256

// replayed is what is told of one message.
type replayed struct {
	sequence uint64
	event    *event.Event
	size     int
	err      error
}

// onBoth runs a test with the broker in this process and with an external one.
func onBoth(t *testing.T, f func(*testing.T, *Bus)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { t.Parallel(); f(t, openBus(t, Config{})) })
	t.Run("external", func(t *testing.T) {
		t.Parallel()
		f(t, openBus(t, Config{URL: startServer(t, t.TempDir(), 0).ClientURL()}))
	})
}

// publishRaw stores a message without waiting for it; the caller asks for the
// last one.
func publishRaw(t *testing.T, b *Bus, e *event.Event, change func(*nats.Msg)) {
	t.Helper()
	headers, body, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	msg := nats.NewMsg(e.Subject())
	for name, value := range headers {
		msg.Header.Set(name, value)
	}
	if msg.Data = body; change != nil {
		change(msg)
	}
	if err := b.conns[0].PublishMsg(msg); err != nil {
		t.Fatal(err)
	}
}

func progress(n int) *event.Event {
	e := testEvent(testAddress, &event.SyncProgressed{SyncID: fmt.Sprint("syn_", n), Table: event.TableResult{Name: `quoted "é"`, Message: "<line>\n"}})
	e.Causation = fmt.Sprint("cause ", n)
	return e
}

func waitLast(t *testing.T, b *Bus, last uint64) {
	t.Helper()
	eventually(t, fmt.Sprint("the log ends at ", last), func() bool {
		state, err := b.EventsState(t.Context())
		return err == nil && state.Last == last
	})
}

// TestReplay compares what is replayed with what Ordered and EventOf give, from
// and to several places, with everything in the log that can be there.
func TestReplay(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *Bus) {
		odd := map[int]func(*nats.Msg){
			3:  func(m *nats.Msg) { m.Header.Set(event.HeaderType, "headwater.Unheard.v1") },
			5:  func(m *nats.Msg) { m.Data = []byte("{") },
			7:  func(m *nats.Msg) { m.Header[event.HeaderID] = []string{"first", "second"} },
			9:  func(m *nats.Msg) { m.Subject = "headwater.events.evil.w._.s.SyncProgressed" },
			11: func(m *nats.Msg) { m.Header, m.Data = nil, nil },
			13: func(m *nats.Msg) { m.Header.Set(event.HeaderDataRef, "sha256:"+"00"); m.Data = nil },
			15: func(m *nats.Msg) { m.Header.Set(event.HeaderTime, "yesterday") },
			17: func(m *nats.Msg) { m.Header["x"] = []string{"a:b", ""} },
		}
		const n = 2*chunkEvents + 9
		for i := range n - 1 {
			publishRaw(t, b, progress(i), odd[i])
		}
		waitLast(t, b, n-1)
		large := testAddress
		large.Source = "src_large"
		comment := strings.Repeat("x", MaxInline+1)
		if _, err := b.Append(t.Context(), 0, testEvent(large, &event.SchemaDiscovered{Cause: "connect", Tables: []event.Table{{Name: "t", Columns: []event.Column{{Name: "c", Comment: comment}}}}})); err != nil {
			t.Fatal(err)
		}
		var want []replayed
		messages, err := b.Ordered(0).Subscribe(t.Context(), event.SubjectPrefix+".>")
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			msg := receiveOne(t, messages)
			e, err := EventOf(msg)
			want = append(want, replayed{sequence: wire.Number(msg, MetaSequence), event: e, size: len(msg.Payload), err: err})
		}
		failed := 0
		for _, part := range [][2]uint64{{0, n}, {0, 1}, {0, chunkEvents}, {1, chunkEvents + 1}, {chunkEvents - 1, n - 1}, {n - 1, n}, {n, n}} {
			at := part[0]
			err := b.Replay(t.Context(), part[0], part[1], func(sequence uint64, e *event.Event, size int, err error) error {
				w := want[at]
				if at++; sequence != at || size != w.size || !reflect.DeepEqual(e, w.event) || (err == nil) != (w.err == nil) ||
					errors.Is(err, event.ErrUnknown) != errors.Is(w.err, event.ErrUnknown) || errors.Is(err, event.ErrReferenced) != errors.Is(w.err, event.ErrReferenced) {
					t.Errorf("%d of %d bytes: %+v, %v\nwanted %d of %d: %+v, %v", sequence, size, e, err, at, w.size, w.event, w.err)
				}
				if err != nil {
					failed++
				}
				return nil
			})
			if err != nil || at != part[1] {
				t.Errorf("from %d to %d: ended at %d, %v", part[0], part[1], at, err)
			}
		}
		if failed == 0 {
			t.Error("nothing odd was met")
		}
	})
}

// TestReplayOutlivesItsConsumer: a consumer that the broker dropped leaves
// neither a gap nor a repeat, also where a chunk is half full.
func TestReplayOutlivesItsConsumer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *Bus) {
		const before, n = chunkEvents + 40, 2*chunkEvents + 80
		for i := range before {
			publishRaw(t, b, progress(i), nil)
		}
		waitLast(t, b, before)
		at := uint64(0)
		err := b.Replay(t.Context(), 0, n, func(sequence uint64, _ *event.Event, _ int, err error) error {
			if at++; sequence != at || err != nil {
				return fmt.Errorf("%d came as %d: %w", sequence, at, err)
			}
			if at > 1 {
				return nil
			}
			lost := 0
			for name := range b.events.ConsumerNames(t.Context()).Name() {
				if err := b.events.DeleteConsumer(t.Context(), name); err != nil {
					return err
				}
				lost++
			}
			if lost != 1 {
				return fmt.Errorf("%d consumers", lost)
			}
			for i := range n - before {
				publishRaw(t, b, progress(i), nil)
			}
			return nil
		})
		if err != nil || at != n {
			t.Errorf("ended at %d: %v", at, err)
		}
		eventually(t, "the broker forgets the consumers", func() bool {
			info, err := b.events.Info(t.Context())
			return err == nil && info.State.Consumers == 0
		})
	})
}

// TestReplayOfLargeMessages: what a pull may bring is used up by their size.
func TestReplayOfLargeMessages(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *Bus) {
		const size = 200 << 10
		const n = 2 * (16 << 20) / size
		body, err := json.Marshal(strings.Repeat("x", size))
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			publishRaw(t, b, progress(i), func(m *nats.Msg) { m.Data = body })
		}
		waitLast(t, b, n)
		at := uint64(0)
		if err := b.Replay(t.Context(), 0, n, func(sequence uint64, _ *event.Event, got int, _ error) error {
			if at++; sequence != at || got != len(body) {
				return fmt.Errorf("%d of %d bytes came as %d", sequence, got, at)
			}
			return nil
		}); err != nil || at != n {
			t.Errorf("ended at %d: %v", at, err)
		}
	})
}

func TestReplayEnds(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *Bus) {
		for i := range 2 * chunkEvents {
			publishRaw(t, b, progress(i), nil)
		}
		waitLast(t, b, 2*chunkEvents)
		enough := errors.New("enough")
		seen := 0
		if err := b.Replay(t.Context(), 0, 2*chunkEvents, func(uint64, *event.Event, int, error) error {
			if seen++; seen == 10 {
				return enough
			}
			return nil
		}); !errors.Is(err, enough) || seen != 10 {
			t.Errorf("after %d: %v", seen, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if err := b.Replay(ctx, 0, 1<<40, func(uint64, *event.Event, int, error) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("its context ended: %v", err)
		}
		closing := make(chan error, 1)
		err := b.Replay(t.Context(), 0, 1<<40, func(sequence uint64, _ *event.Event, _ int, _ error) error {
			if sequence == 1 {
				go func() { closing <- b.Close(context.WithoutCancel(t.Context())) }()
			}
			return nil
		})
		if !errors.Is(err, ErrClosed) {
			t.Errorf("the bus was closed: %v", err)
		}
		if err := <-closing; err != nil {
			t.Error(err)
		}
		if err := b.Replay(t.Context(), 0, 1, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("of a closed bus: %v", err)
		}
	})
}
