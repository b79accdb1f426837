package wire

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/kv"
)

// Errors that calls of the broker wrap. The bus passes them to its callers.
var (
	// ErrUnavailable says that the broker did not confirm: it is unreachable,
	// full or slow. It may have stored the message; sending the same message
	// again is safe.
	ErrUnavailable = errors.New("the broker did not confirm")
	// ErrTooLarge says that a body is larger than MaxBody.
	ErrTooLarge = errors.New("message too large")
	// ErrHistoryMissing says that events are gone while other state still
	// exists. Nothing is recreated: restore the broker's data, or remove all of
	// it to start anew.
	ErrHistoryMissing = errors.New("the history of events is missing")
	// ErrClosed says that the bus or the subscriber is closed.
	ErrClosed = errors.New("the bus is closed")
	// ErrPoison says that a message can never be handled: this build cannot read
	// its headers or body.
	ErrPoison = errors.New("unreadable message")
)

// Unavailable classifies the error of a call. It returns an error that wraps
// ErrUnavailable, one that wraps kv.ErrConflict if the broker refused a
// sequence, or err itself if the message was at fault.
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
// or key that it continues has changed.
func WrongSequence(err error) bool {
	return Code(err) == jetstream.JSErrCodeStreamWrongLastSequence
}
