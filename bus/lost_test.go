package bus

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
)

// written returns a closed store with that many events and the file that holds
// them.
func written(t *testing.T, n int) (dir, block string) {
	t.Helper()
	dir = t.TempDir()
	b := openBus(t, Config{Dir: dir})
	appendMany(t, b, testAddress, n)
	closeBus(t, b)
	blocks, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", StreamEvents, "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("blocks %v, %v", blocks, err)
	}
	return dir, blocks[len(blocks)-1]
}

// edit changes a file in place.
func edit(t *testing.T, path string, change func(content []byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A log that has lost events is found out when it is opened or when it is read,
// and reading it always ends.
func TestLostEventsAreNoticed(t *testing.T) {
	t.Parallel()
	const events = 30
	// spoil changes one byte of the n-th event's body.
	spoil := func(n int) func([]byte) []byte {
		return func(content []byte) []byte {
			at, changed := 0, slices.Clone(content)
			for range n {
				at += bytes.Index(content[at:], []byte(`"sync_id"`)) + 1
			}
			changed[at+2] ^= 0xff
			return changed
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"cut within the last": func(c []byte) []byte { return c[:len(c)-100] },
		"cut in the middle":   func(c []byte) []byte { return c[:len(c)/2] },
		"emptied":             func([]byte) []byte { return nil },
		"first damaged":       spoil(1),
		"damaged":             spoil(15),
		"last damaged":        spoil(30),
		"zeroes in the middle": func(c []byte) []byte {
			changed := slices.Clone(c)
			clear(changed[len(c)/2 : len(c)/2+512])
			return changed
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, block := written(t, events)
			edit(t, block, change)
			b, err := Open(t.Context(), Config{Dir: dir})
			if err != nil {
				if !errors.Is(err, ErrHistoryMissing) {
					t.Errorf("opened: %v", err)
				}
				return
			}
			defer closeBus(t, b)
			ctx, cancel := context.WithTimeout(t.Context(), testLimit)
			defer cancel()
			read := 0
			err = b.Replay(ctx, 0, events, func(uint64, *event.Event, int, error) error { read++; return nil })
			if !errors.Is(err, ErrHistoryMissing) {
				t.Errorf("read %d of %d events: %v", read, events, err)
			}
		})
	}
}

// What a log may be without having lost anything: empty, whole, or without its
// beginning, as a copy that was begun later is.
func TestWholeLogs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first, last, messages uint64
		whole                 bool
	}{
		"new":                        {0, 0, 0, true},
		"one":                        {1, 1, 1, true},
		"many":                       {1, 900, 900, true},
		"without its beginning":      {101, 900, 800, true},
		"emptied":                    {901, 900, 0, false},
		"one is gone":                {1, 900, 899, false},
		"one is gone further behind": {101, 900, 799, false},
	} {
		err := whole(jetstream.StreamState{FirstSeq: test.first, LastSeq: test.last, Msgs: test.messages})
		if (err == nil) != test.whole || err != nil && !errors.Is(err, ErrHistoryMissing) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Everything that takes something away by our own hand leaves the log whole:
// secrets that are erased, snapshots that are thinned, commands that are done, and
// events that are refused.
func TestWhatIsRemovedLeavesTheLogWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openBus(t, Config{Dir: dir})
	appendMany(t, b, testAddress, 5)
	e := testEvent(testAddress, &event.SyncProgressed{SyncID: "syn_1"})
	if _, err := b.Append(t.Context(), 2, e); !errors.Is(err, ErrConflict) {
		t.Fatalf("an append behind the end: %v", err)
	}
	for range 2 { // the second is the first one's repeat
		if _, err := b.Append(t.Context(), 5, e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Bucket(BucketSecrets).Create(t.Context(), "keyset.acme", []byte("k"), 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Bucket(BucketSecrets).Erase(t.Context(), "keyset.acme"); err != nil {
		t.Fatal(err)
	}
	closeBus(t, b)
	b = openBus(t, Config{Dir: dir})
	read := 0
	if err := b.Replay(t.Context(), 0, 6, func(uint64, *event.Event, int, error) error { read++; return nil }); err != nil || read != 6 {
		t.Errorf("read %d, %v", read, err)
	}
}
