package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/wire"
)

// whole returns ErrHistoryMissing for a log of the embedded broker that has lost
// events, as far as the broker knows without reading them. It counts up from its
// first event without a gap: nothing deletes one, and a refused one takes no
// sequence. A cluster makes up for what one of its servers lost.
func whole(state jetstream.StreamState) error {
	switch {
	case state.LastSeq == 0 || state.Msgs == state.LastSeq-state.FirstSeq+1 && state.Msgs > 0:
		return nil
	case state.Msgs == 0:
		return fmt.Errorf("%w: %s is empty and was at %d; restore the broker's data", ErrHistoryMissing, StreamEvents, state.LastSeq)
	}
	return fmt.Errorf("%w: %s holds %d events from %d to %d, which is %d too few; restore the broker's data",
		ErrHistoryMissing, StreamEvents, state.Msgs, state.FirstSeq, state.LastSeq, state.LastSeq-state.FirstSeq+1-state.Msgs)
}

// readable returns ErrHistoryMissing when an event that the embedded broker's log
// should hold is not there or not what was written, and nil also when the broker
// does not say.
func (b *Bus) readable(ctx context.Context, sequence uint64) error {
	if b.broker == nil {
		return nil
	}
	state, err := b.EventsState(ctx)
	if err != nil || sequence < state.First || sequence > state.Last {
		return nil
	}
	try, cancel := context.WithTimeout(ctx, wire.AskTry)
	defer cancel()
	_, err = b.events.GetMsg(try, sequence)
	if code := (*jetstream.APIError)(nil); errors.As(err, &code) || errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("%w: event %d cannot be read (%w), though the log goes on to %d; restore the broker's data", ErrHistoryMissing, sequence, err, state.Last)
	}
	return nil
}
