package seal

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/bus/event"
	"headwater/bus/kv"
)

// memStore is a Store in memory. It notes the order of erasing and forgets what
// has a ttl when told to.
type memStore struct {
	mu       sync.Mutex
	entries  map[string]kv.Entry
	expiring map[string]bool
	erased   []string
	revision uint64
	broken   error // returned by every call if set
}

func newMemStore() *memStore {
	return &memStore{entries: map[string]kv.Entry{}, expiring: map[string]bool{}}
}

func (s *memStore) Get(_ context.Context, key string) (kv.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok {
		return kv.Entry{}, errors.Join(s.broken, fmt.Errorf("%s: %w", key, kv.ErrKeyNotFound))
	}
	return e, s.broken
}

func (s *memStore) Create(_ context.Context, key string, value []byte, ttl time.Duration) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return 0, s.broken
	}
	if _, ok := s.entries[key]; ok {
		return 0, fmt.Errorf("%s: %w", key, kv.ErrKeyExists)
	}
	s.revision++
	s.entries[key] = kv.Entry{Value: bytes.Clone(value), Revision: s.revision}
	s.expiring[key] = ttl > 0
	return s.revision, nil
}

func (s *memStore) Update(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return 0, s.broken
	}
	if s.entries[key].Revision != revision {
		return 0, fmt.Errorf("%s: %w", key, kv.ErrConflict)
	}
	s.revision++
	s.entries[key] = kv.Entry{Value: bytes.Clone(value), Revision: s.revision}
	return s.revision, nil
}

func (s *memStore) EraseUpTo(ctx context.Context, key string, revision uint64) error {
	s.mu.Lock()
	newer := s.entries[key].Revision > revision
	s.mu.Unlock()
	if newer {
		return nil
	}
	return s.Erase(ctx, key)
}

func (s *memStore) Erase(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	delete(s.entries, key)
	s.erased = append(s.erased, key)
	return nil
}

