package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/wire"
)

// Send publishes a command and returns nil when it is stored and synced. A
// command sent again with the same ID within ten minutes is stored once. Send
// returns ErrUnavailable if the broker does not confirm; the command may then be
// carried out or not.
func (b *Bus) Send(ctx context.Context, c *command.Command) error {
	headers, body, err := c.Encode()
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	_, err = b.store(ctx, c.Subject(), newMessage(ctx, c.ID, headers, body))
	return err
}

// Append publishes an event as the next of its source's history and returns its
// sequence, which it also sets in e. The last sequence of that history must be
// after (0 for an empty history); otherwise it returns ErrConflict. It returns
// ErrUnavailable if the broker does not confirm. If an event with the same ID is
// stored already, Append stores nothing and returns that event's sequence.
func (b *Bus) Append(ctx context.Context, after uint64, e *event.Event) (uint64, error) {
	headers, body, err := e.Encode()
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	ack, err := b.store(ctx, e.Subject(), newMessage(ctx, e.ID, headers, body),
		jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(after, 10), jetstream.ExpectedLastSubjSeqSubjHeader, e.Address().Filter())
	if errors.Is(err, ErrConflict) {
		// After the broker has forgotten the id, a repeat looks like a conflict
		// with itself.
		last, lookErr := b.newest(ctx, e.Subject())
		if lookErr == nil && last.Header.Get(event.HeaderID) == headers[event.HeaderID] {
			e.Sequence = last.Sequence
			return last.Sequence, nil
		}
	}
	if err != nil {
		return 0, err
	}
	e.Sequence = ack.Sequence
	return ack.Sequence, nil
}

// LastSequence returns the sequence of the newest event of a source's history,
// or 0 if it is empty.
func (b *Bus) LastSequence(ctx context.Context, a event.Address) (uint64, error) {
	msg, err := b.newest(ctx, a.Filter())
	if errors.Is(err, nats.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("last sequence of %s: %w", a.Filter(), wire.Unavailable(err))
	}
	return msg.Sequence, nil
}

// newest returns the newest event that matches a subject filter, from the
// leader. The stream handle would ask any replica, and a lagging one may not
// know what its own node was told a moment ago.
func (b *Bus) newest(ctx context.Context, filter string) (*nats.RawStreamMsg, error) {
	return wire.Ask(ctx, func(ctx context.Context) (*nats.RawStreamMsg, error) {
		return b.leader.GetLastMsg(StreamEvents, filter, nats.Context(ctx))
	})
}

func newMessage(ctx context.Context, id string, headers map[string]string, body []byte) *message.Message {
	msg := message.NewMessageWithContext(ctx, id, body)
	for k, v := range headers {
		msg.Metadata.Set(k, v)
	}
	return msg
}
