package bus

import (
	"errors"

	"headwater/bus/kv"
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
	ErrUnavailable = errors.New("the broker did not confirm")
	// ErrTooLarge says that a body exceeds MaxBody.
	ErrTooLarge = errors.New("message too large")
	// ErrUnsafe says that a stream's settings, or the broker's, would break the
	// promise that a confirmed message is on disk or the history complete.
	ErrUnsafe = errors.New("unsafe broker settings")
	// ErrHistoryMissing says that the events are gone while other state is
	// still there. Nothing is recreated: restore the broker's data, or remove
	// all of it to begin anew.
	ErrHistoryMissing = errors.New("the history of events is missing")
	// ErrClosed says that the bus or subscriber was closed.
	ErrClosed = errors.New("the bus is closed")
	// ErrPoison says that a message can never be handled: its headers or body
	// are not what this build reads.
	ErrPoison = errors.New("unreadable message")
)
