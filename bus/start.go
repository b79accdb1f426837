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

// errNoPeers is the API error code for a cluster with fewer running servers than
// a stream has copies. nats.go has no name for it.
const errNoPeers = 10005

// awaitCluster retries a step of the start while the cluster forms: servers
// start in any order and elect leaders before they store anything. It returns at
// once if waiting cannot help.
func awaitCluster(ctx context.Context, cfg Config, log *slog.Logger, step func(context.Context) error) error {
	most := cfg.StartWait
	if most == 0 {
		most = startWait
	}
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	told := time.Now()
	for {
		// A lost request must not use up the time.
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

// forming reports whether a cluster that is starting may give this error.
func forming(err error) bool {
	if errors.Is(err, nats.ErrNoServers) || wire.IsTransient(err) || wire.Code(err) == errNoPeers {
		return true
	}
	// What was created a moment ago may not be known on all servers.
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return true
	}
	// A connection refused or cut while a server starts.
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout)
}

// advice says what to check, as far as the error tells.
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
