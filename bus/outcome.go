package bus

import (
	"time"

	"headwater/bus/jobs"
)

// Permanent returns an error that says no retry can help: the message goes to
// the dead letters at once. Permanent(nil) is nil.
func Permanent(err error) error { return jobs.Permanent(err) }

// IsPermanent reports whether err, or what it wraps, came from Permanent.
func IsPermanent(err error) bool { return jobs.IsPermanent(err) }

// Snooze returns an error that says "not now": the message comes again after
// the delay, and this time does not count as a failure.
func Snooze(delay time.Duration) error { return jobs.Snooze(delay) }

// Snoozed returns the delay of an error that came from Snooze.
func Snoozed(err error) (time.Duration, bool) { return jobs.Snoozed(err) }
