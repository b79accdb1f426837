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

	"headwater/cmd/bench/report"
)

// scale measures calls among 100,000 sources and in a source of 10,000 tables
// beside the same among 10 and 10, as the benchmark beside the API's code does.
func (b *bench) scale(ctx context.Context) ([]report.Row, error) {
	b.say("filling two stores for the calls at scale")
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "Scale", "-benchtime", "1000x", "./api")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, out, stderrOf(err))
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
