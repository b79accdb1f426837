package main

import (
	"context"
	"fmt"
	"time"

	"headwater/cmd/bench/processes"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/widetable"
)

// verify measures the CPU time that the comparison of a table with its source
// takes, beside that of the full sync that landed it, and the most memory.
func (b *bench) verify(ctx context.Context) ([]report.Row, error) {
	const most, held = 1.5, 200 << 20
	want, err := b.fillWide(ctx)
	if err != nil {
		return nil, err
	}
	s, err := b.start(ctx, b.cache)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	source, err := b.connectPostgres(ctx, s)
	if err != nil {
		return nil, err
	}
	syncing := s.syncing(source, object{"mode": "full_refresh", "tables": []string{"wide"}}, int(want.Rows), nil)
	verifying := func(ctx context.Context) (time.Duration, error) { return s.verify(ctx, source, "wide", want.Rows) }
	if _, err := syncing(ctx); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("CPU of verify beside a full sync, PostgreSQL wide, %d x %d", want.Rows, len(widetable.Columns))
	ours, limit, err := b.pair(ctx, name, busy(verifying, s.cmd.Process.Pid), busy(syncing, s.cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	// Right after a sync, of which something may still be held.
	if _, err := syncing(ctx); err != nil {
		return nil, err
	}
	watch := processes.WatchMemory(s.cmd.Process.Pid)
	_, err = verifying(ctx)
	peak, own := watch()
	if err != nil {
		return nil, err
	}
	b.say("%s: at most %d MiB at once, %d MiB without pages of files", name, peak>>20, own>>20)
	r := report.Ratio(name, "the full sync", int(want.Rows), ours, limit, most)
	r.Ours = fmt.Sprintf("%s, %d MiB (%d of them not pages of the program)", r.Ours, peak>>20, own>>20)
	r.Target += ", 200 MiB"
	r.Rate = "-" // of CPU time, not of time
	r.OK = r.OK && peak <= held
	return []report.Row{r}, nil
}

// verify compares one table with its source, which must be equal.
func (s *service) verify(ctx context.Context, source, table string, rows int64) (time.Duration, error) {
	var data struct {
		Sources []struct {
			Tables []struct {
				Status     string
				Message    string
				LandedRows int64 `json:"landed_rows"`
				SourceRows int64 `json:"source_rows"`
			}
		} `json:"verified_sources"`
	}
	began := time.Now()
	err := s.call(ctx, "POST", "verify", object{"source_ids": []string{source}, "tables": []string{table}}, &data)
	if err != nil {
		return 0, err
	}
	if len(data.Sources) != 1 || len(data.Sources[0].Tables) != 1 {
		return 0, fmt.Errorf("the verification ended as %+v", data.Sources)
	}
	if t := data.Sources[0].Tables[0]; t.Status != "equal" || t.LandedRows != rows || t.SourceRows != rows {
		return 0, fmt.Errorf("the verification found %+v", t)
	}
	return time.Since(began), nil
}

// busy is a side that takes the CPU time of a process and of all below it, of
// those that ended too, for the time of what it does.
func busy(does side, pid int) side {
	return func(ctx context.Context) (time.Duration, error) {
		before := processes.CPU(pid)
		if _, err := does(ctx); err != nil {
			return 0, err
		}
		return processes.CPU(pid) - before, nil
	}
}
