package main

import (
	"context"
	"fmt"
	"time"

	"headwater/cmd/bench/processes"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
	"headwater/cmd/bench/widetable"
)

// verify measures the CPU time that the comparison of a table with its source
// takes, beside that of the full sync that landed it, and the most memory.
func (b *bench) verify(ctx context.Context) ([]report.Row, error) {
	const most, held = 1.5, 200 << 20
	want, err := b.FillWide(ctx)
	if err != nil {
		return nil, err
	}
	s, err := b.Start(ctx, b.Cache)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	source, err := b.ConnectPostgres(ctx, s)
	if err != nil {
		return nil, err
	}
	syncing := s.Syncing(source, rig.Object{"mode": "full_refresh", "tables": []string{"wide"}}, int(want.Rows), nil)
	verifying := func(ctx context.Context) (time.Duration, error) { return s.Verify(ctx, source, "wide", want.Rows) }
	if _, err := syncing(ctx); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("CPU of verify beside a full sync, PostgreSQL wide, %d x %d", want.Rows, len(widetable.Columns))
	ours, limit, err := b.Pair(ctx, name, busy(verifying, s.Pid()), busy(syncing, s.Pid()))
	if err != nil {
		return nil, err
	}
	// Right after a sync, of which something may still be held.
	if _, err := syncing(ctx); err != nil {
		return nil, err
	}
	watch := processes.WatchMemory(s.Pid())
	_, err = verifying(ctx)
	peak, own := watch()
	if err != nil {
		return nil, err
	}
	b.Say("%s: at most %d MiB at once, %d MiB without pages of files", name, peak>>20, own>>20)
	r := report.Ratio(name, "the full sync", int(want.Rows), ours, limit, most)
	r.Ours = fmt.Sprintf("%s, %d MiB (%d of them not pages of the program)", r.Ours, peak>>20, own>>20)
	r.Target += ", 200 MiB"
	r.Rate = "-" // of CPU time, not of time
	r.OK = r.OK && peak <= held
	return []report.Row{r}, nil
}

// busy is a side that takes the CPU time of a process and of all below it, of
// those that ended too, for the time of what it does.
func busy(does rig.Side, pid int) rig.Side {
	return func(ctx context.Context) (time.Duration, error) {
		before := processes.CPU(pid)
		if _, err := does(ctx); err != nil {
			return 0, err
		}
		return processes.CPU(pid) - before, nil
	}
}
