package main

import (
	"context"
	"fmt"
	"time"
)

// What changes to a large table may cost beside the same to a small one.
const (
	largeChanges = 100_000 // that a sync catches up with
	largeBeside  = 500_000 // rows of the small table
	largeRatio   = 3.0
)

// large measures the processor time of the service and its children for changes to a
// large table beside the same to a small one. The first changes, which make the index
// of keys, are not measured.
func (b *bench) large(ctx context.Context) ([]result, error) {
	var sides [2]side
	var tables [2]*captured
	for i, rows := range []int{b.rows(b.largeRows), b.rows(largeBeside)} {
		c, err := b.capture(ctx, fmt.Sprintf("large%d", i), rows)
		if err != nil {
			return nil, err
		}
		defer c.close()
		took, err := c.sync(ctx)
		if err != nil {
			return nil, err
		}
		b.say("%d rows have landed after %.2f s", rows, took.Seconds())
		tables[i] = c
		caught := busy(c.sync, c.pid())
		sides[i] = func(ctx context.Context) (time.Duration, error) {
			if err := c.change(ctx, largeChanges); err != nil {
				return 0, err
			}
			return caught(ctx)
		}
	}
	rows := tables[0].rows
	name := fmt.Sprintf("CPU of catching up with %d changes of a table of %d rows", largeChanges, rows)
	ours, limit, err := b.pair(ctx, name, sides[0], sides[1])
	if err != nil {
		return nil, err
	}
	for _, c := range tables {
		if err := c.equal(ctx); err != nil {
			return nil, err
		}
	}
	x := ours.Seconds() / limit.Seconds()
	each := func(d time.Duration) string { return fmt.Sprintf("%.1f µs a change", d.Seconds()*1e6/largeChanges) }
	return []result{{
		work: name, ours: each(ours), limit: each(limit), beside: fmt.Sprintf("of a table of %d", b.rows(largeBeside)),
		ratio: fmt.Sprintf("%.2f", x), target: fmt.Sprintf("at most %.2f", largeRatio), ok: x <= largeRatio,
	}}, nil
}
