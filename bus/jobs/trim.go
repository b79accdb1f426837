package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/command"
	"headwater/bus/wire"
)

const (
	trimPause = time.Minute
	trimFrom  = 10_000 // stored commands from which trimming is worthwhile
	trimAny   = 60     // number of pauses after which any number is trimmed
)

// Trimmer removes finished commands from the embedded broker's stream. A work
// queue would remove each with its ack, which is a synced write of its own.
type Trimmer struct {
	JS  jetstream.JetStream
	Log *slog.Logger
}

// Run trims periodically until ctx is done.
func (t Trimmer) Run(ctx context.Context) {
	for n := 1; wire.Wait(ctx, trimPause); n++ {
		from := uint64(trimFrom)
		if n%trimAny == 0 {
			from = 1
		}
		if err := t.Trim(ctx, from); err != nil && ctx.Err() == nil {
			t.Log.Warn("cannot remove the commands that are done, will try again", "error", err)
		}
	}
}

// Trim removes the commands before the first unfinished one, if at least from
// commands are stored. Retries that are due and have no free worker at that
// moment are delivered when their leases end, because the broker drops their
// queue when it removes messages.
func (t Trimmer) Trim(ctx context.Context, from uint64) error {
	ctx, cancel := context.WithTimeout(ctx, wire.PublishWait)
	defer cancel()
	stream, err := t.JS.Stream(ctx, command.Stream)
	if err != nil {
		return err
	}
	// The end is read first: whatever is sent meanwhile comes after it.
	state := stream.CachedInfo().State
	if state.Msgs == 0 || state.Msgs < from {
		return nil
	}
	acked, err := floors(ctx, stream)
	if err != nil {
		return err
	}
	keep := state.LastSeq + 1
	for filter, floor := range acked {
		// The stream itself is asked for the next message, because a consumer's
		// count of pending messages lags behind.
		next, err := stream.GetMsg(ctx, floor+1, jetstream.WithGetMsgSubject(filter))
		switch {
		case err == nil:
			keep = min(keep, next.Sequence)
		case !errors.Is(err, jetstream.ErrMsgNotFound):
			return fmt.Errorf("%s: %w", filter, err)
		}
	}
	if keep <= state.FirstSeq {
		return nil
	}
	return stream.Purge(ctx, jetstream.WithPurgeSequence(keep))
}

// floors returns, for each filter of commands, the sequence up to which all are
// acked; 0 for a command that no worker has handled. It includes consumers of
// other builds, for commands that this one does not know.
func floors(ctx context.Context, stream jetstream.Stream) (map[string]uint64, error) {
	floors, listed := map[string]uint64{}, map[string]bool{}
	for _, c := range command.All() {
		floors[command.FilterFor(c.CommandName())] = 0
	}
	consumers := stream.ListConsumers(ctx)
	for info := range consumers.Info() {
		filter, floor := info.Config.FilterSubject, info.AckFloor.Stream
		if !listed[filter] || floor < floors[filter] {
			floors[filter] = floor
		}
		listed[filter] = true
	}
	return floors, consumers.Err()
}
