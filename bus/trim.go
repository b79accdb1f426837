package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/command"
)

const (
	trimPause = time.Minute
	trimFrom  = 10_000 // commands that are stored before it is worth looking
)

// trimming removes commands that are done from the embedded broker's stream,
// until ctx ends. A work queue would remove each with its ack, which is a synced
// write of its own.
func (b *Bus) trimming(ctx context.Context) {
	for wait(ctx, trimPause) {
		if err := b.trim(ctx, trimFrom); err != nil && ctx.Err() == nil {
			b.log.Warn("cannot remove the commands that are done, will try again", "error", err)
		}
	}
}

// trim removes the commands before the first that is not done, if that many are
// stored. Retries that are due and have no free worker at that moment come when
// their leases end: the broker forgets their queue when it removes anything.
func (b *Bus) trim(ctx context.Context, from uint64) error {
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	stream, err := b.reads.Stream(ctx, StreamCommands)
	if err != nil {
		return err
	}
	// The end is read first: what is sent meanwhile lies behind it.
	state := stream.CachedInfo().State
	if state.Msgs < from || state.Msgs == 0 {
		return nil
	}
	keep := state.LastSeq + 1
	for _, c := range command.All() {
		open, err := b.firstOpen(ctx, stream, c.CommandName(), keep)
		if err != nil {
			return fmt.Errorf("%s: %w", c.CommandName(), err)
		}
		keep = min(keep, open)
	}
	if keep <= state.FirstSeq {
		return nil
	}
	return stream.Purge(ctx, jetstream.WithPurgeSequence(keep))
}

// firstOpen returns the sequence of the first command of a verb that is not
// acked, or end when there is none before it. The floor of the acks and the
// stream itself say so; what the consumer counts as pending comes later than the
// messages do.
func (b *Bus) firstOpen(ctx context.Context, stream jetstream.Stream, verb string, end uint64) (uint64, error) {
	consumer, err := stream.Consumer(ctx, DurableFor(verb))
	var floor uint64
	switch {
	case err == nil:
		floor = consumer.CachedInfo().AckFloor.Stream
	case !errors.Is(err, jetstream.ErrConsumerNotFound): // without one, nobody has worked on any
		return 0, err
	}
	next, err := stream.GetMsg(ctx, floor+1, jetstream.WithGetMsgSubject(command.FilterFor(verb)))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return end, nil
	case err != nil:
		return 0, err
	}
	return min(next.Sequence, end), nil
}
