package seal

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"headwater/bus/kv"
)

// keysets returns the keys of keysets in the store.
func keysets(t *testing.T, store kv.Store) (all []string) {
	t.Helper()
	keys, err := store.Keys(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if strings.HasPrefix(key, prefixKeyset+".") {
			all = append(all, key)
		}
	}
	return all
}

// With a source's last secret its keyset goes, and another source's stays.
func TestTheLastSecretTakesItsKeyset(t *testing.T) {
	store := newMemStore()
	v := newVault(t, store)
	seal := func() string {
		t.Helper()
		ref, err := v.Seal(t.Context(), ada, []byte(canary))
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	one, two := seal(), seal()
	if _, err := v.Seal(t.Context(), eve, []byte(canary)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		ref  string
		left int
	}{{one, 2}, {one, 2}, {two, 1}, {two, 1}} {
		if err := v.Forget(t.Context(), ada, step.ref); err != nil {
			t.Fatal(err)
		}
		if left := keysets(t, store); len(left) != step.left {
			t.Fatalf("left %v", left)
		}
	}
	if plain, err := v.Open(t.Context(), ada, seal()); err != nil || string(plain) != canary {
		t.Errorf("sealed anew: %q, %v", plain, err)
	}
}

// A worker that dies while it gives a keyset up leaves one that opens what there
// is, and that the next one seals with or replaces.
func TestGivenUpHalfway(t *testing.T) {
	for _, state := range []byte{marked, dead} {
		store := newMemStore()
		v := newVault(t, store)
		ref, err := v.Seal(t.Context(), ada, []byte(canary))
		if err != nil {
			t.Fatal(err)
		}
		entry, err := store.Get(t.Context(), keysetKey(ada))
		if err != nil {
			t.Fatal(err)
		}
		value := []byte{dead}
		if state == marked {
			value = append([]byte{marked}, entry.Value...)
		}
		if _, err := store.Update(t.Context(), keysetKey(ada), value, entry.Revision); err != nil {
			t.Fatal(err)
		}
		if plain, err := v.Open(t.Context(), ada, ref); state == marked && string(plain) != canary || state == dead && err == nil {
			t.Errorf("%x: opened %q, %v", state, plain, err)
		}
		again, err := v.Seal(t.Context(), ada, []byte(canary))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := v.Open(t.Context(), ada, again); err != nil || string(plain) != canary {
			t.Errorf("%x: sealed anew: %q, %v", state, plain, err)
		}
		for _, ref := range []string{ref, again} {
			if err := v.Forget(t.Context(), ada, ref); err != nil {
				t.Fatal(err)
			}
		}
		if left := keysets(t, store); len(left) > 0 {
			t.Errorf("%x: left %v", state, left)
		}
	}
}

// Whatever seals and forgets do beside each other, what was sealed opens until it
// is forgotten, and in the end no keyset is left.
func TestSealsBesideForgets(t *testing.T) {
	store := newMemStore()
	v := newVault(t, store)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 300 {
				if err := sealAndForget(t.Context(), v); err != nil {
					t.Errorf("worker %d, %d: %v", worker, i, err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := sealAndForget(t.Context(), v); err != nil {
		t.Error(err)
	}
	if left := keysets(t, store); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func sealAndForget(ctx context.Context, v *Vault) error {
	ref, err := v.Seal(ctx, ada, []byte(canary))
	if err != nil {
		return err
	}
	if plain, err := v.Open(ctx, ada, ref); err != nil || string(plain) != canary {
		return fmt.Errorf("opened %q: %w", plain, err)
	}
	return v.Forget(ctx, ada, ref)
}