func (s *memStore) Keys(_ context.Context, prefix string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key := range s.entries {
		if prefix == "" || key == prefix || strings.HasPrefix(key, prefix+".") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, s.broken
}

func (s *memStore) expire() {
	maps.DeleteFunc(s.entries, func(key string, _ kv.Entry) bool { return s.expiring[key] })
}

var (
	ada = event.Address{Organization: "acme", Workspace: "w1", Owner: "ada", Source: "src_1"}
	eve = event.Address{Organization: "acme", Workspace: "w1", Owner: "eve", Source: "src_1"}
)

func newVault(t *testing.T, store kv.Store) *Vault {
	t.Helper()
	v, err := New(bytes.Repeat([]byte{7}, MasterKeySize), store)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const canary = `{"password":"correct horse"}`

func TestSealAndOpen(t *testing.T) {
	store := newMemStore()
	v := newVault(t, store)
	refs := map[string]bool{}
	for _, plain := range []string{canary, canary, "", strings.Repeat("x", 1<<20)} {
		ref, err := v.Seal(t.Context(), ada, []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if refs[ref] {
			t.Errorf("reference %s twice", ref)
		}
		refs[ref] = true
		got, err := v.Open(t.Context(), ada, ref)
		if err != nil || string(got) != plain {
			t.Errorf("opened %d bytes, %v; sealed %d", len(got), err, len(plain))
		}
		// Another node has the key and the store, nothing else.
		if got, err = newVault(t, store).Open(t.Context(), ada, ref); err != nil || string(got) != plain {
			t.Errorf("another node opened %d bytes, %v", len(got), err)
		}
	}
}

func TestCiphertextNeverHoldsPlaintext(t *testing.T) {
	store := newMemStore()
	v := newVault(t, store)
	if _, err := v.Seal(t.Context(), ada, []byte(canary)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.SealFor(t.Context(), ada, []byte(canary), time.Minute); err != nil {
		t.Fatal(err)
	}
	if len(store.entries) != 4 {
		t.Fatalf("%d entries stored, wanted two keysets and two secrets", len(store.entries))
	}
	secret := []byte("correct horse")
	forms := [][]byte{secret, bytes.Repeat([]byte{7}, MasterKeySize), []byte(hex.EncodeToString(secret)), []byte(base64.StdEncoding.EncodeToString(secret)[:12])}
	for key, e := range store.entries {
		for _, form := range forms {
			if bytes.Contains(e.Value, form) || strings.Contains(key, string(form)) {
				t.Errorf("%s holds %q", key, form)
			}
		}
	}
}

func TestOnlyItsOwnPlaceOpensASecret(t *testing.T) {
	store := newMemStore()
	v := newVault(t, store)
	ref, err := v.Seal(t.Context(), ada, []byte(canary))
	if err != nil {
		t.Fatal(err)
	}
	other, err := v.Seal(t.Context(), ada, []byte("other"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Open(t.Context(), eve, ref); !errors.Is(err, ErrDestroyed) {
		t.Errorf("another address opened it: %v", err)
	}
	// The sealed bytes, moved: to another reference, and with their keyset to
	// another source.
	store.entries[secretKey(ada, other)] = store.entries[secretKey(ada, ref)]
	if _, err := v.Open(t.Context(), ada, other); !errors.Is(err, ErrRefused) {
		t.Errorf("opened under another reference: %v", err)
	}
	store.entries[secretKey(eve, ref)] = store.entries[secretKey(ada, ref)]
	store.entries[keysetKey(eve)] = store.entries[keysetKey(ada)]
	if _, err := v.Open(t.Context(), eve, ref); !errors.Is(err, ErrRefused) {
		t.Errorf("opened at another address: %v", err)
	}
	foreign, err := New(bytes.Repeat([]byte{8}, MasterKeySize), store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := foreign.Open(t.Context(), ada, ref); !errors.Is(err, ErrRefused) {
		t.Errorf("another master key opened it: %v", err)
	}
	damaged := store.entries[secretKey(ada, ref)]
	damaged.Value[len(damaged.Value)-1] ^= 1
	if _, err := v.Open(t.Context(), ada, ref); !errors.Is(err, ErrRefused) {
		t.Errorf("opened damaged bytes: %v", err)
	}
}

func TestDestroyedCannotOpen(t *testing.T) {
	store := newMemStore()
	v := newVault(t, store)
	var refs []string
	for range 2 {
		ref, err := v.Seal(t.Context(), ada, []byte(canary))
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	tmp, err := v.SealFor(t.Context(), ada, []byte(canary), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := v.Seal(t.Context(), eve, []byte("eve's"))
	if err != nil {
		t.Fatal(err)
	}
	copied := maps.Clone(store.entries)
	for range 2 {
		if err := v.Destroy(t.Context(), ada); err != nil {
			t.Fatal(err)
		}
	}
	if store.erased[0] != keysetKey(ada) {
		t.Errorf("erased %s first: until the keyset goes, copies can be read", store.erased[0])
	}
	for _, ref := range append(refs, tmp) {
		if _, err := v.Open(t.Context(), ada, ref); !errors.Is(err, ErrDestroyed) {
			t.Errorf("opened %s after destruction: %v", ref, err)
		}
	}
	// A copy of the ciphertext, without its keyset.
	store.entries[secretKey(ada, refs[0])] = copied[secretKey(ada, refs[0])]
	if _, err := v.Open(t.Context(), ada, refs[0]); !errors.Is(err, ErrDestroyed) {
		t.Errorf("opened a copy after destruction: %v", err)
	}
	if got, err := v.Open(t.Context(), eve, kept); err != nil || string(got) != "eve's" {
		t.Errorf("the neighbour's is %q, %v", got, err)
	}
	// A new keyset does not bring the old copy back.
	if _, err := v.Seal(t.Context(), ada, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Open(t.Context(), ada, refs[0]); !errors.Is(err, ErrRefused) {
		t.Errorf("opened a copy under a new keyset: %v", err)
	}
}

func TestForgetOne(t *testing.T) {
	store := newMemStore()
	v := newVault(t, store)
	old, err := v.Seal(t.Context(), ada, []byte("old"))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := v.Seal(t.Context(), ada, []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	tmp, err := v.SealFor(t.Context(), ada, []byte("tmp"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{old, tmp, old, "sec_never"} {
		if err := v.Forget(t.Context(), ada, ref); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Open(t.Context(), ada, ref); !errors.Is(err, ErrDestroyed) {
			t.Errorf("opened %s: %v", ref, err)
		}
	}
	if got, err := v.Open(t.Context(), ada, kept); err != nil || string(got) != "new" {
		t.Errorf("the other is %q, %v", got, err)
	}
	if len(store.entries) != 2 {
		t.Errorf("%d entries left, wanted a keyset and a secret", len(store.entries))
	}
}

// A lasting secret must not hang on a keyset that expires.
func TestTemporarySecretsExpireAlone(t *testing.T) {
	store := newMemStore()
	v := newVault(t, store)
	tmp, err := v.SealFor(t.Context(), ada, []byte("tmp"), 1)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := v.Seal(t.Context(), ada, []byte("kept"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Open(t.Context(), ada, tmp); err != nil || string(got) != "tmp" {
		t.Errorf("before expiry: %q, %v", got, err)
	}
	store.expire()
	if _, err := v.Open(t.Context(), ada, tmp); !errors.Is(err, ErrDestroyed) {
		t.Errorf("after expiry: %v", err)
	}
	if got, err := v.Open(t.Context(), ada, kept); err != nil || string(got) != "kept" {
		t.Errorf("the lasting one is %q, %v", got, err)
	}
}

func TestFirstSecretsAtOnceShareAKeyset(t *testing.T) {
	store := newMemStore()
	v := newVault(t, store)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			ref, err := v.Seal(t.Context(), ada, []byte(canary))
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := v.Open(t.Context(), ada, ref); err != nil || string(got) != canary {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
}

func TestStoreErrorsAreNotDestruction(t *testing.T) {
	store := newMemStore()
	v := newVault(t, store)
	ref, err := v.Seal(t.Context(), ada, []byte(canary))
	if err != nil {
		t.Fatal(err)
	}
	store.broken = errors.New("the broker is away")
	if _, err := v.Open(t.Context(), ada, ref); !errors.Is(err, store.broken) || errors.Is(err, ErrDestroyed) {
		t.Errorf("open: %v", err)
	}
	if _, err := v.Seal(t.Context(), ada, nil); !errors.Is(err, store.broken) {
		t.Errorf("seal: %v", err)
	}
	if err := v.Destroy(t.Context(), ada); !errors.Is(err, store.broken) {
		t.Errorf("destroy: %v", err)
	}
}

var errFull = errors.New("the disk is full")

// fullStore has no place for anything new.
type fullStore struct{ *memStore }

func (fullStore) Create(context.Context, string, []byte, time.Duration) (uint64, error) {
	return 0, errFull
}

func TestVerifyFindsAnotherMasterKey(t *testing.T) {
	store := newMemStore()
	for range 2 {
		if err := newVault(t, store).Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// A node on a full disk starts to read what is there.
	if err := newVault(t, fullStore{store}).Verify(t.Context()); err != nil {
		t.Errorf("a mark that is there, on a full disk: %v", err)
	}
	if err := newVault(t, fullStore{newMemStore()}).Verify(t.Context()); !errors.Is(err, errFull) {
		t.Errorf("no mark, on a full disk: %v", err)
	}
	foreign, err := New(bytes.Repeat([]byte{8}, MasterKeySize), store)
	if err != nil {
		t.Fatal(err)
	}
	if err := foreign.Verify(t.Context()); !errors.Is(err, ErrMasterKey) {
		t.Errorf("another key passed: %v", err)
	}
}

func TestMAC(t *testing.T) {
	v := newVault(t, newMemStore())
	a, b := v.MAC([]byte("body")), v.MAC([]byte("other"))
	if len(a) != 32 || bytes.Equal(a, b) || !bytes.Equal(a, newVault(t, newMemStore()).MAC([]byte("body"))) {
		t.Error("a fingerprint is 32 bytes, and tells bodies apart the same way everywhere")
	}
	foreign, err := New(bytes.Repeat([]byte{8}, MasterKeySize), newMemStore())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a, foreign.MAC([]byte("body"))) {
		t.Error("the fingerprint does not depend on the key")
	}
}

func TestNewRefusesOtherSizes(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := New(make([]byte, n), newMemStore()); !errors.Is(err, ErrMasterKey) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
