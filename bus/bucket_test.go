package bus

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	kv, ctx := b.Bucket(BucketCatalog), t.Context()
	if _, err := kv.Get(ctx, "a"); !errors.Is(err, ErrKeyNotFound) {
		t.Errorf("get of nothing: %v", err)
	}
	rev, err := kv.Create(ctx, "a", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Create(ctx, "a", []byte("2"), 0); !errors.Is(err, ErrKeyExists) {
		t.Errorf("create again: %v", err)
	}
	next, err := kv.Update(ctx, "a", []byte("2"), rev)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Update(ctx, "a", []byte("3"), rev); !errors.Is(err, ErrConflict) {
		t.Errorf("update of an old revision: %v", err)
	}
	if _, err := kv.Update(ctx, "new", []byte("3"), 7); !errors.Is(err, ErrConflict) {
		t.Errorf("update of a key that is not there: %v", err)
	}
	if e, err := kv.Get(ctx, "a"); err != nil || string(e.Value) != "2" || e.Revision != next {
		t.Errorf("got %q at %d, %v", e.Value, e.Revision, err)
	}
	for _, key := range []string{"a.b", "a.b.c", "ab", "b.a"} {
		if _, err := kv.Create(ctx, key, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	for prefix, want := range map[string][]string{
		"":    {"a", "a.b", "a.b.c", "ab", "b.a"},
		"a":   {"a", "a.b", "a.b.c"},
		"a.b": {"a.b", "a.b.c"},
		"c":   nil,
	} {
		if got, err := kv.Keys(ctx, prefix); err != nil || !slices.Equal(got, want) {
			t.Errorf("keys of %q: %v, %v; wanted %v", prefix, got, err, want)
		}
	}
	for range 2 {
		if err := kv.Erase(ctx, "a"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kv.Get(ctx, "a"); !errors.Is(err, ErrKeyNotFound) {
		t.Errorf("get of an erased key: %v", err)
	}
	if got, err := kv.Keys(ctx, "a"); err != nil || !slices.Equal(got, []string{"a.b", "a.b.c"}) {
		t.Errorf("keys after erasing: %v, %v", got, err)
	}
	if _, err := kv.Update(ctx, "a", []byte("back"), next); !errors.Is(err, ErrConflict) {
		t.Errorf("update of an erased key: %v", err)
	}
	if _, err := kv.Create(ctx, "a", []byte("anew"), 0); err != nil {
		t.Errorf("create after erasing: %v", err)
	}
	if _, err := b.Bucket("HEADWATER_OTHER").Get(ctx, "a"); err == nil {
		t.Error("read from a bucket that does not exist")
	}
}

func TestBucketKeysExpire(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	kv := b.Bucket(BucketIdempotency)
	if _, err := kv.Create(t.Context(), "short", []byte("1"), time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Create(t.Context(), "long", []byte("1"), time.Hour); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key expires", func() bool {
		_, err := kv.Get(t.Context(), "short")
		return errors.Is(err, ErrKeyNotFound)
	})
	if _, err := kv.Create(t.Context(), "short", []byte("2"), 0); err != nil {
		t.Errorf("create after expiry: %v", err)
	}
	if _, err := kv.Get(t.Context(), "long"); err != nil {
		t.Errorf("the other key: %v", err)
	}
	if got := b.buckets[BucketIdempotency].stream.CachedInfo().Config.MaxAge; got != 24*time.Hour {
		t.Errorf("keys live %v", got)
	}
}

// filesWith returns the files below dir that hold the bytes.
func filesWith(t *testing.T, dir string, needle []byte) []string {
	t.Helper()
	var found []string
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		body, err := os.ReadFile(path)
		if err == nil && bytes.Contains(body, needle) {
			found = append(found, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEraseOverwritesEveryRevision(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openBus(t, Config{Dir: dir})
	kv, ctx := b.Bucket(BucketSecrets), t.Context()
	canary := func(n string) []byte { return []byte("canary-" + n + "-4f1d9c") }
	rev, err := kv.Create(ctx, "keyset.acme", canary("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"two", "three"} {
		if rev, err = kv.Update(ctx, "keyset.acme", canary(n), rev); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kv.Create(ctx, "keyset.other", canary("other"), 0); err != nil {
		t.Fatal(err)
	}
	all := []string{"one", "two", "three", "other"}
	for _, n := range all {
		if len(filesWith(t, dir, canary(n))) == 0 {
			t.Fatalf("%s is not in the files before erasing: this test sees nothing", n)
		}
	}
	if err := kv.Erase(ctx, "keyset.acme"); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		for _, n := range all[:3] {
			if found := filesWith(t, dir, canary(n)); len(found) != 0 {
				t.Errorf("%s: %s is still in %v", when, n, found)
			}
		}
	}
	check("at once")
	closeBus(t, b)
	check("after closing")
	b = openBus(t, Config{Dir: dir})
	if e, err := b.Bucket(BucketSecrets).Get(ctx, "keyset.other"); err != nil || !bytes.Equal(e.Value, canary("other")) {
		t.Errorf("the neighbour is %q, %v", e.Value, err)
	}
	if _, err := b.Bucket(BucketSecrets).Get(ctx, "keyset.acme"); !errors.Is(err, ErrKeyNotFound) {
		t.Errorf("an erased key after a restart: %v", err)
	}
	check("after a restart")
}

// Who erases a key beside others that erase or write it is not told of what the
// others have removed before.
func TestEraseBesideOthers(t *testing.T) {
	b := openBus(t, Config{})
	kv := b.Bucket(BucketSecrets)
	for round := range 30 {
		key := fmt.Sprintf("k%d", round)
		revision, err := kv.Create(t.Context(), key, []byte("0"), 0)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			at := revision
			for n := range 5 {
				next, err := kv.Update(t.Context(), key, []byte{byte(n)}, at)
				if err != nil {
					return // it was erased
				}
				at = next
			}
		})
		for range 4 {
			wg.Go(func() {
				if err := kv.Erase(t.Context(), key); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// What was stored after the revision stays, and everything before it is gone.
func TestEraseUpTo(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	kv, ctx := b.Bucket(BucketSecrets), t.Context()
	rev, err := kv.Create(ctx, "keyset.acme", []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	next, err := kv.Update(ctx, "keyset.acme", []byte("two"), rev)
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.EraseUpTo(ctx, "keyset.acme", rev); err != nil {
		t.Fatal(err)
	}
	if e, err := kv.Get(ctx, "keyset.acme"); err != nil || string(e.Value) != "two" || e.Revision != next {
		t.Fatalf("after the older one went: %q %d, %v", e.Value, e.Revision, err)
	}
	if err := kv.EraseUpTo(ctx, "keyset.acme", next); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Get(ctx, "keyset.acme"); !errors.Is(err, ErrKeyNotFound) {
		t.Errorf("after both: %v", err)
	}
	if _, err := kv.Create(ctx, "keyset.acme", []byte("three"), 0); err != nil {
		t.Errorf("a new one: %v", err)
	}
}
