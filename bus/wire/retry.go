// Package wire is what everything that speaks to the broker shares: its errors,
// how requests are repeated, the form of messages, and where large bodies lie.
package wire

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// AskTry is until a question counts as lost: one that reaches a broker
	// without a leader is dropped there, not refused.
	AskTry = 2 * time.Second
	// PublishTry is until one publish counts as not confirmed.
	PublishTry = 5 * time.Second
	// PublishWait is for all tries together, where the context has no deadline.
	PublishWait = 15 * time.Second
	// pause is between two tries.
	pause = 50 * time.Millisecond
)

// Codes of API errors that pass, which nats.go has no names for.
const (
	ErrCodeNoLeader      = 10008 // the cluster elects one
	ErrCodeIDInProcess   = 10158 // an earlier try of the same message is being stored
	ErrCodeSequenceInUse = jetstream.JSErrCodeStreamWrongLastSequenceConstant
)

// Ask repeats a question, which must change nothing or be harmless to repeat,
// until it is answered or refused, at most until ctx ends, or PublishWait if it
// has no deadline. It returns the last try's answer and error.
func Ask[T any](ctx context.Context, question func(context.Context) (T, error)) (T, error) {
	return Retry(ctx, AskTry, question)
}

// Retry is Ask with tries of another length, for requests that are harmless to
// repeat: it repeats while the error is transient.
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

// Code returns the broker's own code of an error, 0 if it is not from there.
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

// Wait sleeps for d, and reports false at once when ctx ends before.
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
