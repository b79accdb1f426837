package changes

import (
	"context"
	"fmt"
	"time"

	"headwater/cmd/bench/processes"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
)

// What changes to a large table may cost beside the same to a small one.
const (
	largeChanges = 100_000 // that a sync catches up with
	// LargeBeside is how many rows the small table has.
	LargeBeside = 500_000
	largeRatio  = 3.0
	largeWarm   = 4               // syncs that are not measured
	largeQuiet  = 2 * time.Second // without work, and a sync is over with all that it brings about
	largeWait   = 3 * time.Minute
)

// Large measures the processor time of the service and its children for changes to a
// large table beside the same to a small one: that of the syncs and of the maintenance
// that follows them. The first syncs, which make the index of keys and join the files of
// the load, are not measured. most is how many rows the large table has in full size.
func Large(ctx context.Context, b *rig.Rig, most int) ([]report.Row, error) {
	var tables [2]*captured
	for i, rows := range []int{b.Rows(most), b.Rows(LargeBeside)} {
		c, err := capture(ctx, b, fmt.Sprintf("large%d", i), rows)
		if err != nil {
			return nil, err
		}
		defer c.close()
		took, err := c.sync(ctx)
		if err != nil {
			return nil, err
		}
		b.Say("%d rows have landed after %.2f s", rows, took.Seconds())
		tables[i] = c
	}
	name := fmt.Sprintf("CPU of changes to a table of %d rows, %d at a time", tables[0].rows, largeChanges)
	var sum [2]time.Duration
	for run := range largeWarm + b.Runs {
		var spent [2]time.Duration
		for i, c := range tables {
			if err := c.change(ctx, largeChanges); err != nil {
				return nil, err
			}
			before := processes.CPU(c.pid())
			if _, err := c.sync(ctx); err != nil {
				return nil, err
			}
			if err := c.quiet(ctx); err != nil {
				return nil, err
			}
			spent[i] = processes.CPU(c.pid()) - before
		}
		b.Say("%s, %d: %.2f s, %.2f s into the small one", name, run-largeWarm+1, spent[0].Seconds(), spent[1].Seconds())
		if run >= largeWarm {
			sum[0], sum[1] = sum[0]+spent[0], sum[1]+spent[1]
		}
	}
	for _, c := range tables {
		if err := c.equal(ctx); err != nil {
			return nil, err
		}
	}
	x := sum[0].Seconds() / sum[1].Seconds()
	each := func(d time.Duration) string {
		return fmt.Sprintf("%.1f µs a change", d.Seconds()*1e6/float64(largeChanges*b.Runs))
	}
	return []report.Row{{
		Work: name, Ours: each(sum[0]), Limit: each(sum[1]), Beside: fmt.Sprintf("to a table of %d", b.Rows(LargeBeside)),
		Ratio: fmt.Sprintf("%.2f", x), Target: fmt.Sprintf("at most %.2f", largeRatio), OK: x <= largeRatio,
	}}, nil
}

// quiet waits until the service and its children have nothing to do.
func (c *captured) quiet(ctx context.Context) error {
	until := time.Now().Add(largeWait)
	for time.Now().Before(until) {
		before := processes.CPU(c.pid())
		select {
		case <-time.After(largeQuiet):
		case <-ctx.Done():
			return ctx.Err()
		}
		if processes.CPU(c.pid())-before < largeQuiet/20 {
			return nil
		}
	}
	return fmt.Errorf("the service still works %s after its sync", largeWait)
}
