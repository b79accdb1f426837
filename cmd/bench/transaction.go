package main

import (
	"context"
	"fmt"
)

// transactionRows are inserted in one transaction.
const transactionRows = 2_000_000

// transaction measures the memory of all processes while they catch up with one
// transaction of many rows.
func (b *bench) transaction(ctx context.Context) ([]result, error) {
	if err := b.startPostgres(ctx); err != nil {
		return nil, err
	}
	f, err := b.follow(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer f.s.stop()
	big := b.rows(transactionRows)
	err = f.run(ctx, fmt.Sprintf("insert into %s select %d + i, i%%7, i*0.01, now(), 'one ' || i from generate_series(0, %d) i", f.tables[0], f.next, big-1))
	if err != nil {
		return nil, err
	}
	watch := watchMemory(f.s.cmd.Process.Pid)
	_, took, err := f.s.syncTables(ctx, f.source, f.options)
	peak, own := watch()
	if err != nil {
		return nil, err
	}
	b.say("one transaction of %d rows: %.2f s, at most %d MiB at once, %d MiB without pages of files", big, took.Seconds(), peak>>20, own>>20)
	return []result{{
		work: fmt.Sprintf("one transaction of %d rows, memory of all processes", big),
		ours: fmt.Sprintf("%d MiB (%d of them not pages of the program)", peak>>20, own>>20), limit: "-", ratio: "-",
		target: fmt.Sprintf("at most %d MiB", changesMemory>>20), rate: fmt.Sprintf("%.0f krows/s", float64(big)/took.Seconds()/1000), ok: peak <= changesMemory,
	}}, nil
}
