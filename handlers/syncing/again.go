package syncing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/outcome"
)

// maxAgain bounds how often in a row tables are captured again though nothing has landed
// and they are as they were.
const maxAgain = 8

// again decides what follows a round that ended with err. It returns true for another
// round, once it has waited if a pause is due, and otherwise the error with which the sync
// ends, nil for a complete one.
func (f *follower) again(ctx, work context.Context, err error) (again bool, why error) {
	var lost *overtaken
	var unwritten *historyError
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, errEnough):
		if err = f.prove(work); err != nil {
			return f.again(ctx, work, err)
		}
		f.ended()
		return false, nil
	case errors.As(err, &lost), errors.As(err, &unwritten), errors.Is(err, outcome.ErrStopping), work.Err() != nil:
		return false, err
	case errors.Is(err, errAgain), errors.Is(err, driver.ErrRetyped):
		return f.lookAgain(work, err)
	}
	if given, moved := f.given(ctx); given || errors.Is(err, errGiven) {
		return f.anew(work, err, moved)
	}
	switch {
	case errors.Is(err, driver.ErrReplaced):
		return false, f.gone(err)
	case !mayPass(err):
		return false, err
	}
	f.close()
	f.tries++
	if f.follows > 0 && !f.wantedStill() { // whoever paused it does not wait for the source
		return false, err
	}
	if endless := f.follows > 0 && f.at.position() != "" && !errors.Is(err, extract.ErrKilled); !endless && f.tries > f.h.Options.TableRetries {
		return false, err
	}
	_, message := outcome.Explain(err)
	if f.follows > 0 && f.tries == 1 { // the state has changed: each try after it is not told
		if err := f.at.say(f, "it is tried again, with growing pauses: "+message); errors.Is(err, errGiven) {
			return f.again(ctx, work, err)
		} else if err != nil {
			return false, err
		}
	}
	f.j.Log.Debug("the log of changes is taken up again", "try", f.tries, "error", err)
	return true, f.rest(work, f.tries)
}

// anew has the next round read the tables whole and take up another log, because the one
// that was read was given up, at once if that is so because the source was moved.
func (f *follower) anew(work context.Context, err error, moved bool) (again bool, why error) {
	f.close()
	f.at.forget()
	if f.tries++; f.tries > maxAgain {
		return false, f.gone(err)
	}
	if moved {
		return true, nil
	}
	return true, f.rest(work, f.tries)
}

// prove asks the source, once the reading was ended, whether its log is still the one that
// was read. Otherwise what lay behind the position may be lost, and a sync that says
// nothing of it would be believed. Transient failures are tried again at once, proofTries
// times.
func (f *follower) prove(work context.Context) (err error) {
	for range proofTries {
		if _, err = f.log.Standing(work); err == nil || !mayPass(err) || work.Err() != nil {
			break
		}
		select {
		case <-work.Done():
		case <-time.After(f.h.Options.RetryDelay / 4):
		}
	}
	return outcome.CauseOf(work, err)
}

const proofTries = 3

// wantedStill reports whether the schedule is still the one that began this continuous
// sync. If that cannot be read it is true.
func (f *follower) wantedStill() bool {
	s, err := f.j.State.Source(f.j.Address)
	return err != nil || f.wanted(s)
}

// gone returns the failure of a sync whose log no longer has the position it was left at.
func (f *follower) gone(err error) error {
	_, message := outcome.Explain(err)
	message = fmt.Sprintf("%s; changes since %s may be lost to it", message, f.at.since())
	if !strings.Contains(message, "sync_options.reset") {
		message += `. sync_options.reset ["*"] reads the tables whole again and takes the log up anew`
	}
	return outcome.Failf(event.ReasonSchemaChanged, "%s", message)
}

// rest waits before another round, the nth time: RetryDelay, and twice as long each time, up
// to 5 minutes. It writes heartbeats meanwhile, and returns early with the cause of work's end,
// or with nil if the source was moved, or a continuous sync is wanted no more.
func (f *follower) rest(work context.Context, nth int) error {
	pause := f.h.Options.RetryDelay
	for range nth - 1 {
		pause = min(2*pause, longestPause)
	}
	heartbeat := time.NewTicker(f.h.Options.HeartbeatEvery)
	defer heartbeat.Stop()
	over := time.After(pause)
	resting, stop := context.WithCancelCause(work)
	defer stop(nil)
	defer f.heed(resting, stop)()
	for {
		select {
		case <-resting.Done():
			return context.Cause(work)
		case <-over:
			return nil
		case <-heartbeat.C:
			if err := f.at.tell(f, false); err != nil {
				return err
			}
			if f.follows > 0 && !f.wantedStill() {
				return nil
			}
		}
	}
}

const longestPause = 5 * time.Minute

// soonAgain is how often in a row tables are discovered again without a pause. One that is
// altered every second is seldom met as it was found, and a pause does not help.
const soonAgain = 3

// lookAgain has the next round discover the tables again. The source stays open: it knows
// for which of its tables that did not help, and refuses that one when the log is opened
// again. Tables may be altered as often as somebody likes, and each time something is
// learnt. But where maxAgain rounds in a row land nothing and find nothing new, the next
// would be no better, and the sync ends.
func (f *follower) lookAgain(work context.Context, err error) (again bool, why error) {
	f.tries++
	if f.vain++; f.vain > maxAgain {
		said := ""
		if errors.Is(err, driver.ErrRetyped) {
			_, message := outcome.Explain(err)
			said = " (" + message + ")"
		}
		return false, outcome.Failf(event.ReasonTimeout, "the log of changes was opened %d times in a row, and each time the tables had to be looked at again%s, though nothing new was found and nothing landed: another sync goes on where this one was", f.vain, said)
	}
	if f.tries <= soonAgain {
		return true, nil
	}
	return true, f.rest(work, max(f.vain-soonAgain, 1))
}

// learn notes how the tables were found. If something is new since the round before, this
// one is not in vain, whatever becomes of it.
func (f *follower) learn() {
	var all strings.Builder
	for _, t := range f.attempt.tables {
		aside := t.follow != nil && !t.follow.aside.IsZero()
		fmt.Fprintf(&all, "%s %t %t\n", definition(t.table), t.follow != nil, aside)
	}
	if found := all.String(); found != f.found {
		f.found, f.vain = found, 0
	}
}
