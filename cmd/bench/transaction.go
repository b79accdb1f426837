package main

import (
	"context"
	"fmt"
)

const (
	transactionRows   = 2_000_000 // that are inserted in one transaction
	transactionBefore = 500_000   // that are there before
	transactionMemory = 300 << 20 // bytes, of all processes at once
)

// transaction measures the memory of all processes while they catch up with one
// transaction of many rows.
func (b *bench) transaction(ctx context.Context) ([]result, error) {
	c, err := b.capture(ctx, "transaction", b.rows(transactionBefore))
	if err != nil {
		return nil, err
	}
	defer c.close()
	if _, err := c.sync(ctx); err != nil {
		return nil, err
	}
	rows := b.rows(transactionRows)
	err = c.run(ctx, fmt.Sprintf("insert into %s select %d + i, i%%7, i*0.01, now(), 'one ' || i from generate_series(1, %d) i", capturedName, c.rows, rows))
	if err != nil {
		return nil, err
	}
	c.rows += rows
	watch := watchMemory(c.pid())
	took, err := c.sync(ctx)
	peak, own := watch()
	if err != nil {
		return nil, err
	}
	b.say("one transaction of %d rows: %.2f s, at most %d MiB at once, %d MiB without pages of files", rows, took.Seconds(), peak>>20, own>>20)
	return []result{{
		work: fmt.Sprintf("one transaction of %d rows, memory of all processes", rows),
		ours: fmt.Sprintf("%d MiB (%d of them not pages of the program)", peak>>20, own>>20), limit: "-", ratio: "-",
		target: fmt.Sprintf("at most %d MiB", transactionMemory>>20), rate: fmt.Sprintf("%.0f krows/s", float64(rows)/took.Seconds()/1000), ok: peak <= transactionMemory,
	}}, c.equal(ctx)
}
