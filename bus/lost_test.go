package bus

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

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
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			read := 0
			err = b.Replay(ctx, 0, events, func(uint64, *event.Event, int, error) error { read++; return nil })
			if !errors.Is(err, ErrHistoryMissing) {
				t.Errorf("read %d of %d events: %v", read, events, err)
			}
		})
	}
}
