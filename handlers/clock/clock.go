// Package clock is what says how late it is to those who act by the time of the day.
package clock

import (
	"time"
)

// Clock tells schedules and maintenance the time. Tests set one. It is safe for concurrent use.
type Clock interface {
	Now() time.Time
	// At returns a channel that receives once it is so late, at once if it is already. A
	// time and not a duration, so that what passes between looking at the clock and asking
	// is not waited for again.
	At(t time.Time) <-chan time.Time
}

// System returns the clock of the machine.
func System() Clock { return systemClock{} }

type systemClock struct{}

func (systemClock) Now() time.Time                  { return time.Now() }
func (systemClock) At(t time.Time) <-chan time.Time { return time.After(time.Until(t)) }
