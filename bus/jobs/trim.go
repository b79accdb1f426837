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
	trimFrom  = 10_000 // commands that are stored before it is worth looking
	trimAny   = 60     // pauses until it is looked for any number of them
)

// Trimmer removes commands that are done from the embedded broker's stream. A work
// queue would remove each with its ack, which is a synced write of its own.
type Trimmer struct {
	JS  jetstream.JetStream
	Log *slog.Logger
}

// Run removes what is done, now and then, until ctx ends.
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

// Trim removes the commands before the first that is not done, if that many are
// stored. Retries that are due and have no free worker at that moment come when
// their leases end: the broker forgets their queue when it removes anything.
func (t Trimmer) Trim(ctx context.Context, from uint64) error {
	ctx, cancel := context.WithTimeout(ctx, wire.PublishWait)
	defer cancel()
	stream, err := t.JS.Stream(ctx, command.Stream)
	if err != nil {
		return err
	}
	// The end is read first: what is sent meanwhile lies behind it.
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
		// The stream itself is asked for the next one: what a consumer counts as
		// pending comes later than the messages do.
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

// floors returns for each filter of commands the sequence up to which all are
// acked: 0 for a command that nobody has worked on. Those of consumers that
// another build made, for commands that this one does not know, count too.
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
