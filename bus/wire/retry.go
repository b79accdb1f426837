// Package wire is shared by all code that talks to the broker: errors, retries,
// the form of messages, and the storage of large bodies.
package wire

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// AskTry is the time after which a request counts as lost: a broker without
	// a leader drops requests instead of refusing them.
	AskTry = 2 * time.Second
	// PublishTry is the time after which a publish counts as not confirmed.
	PublishTry = 5 * time.Second
	// PublishWait limits all tries together if the context has no deadline.
	PublishWait = 15 * time.Second
	// pause is the time between two tries.
	pause = 50 * time.Millisecond
)

// Codes of transient API errors for which nats.go has no names.
const (
	ErrCodeNoLeader      = 10008 // the cluster is electing a leader
	ErrCodeIDInProcess   = 10158 // an earlier try of the same message is being stored
	ErrCodeSequenceInUse = jetstream.JSErrCodeStreamWrongLastSequenceConstant
)

// Ask sends a request until it is answered or refused, until ctx is done, or for
// PublishWait if ctx has no deadline. The request must be harmless to repeat. It
// returns the answer and error of the last try.
func Ask[T any](ctx context.Context, question func(context.Context) (T, error)) (T, error) {
	return Retry(ctx, AskTry, question)
}

// Retry is Ask with another time limit for each try.
func Retry[T any](ctx context.Context, each time.Duration, request func(context.Context) (T, error)) (T, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, PublishWait)
		defer cancel()
	}
	for {
		try, cancel := context.WithTimeout(ctx, each)
		answer, err := request(try)
		cancel()
		if err == nil || !IsTransient(err) || !Wait(ctx, pause) {
			return answer, err
		}
	}
}

// IsTransient reports whether the broker may accept the same message a moment
// later.
func IsTransient(err error) bool {
	for _, known := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, jetstream.ErrNoStreamResponse,
		nats.ErrDisconnected, nats.ErrConnectionReconnecting,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	switch Code(err) {
	case ErrCodeNoLeader, ErrCodeIDInProcess, ErrCodeSequenceInUse:
		return true
	}
	return false
}

// Code returns the broker's code of an API error, or 0 for any other error.
func Code(err error) jetstream.ErrorCode {
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

// Wait sleeps for d. It returns false as soon as ctx is done.
func Wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
