package seal

import "errors"

// What a Vault returns, wrapped.
var (
	// ErrDestroyed says that a secret cannot be read any more: its keyset or
	// its ciphertext was destroyed, forgotten or has expired, or it never was.
	ErrDestroyed = errors.New("the secret is destroyed")
	// ErrRefused says that a ciphertext does not open under this key for this
	// address: it was tampered with, or moved from another place.
	ErrRefused = errors.New("the sealed bytes do not belong here")
	// ErrMasterKey says that a master key cannot be used: wrong size, readable
	// by others, or not the key that the stored secrets were sealed with.
	ErrMasterKey = errors.New("unusable master key")
)
