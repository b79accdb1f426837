package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"headwater/cmd/bench/report"
)

// merges measures merges of 10,000 changes into tables of several sizes, as the
// benchmark beside the lake's code does: processor time, and memory at its peak over
// that between the merges.
func (b *bench) merges(ctx context.Context) ([]report.Row, error) {
	b.say("merging 10,000 changes into tables of up to 50,000,000 rows, %d times 9", b.runs)
	out, err := exec.CommandContext(ctx, "go", "test", "-timeout", "1h", "-run", "^$", "-bench", "^BenchmarkMergeOfFew$", "-benchtime", fmt.Sprintf("%dx", b.runs), "./handlers/landing").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, out, stderrOf(err))
	}
	into := map[string]map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		if name, metrics, found := benchmarkLine(lines.Text(), "BenchmarkMergeOfFew"); found {
			_, rows, _ := strings.Cut(name, "/")
			into[rows] = metrics
		}
	}
	least := into["500000"]
	if least["cpu-ms"] <= 0 {
		return nil, errors.New("the benchmark of merges measured nothing")
	}
	var rows []report.Row
	for _, c := range []struct {
		into string
		most float64
	}{{"5000000", 1.6}, {"50000000", 3}} {
		m := into[c.into]
		ratio := m["cpu-ms"] / least["cpu-ms"]
		rows = append(rows, report.Row{
			Work: "CPU of a merge of 10,000 changes into " + c.into + " rows; the first one, which makes the index, " + fmt.Sprintf("%.1f s", m["first-cpu-s"]),
			Ours: fmt.Sprintf("%.0f ms, %+.0f MiB", m["cpu-ms"], max(0, m["peak-MiB"])), Limit: fmt.Sprintf("%.0f ms", least["cpu-ms"]), Beside: "into 500000",
			Ratio: fmt.Sprintf("%.2f", ratio), Target: fmt.Sprintf("at most %.2f, %+d MiB", c.most, mergeRoom),
			OK: m["cpu-ms"] > 0 && ratio <= c.most && m["peak-MiB"] <= mergeRoom,
		})
	}
	return rows, nil
}

// mergeRoom is by how much the memory of a process may grow while it merges, MiB.
const mergeRoom = 32

// day measures what ClickHouse pays for a table of which 1 % was merged every minute
// for a day, and what the table holds, beside the same rows freshly refreshed.
func (b *bench) day(ctx context.Context) ([]report.Row, error) {
	b.say("merging 1 %% of a table every minute of a day, which takes several minutes")
	out, err := exec.CommandContext(ctx, "go", "test", "-timeout", "2h", "-run", "^$", "-bench", "^BenchmarkReadAfterADay$", "-benchtime", "1x", "./handlers/landing").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, out, stderrOf(err))
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		_, m, found := benchmarkLine(lines.Text(), "BenchmarkReadAfterADay")
		if !found || m["x-read"] <= 0 {
			continue
		}
		return []report.Row{
			{
				Work: "CPU of ClickHouse over 1000000 rows, 1 % of them merged every minute for a day, at worst of 8 moments", Ours: fmt.Sprintf("%.0f ms", m["read-ms"]),
				Limit: fmt.Sprintf("%.0f ms", m["read-ms"]/m["x-read"]), Beside: "the same, freshly refreshed",
				Ratio: fmt.Sprintf("%.2f", m["x-read"]), Target: "at most 1.50", OK: m["x-read"] <= 1.5,
			},
			{
				Work: "what that table holds", Ours: fmt.Sprintf("%.1f MB", m["MB"]), Limit: fmt.Sprintf("%.1f MB", m["MB"]/m["x-bytes"]), Beside: "the same",
				Ratio: fmt.Sprintf("%.2f", m["x-bytes"]), Target: "at most 2.00", OK: m["x-bytes"] <= 2,
			},
		}, nil
	}
	return nil, errors.New("the benchmark of a day measured nothing")
}
