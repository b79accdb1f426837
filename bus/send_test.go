package bus

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headwater/bus/command"
	"headwater/bus/event"
)

// readEvents returns the first n events after a sequence.
func readEvents(t *testing.T, b *Bus, after uint64, n int) []*event.Event {
	t.Helper()
	sub := b.Ordered(after)
	defer sub.Close()
	messages, err := sub.Subscribe(t.Context(), event.SubjectPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	var got []*event.Event
	for len(got) < n {
		select {
		case msg := <-messages:
			e, err := EventOf(msg)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
		case <-time.After(testLimit):
			t.Fatalf("read %d of %d events", len(got), n)
		}
	}
	return got
}

func TestAppendIsFenced(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	first := testEvent(testAddress, &event.SyncStarted{SyncID: "syn_1", Attempt: 1})
	seq, err := b.Append(t.Context(), 0, first)
	if err != nil || seq != 1 || first.Sequence != 1 {
		t.Fatalf("sequence %d (%d in the event), %v", seq, first.Sequence, err)
	}
	// Another source's events do not move this one's history.
	other := testAddress
	other.Source = "src_2"
	if _, err := b.Append(t.Context(), 0, testEvent(other, &event.SyncStarted{})); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Append(t.Context(), 0, testEvent(testAddress, &event.SyncStarted{})); !errors.Is(err, ErrConflict) {
		t.Errorf("a stale writer got %v", err)
	}
	// An event of another name belongs to the same history.
	if _, err := b.Append(t.Context(), 0, testEvent(testAddress, &event.SyncFailed{})); !errors.Is(err, ErrConflict) {
		t.Errorf("a stale writer of another event got %v", err)
	}
	if seq, err := b.Append(t.Context(), 1, testEvent(testAddress, &event.SyncFailed{})); err != nil || seq != 3 {
		t.Errorf("the right writer got %d, %v", seq, err)
	}
	for _, c := range []struct {
		a    event.Address
		want uint64
	}{{testAddress, 3}, {other, 2}, {event.Address{Organization: "acme", Workspace: "w1", Source: "src_1"}, 0}} {
		if got, err := b.LastSequence(t.Context(), c.a); err != nil || got != c.want {
			t.Errorf("last sequence of %v is %d, %v; wanted %d", c.a, got, err, c.want)
		}
	}
}

func TestAppendTwiceIsStoredOnce(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	e := testEvent(testAddress, &event.SyncStarted{SyncID: "syn_1"})
	for range 3 {
		if seq, err := b.Append(t.Context(), 0, e); err != nil || seq != 1 {
			t.Fatalf("got %d, %v; wanted the sequence of the first", seq, err)
		}
	}
	if _, err := b.Append(t.Context(), 1, testEvent(testAddress, &event.SyncFailed{})); err != nil {
		t.Fatal(err)
	}
	if seq, err := b.Append(t.Context(), 0, e); err != nil || seq != 1 {
		t.Errorf("after the history moved on: %d, %v", seq, err)
	}
	state, err := b.EventsState(t.Context())
	if err != nil || state.Last != 2 {
		t.Errorf("%d events, %v; wanted 2", state.Last, err)
	}
}

// Beyond the broker's memory of ids, the log itself shows the repeat.
func TestAppendTwiceAfterTheWindow(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	e := testEvent(testAddress, &event.SyncStarted{SyncID: "syn_1"})
	if _, err := b.Append(t.Context(), 0, e); err != nil {
		t.Fatal(err)
	}
	cfg := b.events.CachedInfo().Config
	cfg.Duplicates = 100 * time.Millisecond
	if _, err := b.publish.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // the window itself
	if seq, err := b.Append(t.Context(), 0, e); err != nil || seq != 1 {
		t.Errorf("got %d, %v; wanted the sequence of the first", seq, err)
	}
}

func TestLargeBodiesRoundTrip(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	tables := make([]event.Table, 4000)
	for i := range tables {
		tables[i] = event.Table{Name: fmt.Sprintf("table_%d", i), Kind: "table", PrimaryKey: []string{"id"},
			Columns: []event.Column{{Name: "id", Type: "int64", SourceType: "bigint"}, {Name: "note", Type: "string", SourceType: "text"}}}
	}
	e := testEvent(testAddress, &event.SchemaDiscovered{Version: 1, Cause: "connect", Tables: tables})
	if _, err := b.Append(t.Context(), 0, e); err != nil {
		t.Fatal(err)
	}
	raw, err := b.events.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw.Data) != 0 || !strings.HasPrefix(raw.Header.Get(event.HeaderDataRef), "sha256:") {
		t.Errorf("the message holds %d bytes and refers to %q", len(raw.Data), raw.Header.Get(event.HeaderDataRef))
	}
	if diff := cmp.Diff(e.Data, readEvents(t, b, 0, 1)[0].Data); diff != "" {
		t.Error(diff)
	}
	e = testEvent(testAddress, &event.SyncFailed{Message: strings.Repeat("x", MaxBody)})
	if _, err := b.Append(t.Context(), 1, e); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a body beyond the limit: %v", err)
	}
}

func TestSendTwiceIsStoredOnce(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	c := testCommand(testAddress, &command.SyncSource{SyncID: "syn_1"})
	for range 2 {
		if err := b.Send(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	// The same id on another subject is another message.
	c.Data.Header().SourceID = "src_2"
	if err := b.Send(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	s, err := b.publish.Stream(t.Context(), StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 2 {
		t.Errorf("%d commands stored, wanted 2", n)
	}
}

func TestSendRefusesIncompleteCommands(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	c := testCommand(event.Address{}, &command.SyncSource{})
	if err := b.Send(t.Context(), c); err == nil {
		t.Error("a command without an address was sent")
	}
}
