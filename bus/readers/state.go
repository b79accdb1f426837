package readers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
	"headwater/bus/wire"
)

// NewestOf returns the sequence of the newest event that matches any of the
// subject filters, or 0 if there is none: the sequence up to which a reader has
// to read to see everything that exists now. The stream's leader answers,
// because a lagging replica would let the reader stop early.
func (rs *Readers) NewestOf(ctx context.Context, filters ...string) (uint64, error) {
	js, err := rs.broker.Conn.JetStream()
	if err != nil {
		return 0, fmt.Errorf("newest event: %w", err)
	}
	var newest uint64
	for _, filter := range filters {
		// nats.go's older call asks the leader. Its successor asks any replica
		// if the stream allows direct reads.
		msg, err := js.GetLastMsg(event.Stream, filter, nats.Context(ctx))
		switch {
		case err == nil:
			newest = max(newest, msg.Sequence)
		case !errors.Is(err, nats.ErrMsgNotFound):
			return 0, fmt.Errorf("newest event on %s: %w", filter, wire.Unavailable(err))
		}
	}
	return newest, nil
}

// StreamState identifies the history that a stream holds. Two streams with
// different Created have different histories, whatever their sequences.
type StreamState struct {
	First, Last uint64 // sequences; Last is 0 if nothing was ever published
	Created     time.Time
	Readers     int // number of consumers on the stream
}

// EventsState returns the state of the events' stream. It returns
// wire.ErrUnavailable if the broker does not answer.
func (rs *Readers) EventsState(ctx context.Context) (StreamState, error) {
	info, err := wire.Ask(ctx, func(ctx context.Context) (*jetstream.StreamInfo, error) { return rs.broker.Events.Info(ctx) })
	if err != nil {
		return StreamState{}, fmt.Errorf("state of %s: %w", event.Stream, wire.Unavailable(err))
	}
	return StreamState{First: info.State.FirstSeq, Last: info.State.LastSeq, Created: info.Created, Readers: info.State.Consumers}, nil
}

// State is EventsState, in the form that interfaces of other packages declare.
func (rs *Readers) State(ctx context.Context) (first, last uint64, created time.Time, err error) {
	s, err := rs.EventsState(ctx)
	return s.First, s.Last, s.Created, err
}

// Decode decodes the event of a reader's message. It returns the sequence even
// with an error of wire.EventOf. A message without a sequence is an error.
func (rs *Readers) Decode(msg *message.Message) (uint64, *event.Event, error) {
	sequence, err := strconv.ParseUint(msg.Metadata.Get(wire.MetaSequence), 10, 64)
	if err != nil {
		return 0, nil, fmt.Errorf("message %s has no sequence: %w", msg.UUID, err)
	}
	e, err := wire.EventOf(msg)
	return sequence, e, err
}

// readable returns wire.ErrHistoryMissing if an event that the embedded broker's
// log should hold is missing or damaged. It returns nil if the broker does not
// say.
func (rs *Readers) readable(ctx context.Context, sequence uint64) error {
	if !rs.broker.Embedded {
		return nil
	}
	state, err := rs.EventsState(ctx)
	if err != nil || sequence < state.First || sequence > state.Last {
		return nil
	}
	try, cancel := context.WithTimeout(ctx, wire.AskTry)
	defer cancel()
	_, err = rs.broker.Events.GetMsg(try, sequence)
	if code := (*jetstream.APIError)(nil); errors.As(err, &code) || errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("%w: event %d cannot be read (%w), though the log goes on to %d; restore the broker's data", wire.ErrHistoryMissing, sequence, err, state.Last)
	}
	return nil
}
