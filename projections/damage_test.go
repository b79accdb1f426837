package projections

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/projections/layout"
)

// fullStore leaves a closed store that holds several table files and an edited
// manifest.
func fullStore(t *testing.T, h *history) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewMem()
	s := openOn(t, mem)
	for from := 0; from < len(h.events); from += 20 {
		apply(t, s, h.events[from:min(from+20, len(h.events))]...)
		if from%100 == 0 {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return mem
}

func clone(t *testing.T, from vfs.FS) *vfs.MemFS {
	t.Helper()
	to := vfs.NewMem()
	if ok, err := vfs.Clone(from, to, "store", "store"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	return to
}

func read(t *testing.T, from vfs.FS, name string) []byte {
	t.Helper()
	f, err := from.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, to vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := to.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// prefixes remembers the hash of each beginning of a history.
func prefixes(t *testing.T, h *history) func(position uint64) string {
	known := map[uint64]string{}
	return func(position uint64) string {
		if known[position] == "" {
			s := openMem(t)
			apply(t, s, h.events[:position]...)
			known[position] = hashOf(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		return known[position]
	}
}

// TestDamageIsNeverServed flips bytes and cuts the ends of every file: what
// opens is a true beginning of the history, or empty.
func TestDamageIsNeverServed(t *testing.T) {
	h := life(150)
	whole := fullStore(t, h)
	names, err := whole.List("store")
	if err != nil {
		t.Fatal(err)
	}
	hashAt := prefixes(t, h)
	rebuilt, intact, behind := 0, 0, 0
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for _, name := range names {
		path := "store/" + name
		size := len(read(t, whole, path))
		tries := 40
		if name == "LOCK" || size == 0 {
			continue
		}
		for try := range tries {
			damaged := clone(t, whole)
			b := read(t, whole, path)
			if offset := random.IntN(size); try%5 == 0 {
				b = b[:offset]
			} else {
				b[offset] ^= byte(1 + random.IntN(255))
			}
			write(t, damaged, path, b)
			s, err := Open(Options{Dir: "store", FS: damaged, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatalf("seed %d: %s, try %d: not rebuilt: %v", seed, name, try, err)
			}
			switch position := s.Position(); {
			case position == 0:
				rebuilt++
			case hashOf(t, s) != hashAt(position):
				t.Errorf("seed %d: %s, try %d: what is served at %d is not the history", seed, name, try, position)
			case position == uint64(len(h.events)):
				intact++
			default:
				behind++
			}
			apply(t, s, h.events...)
			if hashOf(t, s) != hashAt(uint64(len(h.events))) {
				t.Errorf("seed %d: %s, try %d: not the same after catching up", seed, name, try)
			}
			if err := s.Close(); err != nil {
				t.Errorf("%s: close: %v", name, err)
			}
		}
	}
	t.Logf("%d files: %d rebuilt, %d intact, %d behind", len(names), rebuilt, intact, behind)
	if rebuilt == 0 {
		t.Error("no damage was noticed")
	}
}

// TestMissingBatchIsNoticed takes away what one flush wrote, as a damaged
// manifest does, and leaves everything after it.
func TestMissingBatchIsNoticed(t *testing.T) {
	h := life(20)
	mem := vfs.NewMem()
	s := openOn(t, mem)
	apply(t, s, h.events[:10]...)
	apply(t, s, h.events[10:20]...)
	apply(t, s, h.events[20:]...)
	// Every key that the second batch alone wrote.
	b := s.db.NewBatch()
	for _, e := range h.events[10:20] {
		if err := b.Delete(layout.AddressKey(layout.KeySyncOf, e.Address()), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(layout.PutSequence([]byte{layout.KeyMark}, 20), nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Commit(pebble.NoSync), s.Close()); err != nil {
		t.Fatal(err)
	}
	if s = openOn(t, mem); s.Position() != 0 {
		t.Errorf("a store without its second batch opens at %d", s.Position())
	}
	apply(t, s, h.events...)
	if err := errors.Join(s.db.Delete(layout.PutSequence([]byte{layout.KeyMark}, s.Position()), pebble.NoSync), s.Close()); err != nil {
		t.Fatal(err)
	}
	if s = openOn(t, mem); s.Position() != 0 {
		t.Errorf("a store without the mark of its last batch opens at %d", s.Position())
	}
}

// TestPowerLoss drops what was not synced: the store is behind, not wrong.
func TestPowerLoss(t *testing.T) {
	h := life(60)
	hashAt := prefixes(t, h)
	for seed := range uint64(20) {
		mem := vfs.NewCrashableMem()
		s := openOn(t, mem)
		for from := 0; from < len(h.events); from += 7 {
			apply(t, s, h.events[from:min(from+7, len(h.events))]...)
			if from%49 == 0 {
				if err := s.db.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, 1))})
		after := openOn(t, crashed)
		if p := after.Position(); hashOf(t, after) != hashAt(p) {
			t.Errorf("seed %d: what is served at %d is not the history", seed, p)
		}
		apply(t, after, h.events...)
		if hashOf(t, after) != hashAt(uint64(len(h.events))) {
			t.Errorf("seed %d: not the same after catching up", seed)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	mem := vfs.NewMem()
	s := openOn(t, mem)
	if _, err := Open(Options{Dir: "store", FS: mem}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second Open: %v", err)
	}
	apply(t, s, life(3).events...)
	if err := s.db.Set([]byte{layout.KeyFollowed, 'l'}, layout.PutSequence(nil, layout.Version+1), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	s, err := Open(Options{Dir: "store", FS: mem, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil || s.Position() != 0 || !strings.Contains(logged.String(), "rebuilt") {
		t.Errorf("another layout: %v at %d, %s", err, s.Position(), logged.String())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, system := range []error{fs.ErrPermission, fmt.Errorf("wrapped: %w", fs.ErrPermission)} {
		if !refusesRebuild(system) {
			t.Errorf("%v would empty the store", system)
		}
	}
}
