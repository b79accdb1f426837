package bus

import (
	"context"
	"fmt"

	"headwater/bus/command"
	"headwater/bus/wire"
)

// Queue returns, by command name, how many commands are stored and not finished,
// including those that a worker has. It returns ErrUnavailable if the broker
// does not answer.
func (b *Bus) Queue(ctx context.Context) (map[string]uint64, error) {
	stream, err := b.reads.Stream(ctx, StreamCommands)
	if err != nil {
		return nil, fmt.Errorf("ask for the queue: %w", wire.Unavailable(err))
	}
	waiting, names := map[string]uint64{}, map[string]string{}
	for _, c := range command.All() {
		waiting[c.CommandName()], names[DurableFor(c.CommandName())] = 0, c.CommandName()
	}
	consumers := stream.ListConsumers(ctx)
	for info := range consumers.Info() {
		if name, ours := names[info.Name]; ours {
			waiting[name] = info.NumPending + uint64(info.NumAckPending)
		}
	}
	if err := consumers.Err(); err != nil {
		return nil, fmt.Errorf("ask for the queue: %w", wire.Unavailable(err))
	}
	return waiting, nil
}

// DeadLetters returns how many dead letters are stored. It returns
// ErrUnavailable if the broker does not answer.
func (b *Bus) DeadLetters(ctx context.Context) (uint64, error) {
	stream, err := b.reads.Stream(ctx, StreamDeadLetters)
	if err != nil {
		return 0, fmt.Errorf("ask for the dead letters: %w", wire.Unavailable(err))
	}
	return stream.CachedInfo().State.Msgs, nil
}
