package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/wire"
)

// quorumSilence is how long a copy may be silent before a leader's claim to lead
// is not believed. Copies answer its heartbeat every second; a leader that is
// cut off takes 10 to 20 s to notice.
const quorumSilence = 5 * time.Second

// Quorum returns nil if every stream that a write needs has a leader that heard
// from a majority of its copies in the last 5 s, else an error that wraps
// ErrUnavailable. The embedded broker has one copy, so it always has a quorum.
// The result may be up to 5 s old, so a write may still have to wait.
func (b *Bus) Quorum(ctx context.Context) error {
	if b.broker != nil {
		var errs []error
		for _, stream := range []string{StreamEvents, StreamCommands} {
			if g := b.groups[stream]; g != nil {
				errs = append(errs, g.Failure())
			} else {
				errs = append(errs, b.broker.health(stream))
			}
		}
		return errors.Join(errs...)
	}
	if b.replicas == 1 {
		return nil
	}
	var needed []string
	for _, c := range streamConfigs(b.replicas, false) {
		if c.Name == StreamEvents || stateful(c.Name) || c.Name == kvStream(BucketIdempotency) {
			needed = append(needed, c.Name)
		}
	}
	errs := make([]error, len(needed))
	var asked sync.WaitGroup
	for i, name := range needed {
		asked.Go(func() {
			stream, err := wire.Ask(ctx, func(ctx context.Context) (jetstream.Stream, error) { return b.reads.Stream(ctx, name) })
			if err == nil {
				err = heard(stream.CachedInfo())
			}
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", name, wire.Unavailable(err))
			}
		})
	}
	asked.Wait()
	return errors.Join(errs...)
}

// heard reports whether the leader that gave this answer has a majority.
func heard(info *jetstream.StreamInfo) error {
	if info.Cluster == nil || info.Cluster.Leader == "" {
		return errors.New("it has no leader")
	}
	heard := 1 // the leader itself
	for _, r := range info.Cluster.Replicas {
		// 0 means that this leader never heard from the copy.
		if r.Active > 0 && r.Active <= quorumSilence {
			heard++
		}
	}
	if copies := info.Config.Replicas; heard <= copies/2 {
		return fmt.Errorf("its leader heard from %d of %d copies in the last %s", heard, copies, quorumSilence)
	}
	return nil
}
