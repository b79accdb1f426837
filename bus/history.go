package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"headwater/bus/wire"
)

// NewestOf returns the sequence of the newest event on any of the subject
// filters, 0 if there is none: how far a reader of these filters has to read to
// have seen what is there now. The stream's leader answers, because a replica
// that lags would let the reader stop early.
func (b *Bus) NewestOf(ctx context.Context, filters ...string) (uint64, error) {
	js, err := b.conns[len(b.conns)-1].JetStream()
	if err != nil {
		return 0, fmt.Errorf("newest event: %w", err)
	}
	var newest uint64
	for _, filter := range filters {
		// The older call of nats.go asks the leader; its successor asks anybody
		// where the stream allows direct reads.
		msg, err := js.GetLastMsg(StreamEvents, filter, nats.Context(ctx))
		switch {
		case err == nil:
			newest = max(newest, msg.Sequence)
		case !errors.Is(err, nats.ErrMsgNotFound):
			return 0, fmt.Errorf("newest event on %s: %w", filter, wire.Unavailable(err))
		}
	}
	return newest, nil
}
