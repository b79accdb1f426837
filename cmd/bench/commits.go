package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"

	"headwater/cmd/bench/report"
)

// commits measures a commit to a table of 3,600 others beside one of its first
// hundred, as the benchmark beside the lake's code does.
func (b *bench) commits(ctx context.Context) ([]report.Row, error) {
	b.say("committing 3,700 times to one table")
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkCommits$", "-benchtime", "1x", "./handlers/landing").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, out, stderrOf(err))
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
