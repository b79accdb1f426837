// Package seal keeps secrets unreadable on the bus. A secret is encrypted under
// a keyset of its source, the keyset under the master key; commands and events
// carry only the reference that Seal returns. Destroying the keyset makes every
// copy of the ciphertext unreadable, wherever it was copied to.
package seal

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"headwater/bus/event"
	"headwater/bus/kv"
)

// Where things lie in the store. A lasting source has one keyset for all its
// secrets; a temporary secret has its own, because a keyset that expires must
// never hold a lasting one.
const (
	prefixKeyset    = "keyset"
	prefixSecret    = "secret"
	prefixTmpKeyset = "tmpkeyset"
	prefixTmpSecret = "tmpsecret"
	keyCheck        = "check"

	refLasting   = "sec_"
	refTemporary = "tmp_"
)

// Vault seals and opens secrets. It may be used concurrently, keeps no secret
// and no keyset in memory, and needs no closing.
type Vault struct {
	store  kv.Store
	master tink.AEAD
	macKey []byte
}

// New returns a vault over the store. It returns ErrMasterKey unless the master
// key has MasterKeySize bytes. The key's bytes are not kept.
func New(masterKey []byte, store kv.Store) (*Vault, error) {
	if len(masterKey) != MasterKeySize {
		return nil, fmt.Errorf("%w: %d bytes, wanted %d", ErrMasterKey, len(masterKey), MasterKeySize)
	}
	// Separate keys for separate uses, so that no MAC tells anything about a
	// wrapped keyset.
	wrap, err := hkdf.Key(sha256.New, masterKey, nil, "headwater keyset wrapping v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the wrapping key: %w", err)
	}
	mac, err := hkdf.Key(sha256.New, masterKey, nil, "headwater fingerprint v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the fingerprint key: %w", err)
	}
	master, err := subtle.NewXChaCha20Poly1305(wrap)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	return &Vault{store: store, master: master, macKey: mac}, nil
}

// Verify checks that this master key is the one that the store's secrets were
// sealed with; the first call ever marks the store with it. It returns
// ErrMasterKey for another key. Call it at start: a lost key file would
// otherwise show only when the first secret is needed.
func (v *Vault) Verify(ctx context.Context) error {
	mark := v.MAC([]byte("headwater master key check"))
	// Read first: what is there already needs no place on a full disk.
	entry, err := v.store.Get(ctx, keyCheck)
	if errors.Is(err, kv.ErrKeyNotFound) {
		if _, err = v.store.Create(ctx, keyCheck, mark, 0); err == nil {
			return nil
		}
		if !errors.Is(err, kv.ErrKeyExists) {
			return fmt.Errorf("mark the secrets with the master key: %w", err)
		}
		entry, err = v.store.Get(ctx, keyCheck)
	}
	if err != nil {
		return fmt.Errorf("read the secrets' mark: %w", err)
	}
	if !hmac.Equal(entry.Value, mark) {
		return fmt.Errorf("%w: the stored secrets were sealed with another key", ErrMasterKey)
	}
	return nil
}

// MAC returns a keyed fingerprint of 32 bytes, equal on every node with the
// same master key. It tells nothing about data to whoever lacks the key.
func (v *Vault) MAC(data []byte) []byte {
	h := hmac.New(sha256.New, v.macKey)
	h.Write(data)
	return h.Sum(nil)
}

// Seal encrypts a secret of the source at the address and stores it, fsynced,
// until Forget or Destroy. The reference may be published; it opens only with
// the same address.
func (v *Vault) Seal(ctx context.Context, a event.Address, plaintext []byte) (string, error) {
	for {
		ref := refLasting + newID()
		keys, err := v.keysetFor(ctx, a)
		if err != nil {
			return "", fmt.Errorf("seal: %w", err)
		}
		if err := v.put(ctx, keys.handle, a, ref, plaintext, 0); err != nil {
			return "", fmt.Errorf("seal: %w", err)
		}
		kept, err := v.keep(ctx, a, keys)
		if err != nil {
			return "", fmt.Errorf("seal: %w", err)
		}
		if kept {
			return ref, nil
		}
		// Somebody gave the keyset up meanwhile: nothing opens this one.
		if err := v.store.Erase(ctx, secretKey(a, ref)); err != nil {
			return "", fmt.Errorf("seal: %w", err)
		}
	}
}

