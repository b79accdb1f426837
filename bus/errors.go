package bus

import (
	"errors"

	"headwater/bus/kv"
	"headwater/bus/wire"
)

// What the methods of this package return, wrapped.
var (
	// ErrConflict says that the history or key moved on since the caller read
	// it: read again and decide again.
	ErrConflict = kv.ErrConflict
	// ErrKeyNotFound is returned by Bucket.Get.
	ErrKeyNotFound = kv.ErrKeyNotFound
	// ErrKeyExists is returned by Bucket.Create.
	ErrKeyExists = kv.ErrKeyExists
	// ErrUnavailable says that the broker did not confirm: it is away, full or
	// slow. Whether it stored the message is unknown; the same message may be
	// sent again.
	ErrUnavailable = wire.ErrUnavailable
	// ErrTooLarge says that a body exceeds MaxBody.
	ErrTooLarge = wire.ErrTooLarge
	// ErrUnsafe says that a stream's settings, or the broker's, would break the
	// promise that a confirmed message is on disk or the history complete.
	ErrUnsafe = errors.New("unsafe broker settings")
	// ErrHistoryMissing says that the events are gone while other state is
	// still there. Nothing is recreated: restore the broker's data, or remove
	// all of it to begin anew.
	ErrHistoryMissing = wire.ErrHistoryMissing
	// ErrClosed says that the bus or subscriber was closed.
	ErrClosed = wire.ErrClosed
	// ErrPoison says that a message can never be handled: its headers or body
	// are not what this build reads.
	ErrPoison = wire.ErrPoison
)
