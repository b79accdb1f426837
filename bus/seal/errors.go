package seal

import "errors"

// Errors that a Vault wraps.
var (
	// ErrDestroyed says that a secret cannot be read any more: its keyset or its
	// ciphertext was destroyed, deleted or has expired, or never existed.
	ErrDestroyed = errors.New("the secret is destroyed")
	// ErrRefused says that a ciphertext does not decrypt under this key and
	// address: it was tampered with or moved.
	ErrRefused = errors.New("the sealed bytes do not belong here")
	// ErrMasterKey says that a master key cannot be used: it has the wrong size,
	// is readable by others, or is not the key with which the stored secrets
	// were sealed.
	ErrMasterKey = errors.New("unusable master key")
)
