package bus

import (
	"time"

	"headwater/bus/jobs"
)

// Permanent wraps an error to say that no retry can help: the message becomes a
// dead letter at once. Permanent(nil) is nil.
func Permanent(err error) error { return jobs.Permanent(err) }

// UnansweredError is the cause of giving up a command that no worker has answered.
type UnansweredError = jobs.UnansweredError

// IsPermanent reports whether err wraps an error from Permanent.
func IsPermanent(err error) bool { return jobs.IsPermanent(err) }

// Snooze returns an error that means "not now": the message is delivered again
// after the delay, and this delivery does not count as a failure.
func Snooze(delay time.Duration) error { return jobs.Snooze(delay) }

// Snoozed returns the delay of an error from Snooze, and whether err wraps one.
func Snoozed(err error) (time.Duration, bool) { return jobs.Snoozed(err) }
