package wire

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/kv"
)

// What calls of the broker return, wrapped. The bus hands them to its callers.
var (
	// ErrUnavailable says that the broker did not confirm: it is away, full or
	// slow. Whether it stored the message is unknown; the same message may be
	// sent again.
	ErrUnavailable = errors.New("the broker did not confirm")
	// ErrTooLarge says that a body exceeds MaxBody.
	ErrTooLarge = errors.New("message too large")
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

// Unavailable marks an error of a call as the broker's, not the caller's: it
// wraps ErrUnavailable, kv.ErrConflict where the broker refused a sequence, or is
// err itself where the message was at fault.
func Unavailable(err error) error {
	if WrongSequence(err) {
		return fmt.Errorf("%w: %w", kv.ErrConflict, err)
	}
	if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrPoison) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// WrongSequence reports whether the broker refused a message because the history
// or key that it continues has moved on.
func WrongSequence(err error) bool {
	return Code(err) == jetstream.JSErrCodeStreamWrongLastSequence
}
