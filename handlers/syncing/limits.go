package syncing

import (
	"context"
	"errors"
	"time"

	"headwater/bus/event"
	"headwater/handlers/outcome"
)

// passed returns the cause of a context that a limit ended: what it is for those
// who ask with errors.Is, and a message that names the limit.
func passed(kind error, format string, args ...any) error {
	return errors.Join(outcome.Failf(event.ReasonTimeout, format, args...), kind)
}

// idleLimit is how long a read may bring nothing: longer than the source itself
// may be silent, which sync_options.idle_timeout says.
func (a *attempt) idleLimit() time.Duration {
	idle, _ := a.options.IdleTimeout.Value() // the plan tells of one that cannot be read
	return max(a.h.Options.IdleLimit, idle+idle/4)
}

// silent is why a read ends that brought nothing for too long.
func (a *attempt) silent() error {
	return passed(outcome.ErrIdle, "the source sent nothing for %v, the idle limit; sync_options.idle_timeout raises it", a.idleLimit())
}

// idler ends a read that brings nothing for too long. One goroutine stops and
// resets it.
type idler struct {
	limit time.Duration
	timer *time.Timer
	table *tableRun
}

// idle starts the idle limit of a table's read. While the lake takes what was
// read, the source cannot send more: then that is what must move.
func (a *attempt) idle(t *tableRun, cancel context.CancelCauseFunc) *idler {
	i := &idler{limit: a.idleLimit(), table: t}
	again := make(chan struct{})
	i.timer = time.AfterFunc(i.limit, func() {
		<-again
		switch moved, all := t.uploads(); {
		case moved:
			i.timer.Reset(i.limit)
		case all:
			cancel(a.silent())
		default:
			cancel(passed(outcome.ErrIdle, "the lake took nothing for %v, the idle limit", i.limit))
		}
	})
	close(again) // the timer is known from here on
	return i
}

func (i *idler) Stop() { i.timer.Stop() }
func (i *idler) Reset() {
	i.table.uploads() // what moves from now on
	i.timer.Reset(i.limit)
}

// limited returns the context of an attempt, which ends with the whole sync's
// own limit. The time of earlier attempts counts.
func (a *attempt) limited(work context.Context) (context.Context, context.CancelFunc) {
	limit, err := a.options.Timeout.Value()
	if err != nil || limit == 0 || a.follows > 0 { // the plan tells of one that cannot be read
		return context.WithCancel(work)
	}
	return context.WithDeadlineCause(work, a.begun.Add(limit), passed(outcome.ErrDeadline, "the sync took longer than sync_options.timeout, %s", a.options.Timeout))
}

// within returns the context of one table, which ends with the table's own
// limit.
func (t *tableRun) within(work context.Context) (context.Context, context.CancelFunc) {
	limit := t.options.Limit
	if limit == 0 {
		return context.WithCancel(work)
	}
	return context.WithTimeoutCause(work, limit, outcome.Failf(event.ReasonTimeout, "the table took longer than sync_options.table_timeout, %v", limit.Round(time.Millisecond)))
}
