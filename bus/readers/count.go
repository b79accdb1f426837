package readers

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
	"headwater/bus/wire"
)

// CountAfter returns how many events after that sequence match the subject
// filters. It creates a consumer for the question, one of those of Past, and
// removes it; after a broken connection the consumer expires within seconds. It
// returns wire.ErrUnavailable if the broker does not answer.
func (rs *Readers) CountAfter(ctx context.Context, after uint64, filters ...string) (uint64, error) {
	ticket, err := rs.past.Wait(ctx, wire.OrganizationIn(filters))
	if err != nil {
		return 0, fmt.Errorf("count events: %w", wire.Unavailable(err))
	}
	defer rs.past.Leave(ticket)
	name := wire.SecretName()
	consumer, err := wire.Ask(ctx, func(ctx context.Context) (jetstream.Consumer, error) {
		return rs.broker.JS.CreateOrUpdateConsumer(ctx, event.Stream, jetstream.ConsumerConfig{
			Name: name, FilterSubjects: filters, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
			AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: 5 * time.Second, Replicas: 1, MemoryStorage: true,
		})
	})
	if err != nil {
		return 0, fmt.Errorf("count events: %w", wire.Unavailable(err))
	}
	pending := consumer.CachedInfo().NumPending
	rs.dropConsumer(ctx, name)
	return pending, nil
}
