package bus

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/event"
	"headwater/bus/wire"
)

// consumersOf returns how many consumers the events have.
func consumersOf(t *testing.T, b *Bus) int {
	t.Helper()
	state, err := b.EventsState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state.Readers
}

// followed reads that many events and holds that they are the ones that the
// filters mean, without a gap or a repeat.
func (f *followedBy) read(t *testing.T, n int) {
	t.Helper()
	for range n {
		e, err := EventOf(receiveOne(t, f.messages))
		if err != nil {
			t.Fatal(err)
		}
		f.got = append(f.got, e.Sequence)
	}
}

// Many who follow the log cost one consumer, whether they begin at its start, in
// its middle or at its end, and each gets what its filters mean, once, in order.
func TestFollowersShareOneConsumer(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	addresses := make([]event.Address, 5)
	for i := range addresses {
		addresses[i] = testAddress
		addresses[i].Workspace, addresses[i].Source = fmt.Sprint("w", i%3), fmt.Sprint("src_", i)
	}
	const before, during, readers = 700, 500, 60
	var written []event.Address
	write := func(n int) {
		for range n {
			a := addresses[rand.IntN(len(addresses))]
			appendMany(t, b, a, 1)
			written = append(written, a)
		}
	}
	write(before)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all []*followedBy
	for i := range readers {
		f := &followedBy{after: uint64(rand.IntN(before + 1)), filter: "headwater.events.acme.*.>"}
		if i%2 == 0 {
			f.workspace = fmt.Sprint("w", i%3)
			f.filter = "headwater.events.acme." + f.workspace + ".ada.*.*,headwater.events.acme." + f.workspace + "._.*.*"
		}
		var err error
		if f.messages, err = b.Follow(f.after).Subscribe(ctx, f.filter); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		write(during)
	}()
	<-wrote
	var reading sync.WaitGroup
	for _, f := range all {
		f.want = f.meant(written)
		reading.Go(func() { f.read(t, len(f.want)) })
	}
	reading.Wait()
	for i, f := range all {
		if fmt.Sprint(f.got) != fmt.Sprint(f.want) {
			t.Errorf("reader %d after %d of %s got\n%v, wanted\n%v", i, f.after, f.filter, f.got, f.want)
		}
	}
	if n := consumersOf(t, b); n != 1 {
		t.Errorf("%d consumers", n)
	}
	cancel()
	eventually(t, "nobody reads the log", func() bool { return consumersOf(t, b) == 0 })
}

// followedBy is a follower of the tests.
type followedBy struct {
	after     uint64
	workspace string
	filter    string
	messages  <-chan *message.Message
	got, want []uint64
}

func (f *followedBy) meant(written []event.Address) (all []uint64) {
	for i, a := range written {
		if sequence := uint64(i) + 1; sequence > f.after && (f.workspace == "" || a.Workspace == f.workspace) {
			all = append(all, sequence)
		}
	}
	return all
}

// A body that lies elsewhere comes whole, from the feed and from the log.
func TestFollowersGetLargeBodies(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	text := strings.Repeat("x", MaxInline+1)
	put := func(after uint64) {
		if _, err := b.Append(t.Context(), after, testEvent(testAddress, &event.SyncFailed{SyncID: "syn_1", Message: text})); err != nil {
			t.Fatal(err)
		}
	}
	put(0)
	messages, err := b.Follow(0).Subscribe(t.Context(), event.SubjectPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	put(1)
	for range 2 {
		e, err := EventOf(receiveOne(t, messages))
		if err != nil || e.Data.(*event.SyncFailed).Message != text {
			t.Fatalf("got %v, %v", e, err)
		}
	}
}

func TestPast(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	other := testAddress
	other.Source = "src_2"
	for range 2 {
		appendMany(t, b, testAddress, 200)
		appendMany(t, b, other, 150)
	}
	mine := "headwater.events.acme.w1.ada.src_1.*"
	newest, err := b.NewestOf(t.Context(), mine)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ after, last, first, end, n uint64 }{
		{0, newest, 1, 550, 400}, {0, 1, 1, 1, 1}, {100, 300, 101, 200, 100}, {200, 360, 351, 360, 10}, {newest, newest, 0, 0, 0}, {210, 340, 0, 0, 0},
	} {
		var got []uint64
		err := b.Past(t.Context(), test.after, test.last, []string{mine}, func(msg *message.Message) bool {
			got = append(got, wire.Number(msg, MetaSequence))
			return true
		})
		if err != nil || uint64(len(got)) != test.n || test.n > 0 && (got[0] != test.first || got[len(got)-1] != test.end) {
			t.Errorf("after %d up to %d: %v, %v", test.after, test.last, got, err)
		}
	}
	n := 0
	if err := b.Past(t.Context(), 0, newest, []string{mine}, func(*message.Message) bool { n++; return n < 3 }); err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Past(ended, 0, newest, []string{mine}, func(*message.Message) bool { return true }); err == nil {
		t.Error("read after its context ended")
	}
	eventually(t, "nobody reads the log", func() bool { return consumersOf(t, b) == 0 })
}

// A read of the past costs what it finds, not what a pull could bring at most.
func TestPastOfFewEventsIsCheap(t *testing.T) { // alone: it counts the process's memory
	b := openBus(t, Config{})
	appendMany(t, b, testAddress, 3)
	const reads = 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range reads {
		if err := b.Past(t.Context(), 0, 3, []string{"headwater.events.acme.>"}, func(*message.Message) bool { return true }); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / reads; each > 2<<20 {
		t.Errorf("a read of three events allocates %d KiB, want at most 2048", each>>10)
	}
}
