package bus

import (
	"errors"
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
)

func TestFullDiskRefusesWritesAndKeepsReads(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	appendMany(t, b, testAddress, 1)
	kv := b.Bucket(BucketCatalog)
	rev, err := kv.Create(t.Context(), "a", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	b.disk.reserve = 1 << 62 // more than any disk has: it is full

	_, appendErr := b.Append(t.Context(), 1, testEvent(testAddress, &event.SyncStarted{}))
	_, createErr := kv.Create(t.Context(), "b", nil, 0)
	_, updateErr := kv.Update(t.Context(), "a", nil, rev)
	for what, err := range map[string]error{
		"append": appendErr, "create": createErr, "update": updateErr,
		"send": b.Send(t.Context(), testCommand(testAddress, &command.SyncSource{})),
	} {
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "disk is full") {
			t.Errorf("%s: %v", what, err)
		}
	}
	readEvents(t, b, 0, 1)
	if _, err := kv.Get(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if err := kv.Erase(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	b.disk.reserve = reservedBytes
	appendMany(t, b, testAddress, 1)
}
