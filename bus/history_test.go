package bus

import "testing"

func TestNewestOf(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	shared, foreign := testAddress, testAddress
	shared.Owner, foreign.Owner = "", "eve"
	newest := func(want uint64, filters ...string) {
		t.Helper()
		if got, err := b.NewestOf(t.Context(), filters...); err != nil || got != want {
			t.Errorf("%v: %d, %v, wanted %d", filters, got, err, want)
		}
	}
	newest(0, "headwater.events.>")
	appendMany(t, b, testAddress, 3)
	appendMany(t, b, shared, 1)
	appendMany(t, b, foreign, 2)
	newest(6, "headwater.events.>")
	newest(4, testAddress.Filter(), shared.Filter())
	newest(4, shared.Filter(), testAddress.Filter())
	newest(3, testAddress.Subject("SyncProgressed"))
	newest(0, testAddress.Subject("SyncCompleted"))
	newest(6, "headwater.events.acme.*.*.*.SyncProgressed")
}

// Readers that end leave nothing on the broker.
func TestReadersAreCounted(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	appendMany(t, b, testAddress, 1)
	sub := b.Ordered(0)
	messages, err := sub.Subscribe(t.Context(), "headwater.events.>")
	if err != nil {
		t.Fatal(err)
	}
	receiveOne(t, messages)
	readers := func(want int) {
		t.Helper()
		if s, err := b.EventsState(t.Context()); err != nil || s.Readers != want {
			t.Errorf("%d readers, %v, wanted %d", s.Readers, err, want)
		}
	}
	readers(1)
	if err := sub.Close(); err != nil {
		t.Fatal(err)
	}
	readers(0)
}
