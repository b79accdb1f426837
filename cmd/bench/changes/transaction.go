package changes

import (
	"context"
	"fmt"

	"headwater/cmd/bench/processes"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
)

const (
	transactionRows   = 2_000_000 // that are inserted in one transaction
	transactionBefore = 500_000   // that are there before
	transactionMemory = 300 << 20 // bytes, of all processes at once
)

// Transaction measures the memory of all processes while they catch up with one
// transaction of many rows.
func Transaction(ctx context.Context, b *rig.Rig) ([]report.Row, error) {
	c, err := capture(ctx, b, "transaction", b.Rows(transactionBefore))
	if err != nil {
		return nil, err
	}
	defer c.close()
	if _, err := c.sync(ctx); err != nil {
		return nil, err
	}
	rows := b.Rows(transactionRows)
	err = c.run(ctx, fmt.Sprintf("insert into %s select %d + i, i%%7, i*0.01, now(), 'one ' || i from generate_series(1, %d) i", capturedName, c.rows, rows))
	if err != nil {
		return nil, err
	}
	c.rows += rows
	watch := processes.WatchMemory(c.pid())
	took, err := c.sync(ctx)
	peak, own := watch()
	if err != nil {
		return nil, err
	}
	b.Say("one transaction of %d rows: %.2f s, at most %d MiB at once, %d MiB without pages of files", rows, took.Seconds(), peak>>20, own>>20)
	return []report.Row{{
		Work: fmt.Sprintf("one transaction of %d rows, memory of all processes", rows),
		Ours: fmt.Sprintf("%d MiB (%d of them not pages of the program)", peak>>20, own>>20), Limit: "-", Ratio: "-",
		Target: fmt.Sprintf("at most %d MiB", transactionMemory>>20), Rate: fmt.Sprintf("%.0f krows/s", float64(rows)/took.Seconds()/1000), OK: peak <= transactionMemory,
	}}, c.equal(ctx)
}
