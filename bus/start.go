package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/wire"
)

// startWait is how long Open waits for an external cluster.
const startWait = 30 * time.Second

// errNoPeers is the API error of a cluster with fewer servers up than a stream
// has copies, which nats.go has no name for.
const errNoPeers = 10005

// awaitCluster repeats a step of the start while the cluster forms: servers come up in
// any order, and elect leaders before they store anything. It returns at once
// what waiting cannot mend.
func awaitCluster(ctx context.Context, cfg Config, log *slog.Logger, step func(context.Context) error) error {
	most := cfg.StartWait
	if most == 0 {
		most = startWait
	}
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	told := time.Now()
	for {
		// A question that was dropped must not use the time up.
		try, cancel := context.WithTimeout(limited, wire.PublishTry)
		err := step(try)
		cancel()
		if err == nil || !forming(err) {
			return err
		}
		if time.Since(told) > 5*time.Second {
			told = time.Now()
			log.Warn("waiting for the NATS cluster", "error", err)
		}
		if !wire.Wait(limited, 250*time.Millisecond) {
			if ctx.Err() != nil {
				return fmt.Errorf("%w: %w", ctx.Err(), err)
			}
			return fmt.Errorf("the NATS cluster was not ready within %s%s: %w", most, advice(err, cfg), err)
		}
	}
}

// forming reports whether a cluster that is coming up may answer so.
func forming(err error) bool {
	if errors.Is(err, nats.ErrNoServers) || wire.IsTransient(err) || wire.Code(err) == errNoPeers {
		return true
	}
	// What was created a moment ago may not be known everywhere yet.
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return true
	}
	// A connection that is refused or cut while a server starts.
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout)
}

// advice says what to look at, as far as the error tells.
func advice(err error, cfg Config) string {
	switch {
	case errors.Is(err, nats.ErrNoServers):
		return ": nothing answers at " + strings.Join(redactedURLs(cfg.URL), ", ")
	case wire.Code(err) == errNoPeers:
		return fmt.Sprintf(": %d copies need as many servers with JetStream that are up and have room", max(1, cfg.Replicas))
	case wire.Code(err) == wire.ErrCodeNoLeader, errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return ": it has no leader, which takes a majority of its servers"
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return ": its servers do not have JetStream enabled, or not yet"
	}
	return ""
}
