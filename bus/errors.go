package bus

import (
	"errors"

	"headwater/bus/kv"
	"headwater/bus/wire"
)

// Errors that the methods of this package wrap.
var (
	// ErrConflict says that the history or key has changed since the caller read
	// it: read again and decide again.
	ErrConflict = kv.ErrConflict
	// ErrKeyNotFound is returned by Bucket.Get for a missing key.
	ErrKeyNotFound = kv.ErrKeyNotFound
	// ErrKeyExists is returned by Bucket.Create for an existing key.
	ErrKeyExists = kv.ErrKeyExists
	// ErrUnavailable says that the broker did not confirm: it is unreachable,
	// full or slow. It may have stored the message; sending the same message
	// again is safe.
	ErrUnavailable = wire.ErrUnavailable
	// ErrTooLarge says that a body is larger than MaxBody.
	ErrTooLarge = wire.ErrTooLarge
	// ErrUnsafe says that settings of a stream or of the broker would break the
	// promise that a confirmed message is on disk, or that the history is
	// complete.
	ErrUnsafe = errors.New("unsafe broker settings")
	// ErrHistoryMissing says that events are gone while other state still
	// exists. Nothing is recreated: restore the broker's data, or remove all of
	// it to start anew.
	ErrHistoryMissing = wire.ErrHistoryMissing
	// ErrClosed says that the bus or the subscriber is closed.
	ErrClosed = wire.ErrClosed
	// ErrPoison says that a message can never be handled: this build cannot read
	// its headers or body.
	ErrPoison = wire.ErrPoison
)
