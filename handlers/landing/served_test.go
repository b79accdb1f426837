package landing

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/reading"
	"headwater/handlers/landing/retain"
)

// nextMillisecond returns a time behind all that was committed, before all that
// is committed next.
func nextMillisecond() time.Time {
	at := time.Now()
	for time.Now().UnixMilli() <= at.UnixMilli()+1 {
		time.Sleep(time.Millisecond)
	}
	return at
}

func TestMetadataAsItWas(t *testing.T) {
	l := openLake(t, kvtest.New())
	ask := func(at time.Time) (reading.Described, error) {
		return l.Metadata(t.Context(), home, "public", "orders", at)
	}
	if _, err := ask(time.Time{}); !errors.Is(err, ErrNoTable) {
		t.Errorf("before anything landed: %v", err)
	}
	before := nextMillisecond()
	var places []reading.Described
	var times []time.Time
	for fence := uint64(1); fence <= 3; fence++ {
		w := begin(t, l, full(fence, fmt.Sprintf("syn%d", fence)))
		write(t, w, 0, int64(fence)*10)
		commit(t, w, nil, true)
		times = append(times, nextMillisecond())
		now, err := ask(time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, now)
	}
	for i, at := range times {
		then, err := ask(at)
		if err != nil || then.Metadata != places[i].Metadata || string(then.JSON) != string(places[i].JSON) {
			t.Errorf("as of commit %d: %s, %v, want %s", i, then.Metadata, err, places[i].Metadata)
		}
	}
	if _, err := ask(before); !errors.Is(err, ErrNoTable) {
		t.Errorf("before the first commit: %v", err)
	}
	var c struct {
		Snapshots []struct {
			List string `json:"manifest-list"`
		} `json:"snapshots"`
	}
	if err := json.Unmarshal(places[0].JSON, &c); err != nil {
		t.Fatal(err)
	}
	if err := l.files.Remove(c.Snapshots[0].List); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(times[0]); !errors.Is(err, ErrExpired) {
		t.Errorf("once its files are gone: %v", err)
	}
	if _, err := ask(times[1]); err != nil {
		t.Errorf("the one behind it: %v", err)
	}
	// More commits than the log of former metadata holds.
	for fence := uint64(4); fence <= 26; fence++ {
		w := begin(t, l, full(fence, fmt.Sprintf("syn%d", fence)))
		write(t, w, 0, 1)
		commit(t, w, nil, true)
	}
	if then, err := ask(times[1]); err != nil || then.Metadata != places[1].Metadata {
		t.Errorf("beyond the log: %s, %v, want %s", then.Metadata, err, places[1].Metadata)
	}
	l.now = func() time.Time { return time.Now().Add(retain.Grace + time.Minute) }
	if _, err := ask(times[1]); !errors.Is(err, ErrExpired) {
		t.Errorf("beyond the grace: %v", err)
	}
	now, err := ask(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.files.Remove(now.Metadata); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(time.Time{}); !errors.Is(err, ErrStorage) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with its metadata deleted by hand: %v", err)
	}
}
