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

// Send publishes a command and returns when it is stored and synced. A repeat
// with the same ID within ten minutes is stored once. It returns
// ErrUnavailable when the broker did not confirm; the command may be carried
// out nevertheless.
func (b *Bus) Send(ctx context.Context, c *command.Command) error {
	headers, body, err := c.Encode()
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	_, err = b.store(ctx, c.Subject(), newMessage(ctx, c.ID, headers, body))
	return err
}

// Append publishes an event as the next of its source's history, whose last
// sequence must be after (0 for none), and returns the event's own sequence,
// also set in e. It returns ErrConflict when the history moved on, and
// ErrUnavailable when the broker did not confirm. An event that is already
// there with the same ID is not stored again: its sequence is returned.
func (b *Bus) Append(ctx context.Context, after uint64, e *event.Event) (uint64, error) {
	headers, body, err := e.Encode()
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	ack, err := b.store(ctx, e.Subject(), newMessage(ctx, e.ID, headers, body),
		jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(after, 10), jetstream.ExpectedLastSubjSeqSubjHeader, e.Address().Filter())
	if errors.Is(err, ErrConflict) {
		// Beyond the broker's memory of ids, a repeat looks like a conflict
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

// LastSequence returns the sequence of the newest event of the source's
// history, 0 if it has none.
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

// newest returns the newest event of a subject filter as the leader has it. The
// handle of the stream would ask any replica, and one that lags does not know
// what its own node was told a moment ago.
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
