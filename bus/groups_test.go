package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/event"
	"headwater/bus/groupcommit"
)

// Many writers at once, with repeats and histories that moved on among them,
// against the broker itself.
func TestManyAppendTogether(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	if b.groups == nil {
		t.Skip("there is no memory to stage batches in")
	}
	if batched := manyAppend(t, b); batched == 0 {
		t.Error("no event came in a batch")
	}
}

// Without group commit the same holds.
func TestManyAppendPlainly(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{PlainAppends: true})
	if b.groups != nil {
		t.Error("group commit began")
	}
	if batched := manyAppend(t, b); batched != 0 {
		t.Errorf("%d events came in batches", batched)
	}
}

// A broker whose store is not as group commit knows it works, by plain appends,
// and the log says what to do.
func TestAnUnknownLayoutTakesPlainAppends(t *testing.T) {
	t.Parallel()
	said := new(strings.Builder)
	b := openBus(t, Config{PlainAppends: true, Log: slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	elsewhere, err := groupcommit.Prepare(t.TempDir(), grouped...) // where the broker keeps nothing
	if err == nil {
		err = b.beginGroups(t.Context(), elsewhere)
	}
	if err != nil {
		t.Fatal(err)
	}
	if b.groups != nil || !strings.Contains(said.String(), "one by one") || !strings.Contains(said.String(), "build with nats-server") {
		t.Errorf("group commit began, or the log does not say what to do: %s", said)
	}
	if batched := manyAppend(t, b); batched != 0 {
		t.Errorf("%d events came in batches", batched)
	}
}

// manyAppend has many writers append at once and returns how many events came in
// batches.
func manyAppend(t *testing.T, b *Bus) (batched int) {
	t.Helper()
	const writers, each = 48, 12
	var refused, repeated atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		a := event.Address{Organization: "acme", Workspace: "w", Owner: "ada", Source: fmt.Sprintf("src_%d", w)}
		wg.Go(func() {
			after := uint64(0)
			for n := range each {
				e := testEvent(a, &event.SyncFailed{Message: fmt.Sprint(n)})
				if n%4 == 3 {
					if _, err := b.Append(t.Context(), after+1_000_000, e); !errors.Is(err, ErrConflict) {
						t.Errorf("an event behind what is not there: %v", err)
					}
					refused.Add(1)
				}
				sequence, err := b.Append(t.Context(), after, e)
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				if n%5 == 4 {
					again, err := b.Append(t.Context(), after, e)
					if err != nil || again != sequence {
						t.Errorf("a repeat of %d: %d %v", sequence, again, err)
					}
					repeated.Add(1)
				}
				after = sequence
			}
		})
	}
	events := readEvents(t, b, 0, writers*each)
	wg.Wait()
	next := map[string]int{}
	for _, e := range events {
		if got := e.Data.(*event.SyncFailed).Message; got != fmt.Sprint(next[e.Address().Source]) {
			t.Fatalf("event %d of %s is its %s.", e.Sequence, e.Address().Source, got)
		}
		next[e.Address().Source]++
		raw, err := b.events.GetMsg(t.Context(), e.Sequence)
		if err != nil {
			t.Fatal(err)
		}
		if groupcommit.InBatch(raw.Header) {
			batched++
		}
	}
	if refused.Load() == 0 || repeated.Load() == 0 {
		t.Errorf("%d events were refused, %d repeated", refused.Load(), repeated.Load())
	}
	t.Logf("%d of %d events came in batches", batched, len(events))
	return batched
}

// Of two writers behind the same end of a history one is refused, also when both
// wait for the same batch: the broker itself would store both.
func TestABatchKeepsTheFence(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	const sources = 300
	won := make([]atomic.Int64, sources)
	var wg sync.WaitGroup
	for s := range sources {
		a := testAddress
		a.Source = fmt.Sprintf("src_%d", s)
		for range 2 {
			wg.Go(func() {
				switch _, err := b.Append(t.Context(), 0, testEvent(a, &event.SyncFailed{})); {
				case err == nil:
					won[s].Add(1)
				case !errors.Is(err, ErrConflict):
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for s := range won {
		if n := won[s].Load(); n != 1 {
			t.Errorf("source %d has %d events behind 0", s, n)
		}
	}
}

// What came in a batch can be sent on, alone.
func TestWhatCameInABatchIsSentOn(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	msg := message.NewMessage(testID(), []byte("{}"))
	for _, key := range []string{"Nats-Batch-Id", "Nats-Batch-Sequence", "Nats-Batch-Commit"} {
		msg.Metadata.Set(key, "5")
	}
	if err := b.Publisher().Publish(SubjectDeadLetters+".sent.on", msg); err != nil {
		t.Error(err)
	}
}
