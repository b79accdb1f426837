package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"headwater/bus/event"
	"headwater/bus/kv"
)

// Marks before a stored keyset that is being retired. No keyset begins with one.
const (
	marked = 0xff // its marker is checking whether secrets are left; the keyset still decrypts them
	dead   = 0xfe // no secrets were left: the keyset decrypts nothing and may be erased
)

// sourceKeys is the keyset of a source as it is stored.
type sourceKeys struct {
	handle  *keyset.Handle
	wrapped []byte // without a mark
	marked  bool
	entry   kv.Entry
}

// keysetFor returns the source's keyset and creates it on first use. If two
// nodes create it concurrently, the store accepts one and both use that one.
func (v *Vault) keysetFor(ctx context.Context, a event.Address) (sourceKeys, error) {
	for {
		keys, err := v.loadKeyset(ctx, keysetKey(a))
		switch {
		case err == nil:
			return keys, nil
		case errors.Is(err, errDead):
			if err := v.store.EraseUpTo(ctx, keysetKey(a), keys.entry.Revision); err != nil {
				return keys, err
			}
		case !errors.Is(err, kv.ErrKeyNotFound):
			return keys, err
		}
		_, wrapped, err := v.newKeyset(keysetKey(a))
		if err != nil {
			return keys, err
		}
		if _, err = v.store.Create(ctx, keysetKey(a), wrapped, 0); err != nil && !errors.Is(err, kv.ErrKeyExists) {
			return keys, fmt.Errorf("store the keyset: %w", err)
		}
	}
}

// keep checks that a keyset still exists for a secret that was stored after the
// keyset was loaded, and cancels a retirement that has begun. It returns false
// if the retirement was faster.
func (v *Vault) keep(ctx context.Context, a event.Address, was sourceKeys) (bool, error) {
	for {
		now, err := v.loadKeyset(ctx, keysetKey(a))
		if errors.Is(err, kv.ErrKeyNotFound) || errors.Is(err, errDead) {
			return false, nil
		}
		if err != nil || !now.marked {
			return bytes.Equal(now.wrapped, was.wrapped), err
		}
		if _, err := v.store.Update(ctx, keysetKey(a), now.wrapped, now.entry.Revision); err != nil && !errors.Is(err, kv.ErrConflict) {
			return false, err
		}
	}
}

// giveUp retires and erases the source's keyset unless a secret is left. A
// secret that is being sealed is stored either before giveUp looks for secrets,
// which then finds it, or afterwards, when keep finds the mark.
func (v *Vault) giveUp(ctx context.Context, a event.Address) error {
	at := keysetKey(a)
	if left, err := v.store.Keys(ctx, prefixSecret+"."+a.Tokens()); err != nil || len(left) > 0 {
		return err
	}
	keys, err := v.loadKeyset(ctx, at)
	switch {
	case errors.Is(err, kv.ErrKeyNotFound):
		return nil
	case errors.Is(err, errDead):
		return v.store.EraseUpTo(ctx, at, keys.entry.Revision)
	case err != nil:
		return err
	}
	revision, err := v.store.Update(ctx, at, append([]byte{marked}, keys.wrapped...), keys.entry.Revision)
	if errors.Is(err, kv.ErrConflict) {
		return nil // another process seals a secret, or retires the keyset too
	}
	if err != nil {
		return err
	}
	left, err := v.store.Keys(ctx, prefixSecret+"."+a.Tokens())
	if err != nil {
		return err
	}
	next := []byte{dead}
	if len(left) > 0 {
		next = keys.wrapped
	}
	if revision, err = v.store.Update(ctx, at, next, revision); errors.Is(err, kv.ErrConflict) || err == nil && len(left) > 0 {
		return nil
	} else if err != nil {
		return err
	}
	// The next Seal may have created another keyset already.
	return v.store.EraseUpTo(ctx, at, revision)
}

// errDead says that a keyset is retired. To callers it is missing.
var errDead = fmt.Errorf("given up: %w", kv.ErrKeyNotFound)

func (v *Vault) newKeyset(at string) (*keyset.Handle, []byte, error) {
	handle, err := keyset.NewHandle(aead.XChaCha20Poly1305KeyTemplate())
	if err != nil {
		return nil, nil, fmt.Errorf("make a keyset: %w", err)
	}
	var wrapped bytes.Buffer
	if err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&wrapped), v.master, []byte(at)); err != nil {
		return nil, nil, fmt.Errorf("wrap a keyset: %w", err)
	}
	return handle, wrapped.Bytes(), nil
}

func (v *Vault) loadKeyset(ctx context.Context, at string) (keys sourceKeys, err error) {
	if keys.entry, err = v.store.Get(ctx, at); err != nil {
		return keys, fmt.Errorf("keyset: %w", err)
	}
	keys.wrapped = keys.entry.Value
	if len(keys.wrapped) > 0 {
		switch keys.wrapped[0] {
		case dead:
			return keys, fmt.Errorf("keyset: %w", errDead)
		case marked:
			keys.marked, keys.wrapped = true, keys.wrapped[1:]
		}
	}
	keys.handle, err = keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(keys.wrapped)), v.master, []byte(at))
	if err != nil {
		return keys, fmt.Errorf("keyset: %w", ErrRefused)
	}
	return keys, nil
}
