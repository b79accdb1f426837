package main

import (
	"context"
	"fmt"

	"headwater/cmd/bench/processes"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
)

// memory measures the most that the service and its children hold while one
// table is synced, on a fresh service each, and while one of four times the rows
// is.
func (b *bench) memory(ctx context.Context) ([]report.Row, error) {
	const most = 300 << 20
	var peaks, owns [2]int64
	var rates [2]float64
	for i, times := range []int{1, narrowTimes} {
		rows := b.Rows(narrowRows) * times
		table := fmt.Sprintf("narrow_%d", times)
		if err := b.FillNarrow(ctx, table, rows); err != nil {
			return nil, err
		}
		s, err := b.Start(ctx, b.Cache)
		if err != nil {
			return nil, err
		}
		source, err := b.ConnectPostgres(ctx, s)
		if err != nil {
			return nil, err
		}
		watch := processes.WatchMemory(s.Pid())
		_, took, err := s.Sync(ctx, source, rig.Object{"mode": "full_refresh", "tables": []string{table}})
		peak, own := watch()
		s.Stop()
		if err != nil {
			return nil, err
		}
		peaks[i], rates[i] = peak, float64(rows)/took.Seconds()/1000
		owns[i] = own
		b.Say("memory, %d rows: at most %d MiB at once, %d MiB without pages of files", rows, peak>>20, own>>20)
	}
	row := func(rows int, peak, own int64, rate float64, target string, ok bool) report.Row {
		return report.Row{Work: fmt.Sprintf("memory of all processes, PostgreSQL, %d x 5", rows), Ours: fmt.Sprintf("%d MiB (%d of them not pages of the program)", peak>>20, own>>20),
			Limit: "-", Ratio: "-", Target: target, Rate: fmt.Sprintf("%.0f krows/s", rate), OK: ok}
	}
	small := b.Rows(narrowRows)
	larger := row(small*narrowTimes, peaks[1], owns[1], rates[1], "no more than that, within 10 %", peaks[1] <= peaks[0]+peaks[0]/10 && peaks[1] <= most+most/10)
	larger.Ratio = fmt.Sprintf("%.2f", float64(peaks[1])/float64(peaks[0]))
	return []report.Row{row(small, peaks[0], owns[0], rates[0], "at most 300 MiB", peaks[0] <= most), larger}, nil
}
