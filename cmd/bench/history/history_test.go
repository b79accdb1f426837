package history

import (
	"reflect"
	"testing"

	"headwater/bus/bustest"
	"headwater/bus/event"
)

// TestHistoryIsOneOfAService: the history has so many events, each as readers
// are promised it, of every kind that it tells of, and is the same each time.
func TestHistoryIsOneOfAService(t *testing.T) {
	bustest.CheckEvents()
	defer func() { event.Checked = nil }()
	const count = 60_000
	kinds := map[string]int{}
	var some []*event.Event
	n := 0
	for e := range Of(count) {
		n++
		if kinds[e.Name()]++; n%100 != 0 {
			continue
		}
		some = append(some, e)
		if _, _, err := e.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	if n != count {
		t.Errorf("%d events", n)
	}
	for _, name := range []string{
		"SourceConnected", "SchemaDiscovered", "OperationAccepted", "SyncStarted", "SyncProgressed", "SyncCompleted", "SyncFailed",
		"SourceRemoved", "SourceRestored", "SourcePurged",
	} {
		if kinds[name] == 0 {
			t.Errorf("no %s in %v", name, kinds)
		}
	}
	i, at := 0, 0
	for e := range Of(count) {
		if at++; at%100 != 0 {
			continue
		}
		if !reflect.DeepEqual(e, some[i]) {
			t.Fatalf("event %d is another: %+v, before %+v", at, e.Data, some[i].Data)
		}
		i++
	}
}
