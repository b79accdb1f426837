package bus

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"headwater/bus/seal"
)

// The vault over the real bucket: plaintext is never in the broker's files, and
// after destruction neither is what was stored in its place.
func TestVaultOnTheBroker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openBus(t, Config{Dir: dir})
	v, err := seal.New(bytes.Repeat([]byte{7}, seal.MasterKeySize), b.Bucket(BucketSecrets))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	canary := []byte("canary-password-81f2")
	ref, err := v.Seal(t.Context(), testAddress, canary)
	if err != nil {
		t.Fatal(err)
	}
	opens := func(ref string) error {
		got, err := v.Open(t.Context(), testAddress, ref)
		if err == nil && !bytes.Equal(got, canary) {
			t.Errorf("opened %q", got)
		}
		return err
	}
	if err := opens(ref); err != nil {
		t.Error(err)
	}
	var tmp string
	for life := time.Second; ; life *= 4 { // a busy machine needs a longer one
		sealed := time.Now()
		if tmp, err = v.SealFor(t.Context(), testAddress, canary, life); err != nil {
			t.Fatal(err)
		}
		if err = opens(tmp); err == nil {
			break
		}
		if time.Since(sealed) < life || life > testLimit/4 {
			t.Fatalf("a secret for %s: %v", life, err)
		}
	}
	if found := filesWith(t, dir, canary); len(found) > 0 {
		t.Errorf("the secret is in %v", found)
	}
	eventually(t, "the temporary secret expires", func() bool {
		_, err := v.Open(t.Context(), testAddress, tmp)
		return errors.Is(err, seal.ErrDestroyed)
	})

	var keys []string
	eventually(t, "only the lasting ones are left", func() bool {
		keys, err = b.Bucket(BucketSecrets).Keys(t.Context(), "")
		return err == nil && len(keys) == 3
	})
	var stored [][]byte
	for _, key := range keys {
		if key == "check" {
			continue
		}
		e, err := b.Bucket(BucketSecrets).Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, e.Value)
	}
	if err := v.Destroy(t.Context(), testAddress); err != nil {
		t.Fatal(err)
	}
	for _, value := range stored {
		if found := filesWith(t, dir, value); len(found) > 0 {
			t.Errorf("sealed bytes are still in %v", found)
		}
	}
	if _, err := v.Open(t.Context(), testAddress, ref); !errors.Is(err, seal.ErrDestroyed) {
		t.Errorf("opened after destruction: %v", err)
	}
}
