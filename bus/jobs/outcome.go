package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent wraps an error to say that no retry can help: the message becomes a
// dead letter at once. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// UnansweredError is the cause of giving up a command that no worker has answered: each
// died, or was interrupted before it could say why.
type UnansweredError struct{ Workers int }

func (e *UnansweredError) Error() string {
	return fmt.Sprintf("%d workers ended without an answer", e.Workers)
}

// IsPermanent reports whether err wraps an error from Permanent.
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

type snoozeError struct{ delay time.Duration }

func (e *snoozeError) Error() string { return fmt.Sprintf("put off for %v", e.delay) }

// Snooze returns an error that means "not now": the message is delivered again
// after the delay, and this delivery does not count as a failure.
func Snooze(delay time.Duration) error { return &snoozeError{max(0, delay)} }

// Snoozed returns the delay of an error from Snooze, and whether err wraps one.
func Snoozed(err error) (time.Duration, bool) {
	var s *snoozeError
	if !errors.As(err, &s) {
		return 0, false
	}
	return s.delay, true
}

// outcome carries a handler's error to the subscriber, because Watermill passes
// only Ack or Nack. The middleware writes the error before the router nacks,
// which orders the two accesses.
type outcome struct{ err error }

type outcomeKey struct{}

func withOutcome(ctx context.Context) (context.Context, *outcome) {
	o := new(outcome)
	return context.WithValue(ctx, outcomeKey{}, o), o
}

// Outcomes is a Watermill middleware that passes a handler's error to the Jobs
// subscriber, so that Permanent and Snooze take effect, and turns a panic into
// an error that is retried. Add it as the router's last middleware, closest to
// the handler.
func Outcomes(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) (produced []*message.Message, err error) {
		o, _ := msg.Context().Value(outcomeKey{}).(*outcome)
		defer func() {
			if p := recover(); p != nil {
				produced, err = nil, panicError(p)
			}
			if o != nil {
				o.err = err
			}
		}()
		return h(msg)
	}
}

// panicError returns an error that says where a panic occurred. It omits the
// value, which may hold a secret.
func panicError(p any) error {
	what := fmt.Sprintf("%T", p)
	var re runtime.Error
	if err, ok := p.(error); ok && errors.As(err, &re) {
		what = re.Error()
	}
	frames := make([]uintptr, 32)
	iter := runtime.CallersFrames(frames[:runtime.Callers(3, frames)])
	for {
		frame, more := iter.Next()
		if frame.Function != "" && frame.Function != "runtime.gopanic" && !isRuntime(frame.Function) {
			return fmt.Errorf("handler panicked: %s at %s:%d", what, frame.Function, frame.Line)
		}
		if !more {
			return fmt.Errorf("handler panicked: %s", what)
		}
	}
}

func isRuntime(function string) bool {
	return len(function) > 8 && function[:8] == "runtime."
}
