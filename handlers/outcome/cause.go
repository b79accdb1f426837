package outcome

import (
	"context"
	"errors"

	"headwater/bus/event"
	"headwater/handlers/landing"
	"headwater/handlers/landing/bucket"
)

// OfSource reports whether an error is the source's own, or the time limit's,
// and so an outcome; any other is a reason to try the command again. base is
// the context that ends when the worker stops.
func OfSource(base context.Context, err error) bool {
	if base.Err() != nil {
		return false
	}
	reason, _ := Explain(err)
	return reason != event.ReasonInternal && reason != event.ReasonCancelled
}

// CauseOf returns why ctx ended, if it did, and err otherwise: an error of a call
// that was cut off says only that. Where a limit passed while the lake was waited
// for, the message adds what the lake had answered.
func CauseOf(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	cause := context.Cause(ctx)
	var limit *Failure
	if !errors.As(cause, &limit) || !errors.Is(err, landing.ErrStorage) {
		return cause
	}
	what := "its folder did not answer"
	var b *bucket.Error
	if errors.As(err, &b) {
		what = b.Error()
	}
	return errors.Join(Failf(limit.Reason, "%s; the lake was waited for: %s", limit.Message, what), cause)
}
