package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/wire"
)

// CountAfter returns how many events the log holds on the subject filters after
// that sequence. It makes a consumer for the question, one of those of Past, and removes it; one that
// is left by a broken connection expires within seconds. It returns
// ErrUnavailable when the broker did not answer.
func (b *Bus) CountAfter(ctx context.Context, after uint64, filters ...string) (uint64, error) {
	turn, err := b.past.wait(ctx, wire.OrganizationIn(filters))
	if err != nil {
		return 0, fmt.Errorf("count events: %w", wire.Unavailable(err))
	}
	defer b.past.leave(turn)
	name := wire.SecretName()
	consumer, err := wire.Ask(ctx, func(ctx context.Context) (jetstream.Consumer, error) {
		return b.reads.CreateOrUpdateConsumer(ctx, StreamEvents, jetstream.ConsumerConfig{
			Name: name, FilterSubjects: filters, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
			AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: 5 * time.Second, Replicas: 1, MemoryStorage: true,
		})
	})
	if err != nil {
		return 0, fmt.Errorf("count events: %w", wire.Unavailable(err))
	}
	pending := consumer.CachedInfo().NumPending
	b.dropConsumer(ctx, name)
	return pending, nil
}
