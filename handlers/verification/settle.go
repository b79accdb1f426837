package verification

import (
	"context"
	"errors"
	"slices"
	"time"

	"headwater/bus"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing/digest"
	"headwater/handlers/outcome"
)

// looks is how often a row of a followed table must be found to differ, with the same
// values at the source, before it counts as different. Between two looks everything lands
// that was committed before the first of them. Two would be enough if the clocks of
// source and worker agreed and no row went back to values that it had.
const looks = 3

var errNotSettled = errors.New("the source's log did not land in time")

// settleLimit is how long a look waits for the changes before it to land.
const settleLimit = 2 * time.Minute

// settle distinguishes rows that differ from rows whose changes had not landed when they
// were compared: it returns those that stay different, and counts the others as behind.
// Without a continuous sync that lands changes, or if they do not land in time, it returns
// all that still differed. It returns ReasonSchemaChanged if the columns change meanwhile.
func (c *comparison) settle(ctx context.Context, t driver.Table, spec digest.Spec, rows []digest.Difference) ([]digest.Difference, error) {
	first := len(rows)
	through := c.stand.At
	for look := 1; look < looks && len(rows) > 0; look++ {
		if landed, err := c.caughtUp(ctx, time.Now()); err != nil || !landed {
			return rows, err
		}
		stand, err := c.by.Lake.Standing(ctx, c.Address, t, t.PrimaryKey)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(stand.Spec.Columns, spec.Columns) || !slices.Equal(stand.Spec.Key, spec.Key) {
			return nil, outcome.Failf(event.ReasonSchemaChanged, "the columns of the table changed while it was compared; verify it again")
		}
		c.stand = stand
		source, landed, err := c.both(ctx, spec)
		if err != nil {
			return nil, err
		}
		if source.Cut || landed.Cut {
			c.done.AtLeast = true
			return rows, nil
		}
		c.done.SourceRows = source.Rows
		rows = digest.Still(digest.Compare(source.Listed, landed.Listed), rows)
	}
	c.settled = true
	c.done.Behind += int64(first - len(rows))
	c.stand.At = through // what differed then has landed since, or changed again
	return rows, nil
}

// caughtUp waits until everything has landed that the source had committed by a time. It
// returns false if no continuous sync is running, or after settleLimit.
func (c *comparison) caughtUp(ctx context.Context, at time.Time) (bool, error) {
	ctx, stop := context.WithTimeoutCause(ctx, settleLimit, errNotSettled)
	defer stop()
	changes := c.State.Watch(ctx, c.Address)
	for {
		v, err := c.Load(ctx)
		if err != nil {
			return false, err
		}
		if fresh := v.Changes.FreshUntil; fresh != nil && fresh.After(at) {
			return true, nil
		}
		if k := v.Schedule; k == nil || !k.Continuous || v.Running == nil {
			return false, nil
		}
		select {
		case <-c.by.Stopping:
			return false, bus.Snooze(0)
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errNotSettled) {
				return false, nil
			}
			return false, context.Cause(ctx)
		case <-changes:
		case <-time.After(c.by.LookEvery):
		}
	}
}
