package bus

import "testing"

// TestCountAfter holds the count, and that asking leaves nothing behind.
func TestCountAfter(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	shared := testAddress
	shared.Owner = ""
	count := func(want, after uint64, filters ...string) {
		t.Helper()
		if got, err := b.CountAfter(t.Context(), after, filters...); err != nil || got != want {
			t.Errorf("%v after %d: %d, %v, wanted %d", filters, after, got, err, want)
		}
	}
	count(0, 0, "headwater.events.>")
	appendMany(t, b, testAddress, 3)
	appendMany(t, b, shared, 2)
	count(5, 0, "headwater.events.>")
	count(5, 0, testAddress.Filter(), shared.Filter())
	count(1, 2, testAddress.Filter())
	count(2, 3, testAddress.Filter(), shared.Filter())
	count(0, 5, "headwater.events.>")
	count(0, 0, testAddress.Subject("SyncCompleted"))
	if s, err := b.EventsState(t.Context()); err != nil || s.Readers != 0 {
		t.Errorf("%d consumers are left, %v", s.Readers, err)
	}
}
