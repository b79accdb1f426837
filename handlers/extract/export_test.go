package extract

import "time"

// Racing says that the race detector runs, whose own memory stays.
const Racing = racing

// Spare returns the child that waits ready, 0 for none.
func (p *Pool) Spare() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spare == nil {
		return 0
	}
	return p.spare.cmd.Process.Pid
}

// StandEvery sets how often a log is asked how its reader stands, in this process, until
// the returned function is called.
func StandEvery(every time.Duration) (restore func()) {
	was := standingEvery
	standingEvery = every
	return func() { standingEvery = was }
}

// Mute sets how long a child may say nothing of a log, until the returned function is
// called.
func Mute(limit time.Duration) (restore func()) {
	was := muteLimit
	muteLimit = limit
	return func() { muteLimit = was }
}
