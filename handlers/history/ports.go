package history

import (
	"context"

	"headwater/bus/command"
	"headwater/bus/event"
)

// Events is the log of events as handlers write it. *bus.Bus is one. It is safe for
// concurrent use.
type Events interface {
	// Append publishes e as the next event of its source's history, whose last
	// sequence must be after, and returns its sequence. It returns an error
	// that wraps bus.ErrConflict when the history has moved on.
	Append(ctx context.Context, after uint64, e *event.Event) (uint64, error)
	// LastSequence returns the sequence of the address's last event, 0 if it
	// has none.
	LastSequence(ctx context.Context, a event.Address) (uint64, error)
}

// Commands sends commands. *bus.Bus is one. It is safe for concurrent use.
type Commands interface {
	// Send returns once the command is stored, or with the error of the bus.
	Send(ctx context.Context, c *command.Command) error
}