// SealFor is Seal for a secret that expires by itself after ttl (whole seconds,
// rounded up, at least one).
func (v *Vault) SealFor(ctx context.Context, a event.Address, plaintext []byte, ttl time.Duration) (string, error) {
	ref := refTemporary + newID()
	ttl = max(time.Second, (ttl + time.Second - 1).Truncate(time.Second))
	handle, wrapped, err := v.newKeyset(tmpKeysetKey(a, ref))
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	if _, err := v.store.Create(ctx, tmpKeysetKey(a, ref), wrapped, ttl); err != nil {
		return "", fmt.Errorf("seal: store the keyset: %w", err)
	}
	if err := v.put(ctx, handle, a, ref, plaintext, ttl); err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	return ref, nil
}

// Open returns the secret behind a reference that was sealed for this address.
// It returns ErrDestroyed when the keyset or the ciphertext is gone, or the
// reference belongs to another address, and ErrRefused when the stored bytes
// were tampered with or another master key sealed them. Keep what it returns
// in a Secret if it lives longer than the call.
func (v *Vault) Open(ctx context.Context, a event.Address, ref string) ([]byte, error) {
	sealed, err := v.store.Get(ctx, secretKey(a, ref))
	if err != nil {
		return nil, opening(err)
	}
	at := keysetKey(a)
	if strings.HasPrefix(ref, refTemporary) {
		at = tmpKeysetKey(a, ref)
	}
	keys, err := v.loadKeyset(ctx, at)
	if err != nil {
		return nil, opening(err)
	}
	cipher, err := aead.New(keys.handle)
	if err != nil {
		return nil, fmt.Errorf("open secret: %w", err)
	}
	plain, err := cipher.Decrypt(sealed.Value, []byte(secretKey(a, ref)))
	if err != nil {
		return nil, fmt.Errorf("open secret: %w", ErrRefused)
	}
	return plain, nil
}

// Destroy erases the source's keyset first, from which moment no copy of its
// secrets can be read, and then every ciphertext. Safe to repeat; after an
// error, repeat it.
func (v *Vault) Destroy(ctx context.Context, a event.Address) error {
	for _, prefix := range []string{prefixKeyset, prefixTmpKeyset, prefixSecret, prefixTmpSecret} {
		keys, err := v.store.Keys(ctx, prefix+"."+a.Tokens())
		if err != nil {
			return fmt.Errorf("destroy secrets: %w", err)
		}
		for _, key := range keys {
			if err := v.store.Erase(ctx, key); err != nil {
				return fmt.Errorf("destroy secrets: %w", err)
			}
		}
	}
	return nil
}

// Forget erases one secret and leaves the source's others readable; with the last
// one goes the keyset. A missing one is no error.
func (v *Vault) Forget(ctx context.Context, a event.Address, ref string) error {
	if strings.HasPrefix(ref, refTemporary) {
		if err := v.store.Erase(ctx, tmpKeysetKey(a, ref)); err != nil {
			return fmt.Errorf("forget secret: %w", err)
		}
	}
	if err := v.store.Erase(ctx, secretKey(a, ref)); err != nil {
		return fmt.Errorf("forget secret: %w", err)
	}
	if strings.HasPrefix(ref, refLasting) {
		if err := v.giveUp(ctx, a); err != nil {
			return fmt.Errorf("forget secret: %w", err)
		}
	}
	return nil
}

func (v *Vault) put(ctx context.Context, handle *keyset.Handle, a event.Address, ref string, plaintext []byte, ttl time.Duration) error {
	cipher, err := aead.New(handle)
	if err != nil {
		return err
	}
	// The place is associated data: sealed bytes copied to another source, or
	// another reference of the same source, do not open there.
	sealed, err := cipher.Encrypt(plaintext, []byte(secretKey(a, ref)))
	if err != nil {
		return err
	}
	if _, err := v.store.Create(ctx, secretKey(a, ref), sealed, ttl); err != nil {
		return fmt.Errorf("store the secret: %w", err)
	}
	return nil
}

func opening(err error) error {
	if errors.Is(err, kv.ErrKeyNotFound) {
		return fmt.Errorf("open secret: %w", ErrDestroyed)
	}
	return fmt.Errorf("open secret: %w", err)
}

func keysetKey(a event.Address) string { return prefixKeyset + "." + a.Tokens() }

func tmpKeysetKey(a event.Address, ref string) string {
	return prefixTmpKeyset + "." + a.Tokens() + "." + event.Token(ref)
}

func secretKey(a event.Address, ref string) string {
	prefix := prefixSecret
	if strings.HasPrefix(ref, refTemporary) {
		prefix = prefixTmpSecret
	}
	return prefix + "." + a.Tokens() + "." + event.Token(ref)
}

func newID() string {
	var id [16]byte
	rand.Read(id[:])
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(id[:]))
}
