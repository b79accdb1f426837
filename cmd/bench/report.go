package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// result is one row of the table.
type result struct {
	work   string
	ours   string
	limit  string
	beside string // what the limit is
	ratio  string
	target string
	rate   string
	ok     bool
	failed bool // it could not be measured
}

// ratio returns the row of a work that must take at most so many times as long
// as its limit.
func ratio(work, beside string, rows int, ours, limit time.Duration, most float64) result {
	x := ours.Seconds() / limit.Seconds()
	return result{
		work: work, beside: beside, ours: seconds(ours), limit: seconds(limit),
		ratio: fmt.Sprintf("%.2f", x), target: fmt.Sprintf("at most %.2f", most),
		rate: fmt.Sprintf("%.0f krows/s", float64(rows)/ours.Seconds()/1000), ok: x <= most,
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// render returns the table as Markdown, with the machine it was measured on.
func render(rows []result, machine string, s settings) string {
	var b strings.Builder
	fmt.Fprintln(&b, "| work, through the service | ours | limit, in turn | ratio | target | rate | |")
	fmt.Fprintln(&b, "|---|---|---|---|---|---|---|")
	for _, r := range rows {
		verdict := "MISSED"
		switch {
		case r.failed:
			verdict = "FAILED"
		case r.ok:
			verdict = "ok"
		}
		limit := r.limit
		if r.beside != "" {
			limit = strings.TrimSpace(limit + " `" + r.beside + "`")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.work, r.ours, limit, r.ratio, r.target, r.rate, verdict)
	}
	size := ""
	if s.quick {
		size = ", a tenth of the rows"
	}
	fmt.Fprintf(&b, "\nMedian of %d%s. %s.\n", s.runs, size, machine)
	return b.String()
}

// machine describes where this ran, without naming it.
func (b *bench) machine(ctx context.Context) string {
	parts := []string{fmt.Sprintf("%d cores", runtime.NumCPU())}
	if model := lineAfter("/proc/cpuinfo", "model name"); model != "" {
		parts[0] += " of " + model
	}
	if memory := lineAfter("/proc/meminfo", "MemTotal"); memory != "" {
		var kib int64
		if _, err := fmt.Sscan(memory, &kib); err == nil {
			parts = append(parts, fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20)))
		}
	}
	if out, err := exec.CommandContext(ctx, "uname", "-sr").Output(); err == nil {
		parts = append(parts, strings.TrimSpace(string(out)))
	}
	parts = append(parts, "Go "+strings.TrimPrefix(runtime.Version(), "go"))
	return strings.Join(append(parts, b.versions...), ", ")
}

// lineAfter returns what stands behind a name and a colon in a file of lines.
func lineAfter(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if key, value, found := strings.Cut(lines.Text(), ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// The comments between which the table stands in a Markdown file.
const (
	markBegin = "<!-- bench:sync -->"
	markEnd   = "<!-- /bench:sync -->"
)

// writeBetween replaces what stands between the marks of a file.
func writeBetween(path, table string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := bytes.Cut(text, []byte(markBegin))
	_, after, ends := bytes.Cut(rest, []byte(markEnd))
	if !begins || !ends {
		return errors.Join(fmt.Errorf("%s has no %s and %s", path, markBegin, markEnd))
	}
	var out bytes.Buffer
	for _, part := range [][]byte{before, []byte(markBegin + "\n"), []byte(table), []byte(markEnd), after} {
		out.Write(part)
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}
