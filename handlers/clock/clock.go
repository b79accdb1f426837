// Package clock is what says how late it is to those who act by the time of the day.
package clock

import (
	"time"
)

// Clock tells schedules and maintenance the time. Tests set one. It is safe for concurrent use.
type Clock interface {
	Now() time.Time
	// After returns a channel that receives once the duration has passed.
	After(d time.Duration) <-chan time.Time
}

// System returns the clock of the machine.
func System() Clock { return systemClock{} }

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
