// Package seal keeps secrets unreadable on the bus. A secret is encrypted under
// a keyset of its source, and the keyset under the master key; commands and
// events carry only the reference that Seal returns. Destroying the keyset makes
// every copy of the ciphertext unreadable.
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

// Keys in the store. A permanent source has one keyset for all its secrets. A
// temporary secret has its own, because a keyset that expires must never protect
// a permanent one.
const (
	prefixKeyset    = "keyset"
	prefixSecret    = "secret"
	prefixTmpKeyset = "tmpkeyset"
	prefixTmpSecret = "tmpsecret"
	keyCheck        = "check"

	refLasting   = "sec_"
	refTemporary = "tmp_"
)

// Vault encrypts and decrypts secrets. It is safe for concurrent use, keeps no
// secret and no keyset in memory, and needs no closing.
type Vault struct {
	store  kv.Store
	master tink.AEAD
	macKey []byte
}

// New returns a vault over the store. It returns ErrMasterKey unless the master
// key has MasterKeySize bytes. It does not keep masterKey.
func New(masterKey []byte, store kv.Store) (*Vault, error) {
	if len(masterKey) != MasterKeySize {
		return nil, fmt.Errorf("%w: %d bytes, wanted %d", ErrMasterKey, len(masterKey), MasterKeySize)
	}
	// Each use has its own key, so that a MAC reveals nothing about a wrapped
	// keyset.
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

// Verify checks that the master key is the one with which the stored secrets
// were sealed. The first call ever records the key in the store. It returns
// ErrMasterKey for any other key. Call it at start, because a lost key file
// would otherwise be noticed only when the first secret is needed.
func (v *Vault) Verify(ctx context.Context) error {
	mark := v.MAC([]byte("headwater master key check"))
	// Read first: an existing check value needs no space on a full disk.
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

// MAC returns a keyed hash of 32 bytes that is the same on every node with this
// master key. It reveals nothing about data without the key.
func (v *Vault) MAC(data []byte) []byte {
	h := hmac.New(sha256.New, v.macKey)
	h.Write(data)
	return h.Sum(nil)
}

// Seal encrypts a secret of the source at the address and stores it, fsynced,
// until Forget or Destroy. The returned reference may be published; it opens
// only with the same address.
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
		// Another process has retired the keyset meanwhile: this secret could
		// not be opened.
		if err := v.store.Erase(ctx, secretKey(a, ref)); err != nil {
			return "", fmt.Errorf("seal: %w", err)
		}
	}
}

// SealFor is Seal for a secret that expires after ttl (whole seconds, rounded
// up, at least one).
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

// Open returns the secret for a reference that was sealed for this address. It
// returns ErrDestroyed if the keyset or the ciphertext is gone or the reference
// belongs to another address, and ErrRefused if the stored bytes were tampered
// with or sealed with another master key. Keep the result in a Secret if it
// outlives the call.
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

// Destroy erases the source's keyset, from which moment no copy of its secrets
// can be read, and then every ciphertext. It may be repeated, and must be after
// an error.
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

// Forget erases one secret and leaves the source's others readable. With the
// last secret it erases the keyset. A missing secret is not an error.
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
	// The key in the store is associated data: a ciphertext copied to another
	// source or reference does not decrypt there.
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
