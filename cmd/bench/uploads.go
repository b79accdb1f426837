package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"headwater/cmd/bench/processes"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
	"headwater/handlers/landing/buckettest"
)

const (
	uploadRows = 32 << 10 // of a KiB that nothing compresses
	// Two tables of a sync are read at a time, and one sync of each workspace.
	uploadsOfSync = 2
)

// uploads measures the memory of a node that uploads to a slow bucket, less that
// of one that writes the same into a folder.
func (b *bench) uploads(ctx context.Context) ([]report.Row, error) {
	const most = 24 << 20
	var rows []report.Row
	for _, c := range []struct{ workspaces, tables int }{{1, 1}, {4, uploadsOfSync}} {
		count := c.workspaces * c.tables
		var peaks [2][]int64
		for range report.UploadRuns {
			for i, bucket := range []bool{false, true} {
				peak, err := b.peakOf(ctx, bucket, c.workspaces, c.tables)
				if err != nil {
					return rows, err
				}
				peaks[i] = append(peaks[i], peak)
			}
		}
		folder, bucket := slices.Sorted(slices.Values(peaks[0]))[report.UploadRuns/2], slices.Sorted(slices.Values(peaks[1]))[report.UploadRuns/2]
		each := (bucket - folder) / int64(count)
		b.Say("memory, %d uploads: %d MiB, into a folder %d MiB", count, bucket>>20, folder>>20)
		rows = append(rows, report.Row{Work: fmt.Sprintf("memory of a node, uploads at once: %d", count), Ours: fmt.Sprintf("%d MiB", bucket>>20),
			Limit: fmt.Sprintf("%d MiB", folder>>20), Beside: "the same into a folder", Ratio: fmt.Sprintf("+%d MiB each", each>>20),
			Target: fmt.Sprintf("at most +%d MiB each", most>>20), OK: each <= most})
	}
	return rows, nil
}

// peakOf returns the most memory, without pages of files, that a fresh node holds
// while so many workspaces sync so many tables each.
func (b *bench) peakOf(ctx context.Context, bucket bool, workspaces, tables int) (int64, error) {
	script := ""
	for i := range tables {
		script += fmt.Sprintf("create table big%d(id integer primary key, v blob); insert into big%d select value, randomblob(1024) from generate_series(1, %d);\n", i, i, uploadRows)
	}
	s, err := b.stored(ctx, bucket, script)
	if err != nil {
		return 0, err
	}
	defer s.Stop()
	if bucket {
		s.proxy.Set(buckettest.Fault{Kind: "slow", Delay: farLatency})
	}
	sources := make([]string, workspaces)
	for i := range sources {
		s.Workspace = fmt.Sprintf("bench%d", i)
		if sources[i], err = s.Connect(ctx, "sqlite", "big", rig.Object{"path": "t.db"}); err != nil {
			return 0, err
		}
	}
	watch := processes.WatchAlone(s.Pid())
	var wg sync.WaitGroup
	failed := make([]error, workspaces)
	for i, source := range sources {
		of := *s.Service
		of.Workspace = fmt.Sprintf("bench%d", i)
		wg.Go(func() {
			failed[i] = (&store{Service: &of, source: source}).all(ctx, rig.Object{"mode": "full_refresh"})
		})
	}
	wg.Wait()
	own := watch()
	for _, err := range failed {
		if err != nil {
			return 0, err
		}
	}
	return own, nil
}
