package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"headwater/cmd/bench/load"
	"headwater/cmd/bench/report"
)

// Works here are measured by Go benchmarks beside the code that they are of.

// benchmarkLine reads a line of a benchmark whose name begins with prefix: the
// rest of it, and its figures by their units.
func benchmarkLine(line, prefix string) (name string, metrics map[string]float64, found bool) {
	name, found = strings.CutPrefix(line, prefix)
	if !found {
		return "", nil, false
	}
	fields := strings.Fields(name)
	name = fields[0]
	if i := strings.LastIndexByte(name, '-'); i > 0 { // the number of cores
		name = name[:i]
	}
	metrics = map[string]float64{}
	for i := 2; i+1 < len(fields); i += 2 {
		if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
			metrics[fields[i+1]] = value
		}
	}
	return strings.ReplaceAll(name, "_", " "), metrics, true
}

// scale measures calls among 100,000 sources and in a source of 10,000 tables
// beside the same among 10 and 10, as the benchmark beside the API's code does.
func (b *bench) scale(ctx context.Context) ([]report.Row, error) {
	b.Say("filling two stores for the calls at scale")
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "Scale", "-benchtime", "1000x", "./api")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, out, load.StderrOf(err))
	}
	var results []report.Row
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		name, metrics, found := benchmarkLine(lines.Text(), "BenchmarkScale/")
		if !found {
			continue
		}
		small, x := metrics["small-µs"], metrics["x-small(limit<=2)"]
		if small <= 0 || x <= 0 {
			return nil, fmt.Errorf("the benchmark prints %q", lines.Text())
		}
		results = append(results, report.Row{
			Work: name + " among 100,000 sources, 10,000 tables", Ours: fmt.Sprintf("%.0f µs", small*x), Limit: fmt.Sprintf("%.0f µs", small),
			Beside: "among 10 and 10", Ratio: fmt.Sprintf("%.2f", x), Target: "at most 2.00", OK: x <= 2,
		})
	}
	if len(results) == 0 {
		return nil, errors.New("the benchmark of the calls at scale measured nothing")
	}
	return results, nil
}

// commits measures a commit to a table of 3,600 others beside one of its first
// hundred, as the benchmark beside the lake's code does.
func (b *bench) commits(ctx context.Context) ([]report.Row, error) {
	b.Say("committing 3,700 times to one table")
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkCommits$", "-benchtime", "1x", "./handlers/landing").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, out, load.StderrOf(err))
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		_, metrics, found := benchmarkLine(lines.Text(), "BenchmarkCommits")
		if !found {
			continue
		}
		first, last := metrics["first-µs"], metrics["last-µs"]
		if first <= 0 {
			return nil, fmt.Errorf("the benchmark prints %q", lines.Text())
		}
		return []report.Row{{
			Work: "commit of a small file after 3,600 to the same table, without the disk", Ours: fmt.Sprintf("%.2f ms", last/1000), Limit: fmt.Sprintf("%.2f ms", first/1000),
			Beside: "among the first 100", Ratio: fmt.Sprintf("%.2f", last/first), Target: "at most 1.20", OK: last <= 1.2*first,
		}}, nil
	}
	return nil, errors.New("the benchmark of commits measured nothing")
}

// merges measures merges of 10,000 changes into tables of several sizes, as the
// benchmark beside the lake's code does: processor time, and memory at its peak over
// that between the merges.
func (b *bench) merges(ctx context.Context) ([]report.Row, error) {
	b.Say("merging 10,000 changes into tables of up to 50,000,000 rows, %d times 9", b.Runs)
	out, err := exec.CommandContext(ctx, "go", "test", "-timeout", "1h", "-run", "^$", "-bench", "^BenchmarkMergeOfFew$", "-benchtime", fmt.Sprintf("%dx", b.Runs), "./handlers/landing").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, out, load.StderrOf(err))
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
	b.Say("merging 1 %% of a table every minute of a day, which takes several minutes")
	out, err := exec.CommandContext(ctx, "go", "test", "-timeout", "2h", "-run", "^$", "-bench", "^BenchmarkReadAfterADay$", "-benchtime", "1x", "./handlers/landing").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, out, load.StderrOf(err))
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
