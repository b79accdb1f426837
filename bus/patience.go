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
)

const (
	// askTry is until a question counts as lost: one that reaches a broker
	// without a leader is dropped there, not refused.
	askTry = 2 * time.Second
	// startPatience is how long Open waits for an external cluster.
	startPatience = 30 * time.Second
)

// API errors that pass, which nats.go has no names for.
const (
	errNoLeader      = 10008 // the cluster elects one
	errNoPeers       = 10005 // fewer servers than replicas are up
	errIDInProcess   = 10158 // an earlier try of the same message is being stored
	errRepeated      = 10201 // a batch holds a message that is stored
	errSequenceInUse = jetstream.JSErrCodeStreamWrongLastSequenceConstant
)

// ask repeats a question, which must change nothing or be harmless to repeat,
// until it is answered or refused, at most until ctx ends, or publishWait if it
// has no deadline.
func ask[T any](ctx context.Context, question func(context.Context) (T, error)) (T, error) {
	return repeat(ctx, askTry, question)
}

func repeat[T any](ctx context.Context, each time.Duration, request func(context.Context) (T, error)) (T, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, publishWait)
		defer cancel()
	}
	for {
		try, cancel := context.WithTimeout(ctx, each)
		answer, err := request(try)
		cancel()
		if err == nil || !passing(err) || !wait(ctx, 50*time.Millisecond) {
			return answer, err
		}
	}
}

// passing reports whether the broker may accept the same message a moment
// later.
func passing(err error) bool {
	for _, known := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, jetstream.ErrNoStreamResponse,
		nats.ErrDisconnected, nats.ErrConnectionReconnecting,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	switch apiCode(err) {
	case errNoLeader, errIDInProcess, errSequenceInUse:
		return true
	}
	return false
}

// apiCode returns the broker's own code of an error, 0 if it is not from there.
func apiCode(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode
	}
	var old *nats.APIError
	if errors.As(err, &old) {
		return jetstream.ErrorCode(old.ErrorCode)
	}
	return 0
}

// await repeats a step of the start while the cluster forms: servers come up in
// any order, and elect leaders before they store anything. It returns at once
// what waiting cannot mend.
func await(ctx context.Context, cfg Config, log *slog.Logger, step func(context.Context) error) error {
	patience := cfg.Patience
	if patience == 0 {
		patience = startPatience
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	told := time.Now()
	for {
		// A question that was dropped must not use the patience up.
		try, cancel := context.WithTimeout(limited, publishTry)
		err := step(try)
		cancel()
		if err == nil || !forming(err) {
			return err
		}
		if time.Since(told) > 5*time.Second {
			told = time.Now()
			log.Warn("waiting for the NATS cluster", "error", err)
		}
		if !wait(limited, 250*time.Millisecond) {
			if ctx.Err() != nil {
				return fmt.Errorf("%w: %w", ctx.Err(), err)
			}
			return fmt.Errorf("the NATS cluster was not ready within %s%s: %w", patience, advice(err, cfg), err)
		}
	}
}

// forming reports whether a cluster that is coming up may answer so.
func forming(err error) bool {
	if errors.Is(err, nats.ErrNoServers) || passing(err) || apiCode(err) == errNoPeers {
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
	case apiCode(err) == errNoPeers:
		return fmt.Sprintf(": %d copies need as many servers with JetStream that are up and have room", max(1, cfg.Replicas))
	case apiCode(err) == errNoLeader, errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return ": it has no leader, which takes a majority of its servers"
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return ": its servers do not have JetStream enabled, or not yet"
	}
	return ""
}
