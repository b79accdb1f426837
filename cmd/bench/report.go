package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
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

// pace returns the row of a work that must be at least so many times as fast as
// its limit, which does the same number of things.
func pace(work, beside string, count int, ours, limit time.Duration, least float64) result {
	x := limit.Seconds() / ours.Seconds()
	return result{
		work: work, beside: beside, ours: perSecond(count, ours), limit: perSecond(count, limit),
		ratio: fmt.Sprintf("%.2f", x), target: fmt.Sprintf("at least %.2f", least), ok: x >= least,
	}
}

func perSecond(count int, d time.Duration) string {
	return fmt.Sprintf("%.0f/s", float64(count)/d.Seconds())
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// render returns a table as Markdown, with the machine it was measured on.
func render(table string, rows []result, machine string, s settings) string {
	var b strings.Builder
	rated := table == tableSync || table == tableTPCH || table == tableChanges
	if rated {
		fmt.Fprintln(&b, "| work, through the service | ours | limit, in turn | ratio | target | rate | |")
		fmt.Fprintln(&b, "|---|---|---|---|---|---|---|")
	} else {
		fmt.Fprintln(&b, "| work | ours | limit, in turn | ratio | target | |")
		fmt.Fprintln(&b, "|---|---|---|---|---|---|")
	}
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
		cells := []string{r.work, r.ours, limit, r.ratio, r.target, r.rate, verdict}
		if !rated {
			cells = slices.Delete(cells, 5, 6)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	size := ""
	if s.quick {
		size = ", a tenth of the rows"
	}
	counted := fmt.Sprintf("Median of %d", s.runs)
	if table == tableBucket {
		counted = fmt.Sprintf("Requests counted once, memory the median of %d", uploadRuns)
	}
	fmt.Fprintf(&b, "\n%s%s. %s.\n", counted, size, machine)
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

// marks returns the comments between which a table stands in a Markdown file.
func marks(table string) (begin, end string) {
	return "<!-- bench:" + table + " -->", "<!-- /bench:" + table + " -->"
}

// writeBetween replaces what stands between a table's marks in a file.
func writeBetween(path, name, table string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begin, end := marks(name)
	before, rest, begins := bytes.Cut(text, []byte(begin))
	_, after, ends := bytes.Cut(rest, []byte(end))
	if !begins || !ends {
		return fmt.Errorf("%s has no %s and %s", path, begin, end)
	}
	var out bytes.Buffer
	for _, part := range [][]byte{before, []byte(begin + "\n"), []byte(table), []byte(end), after} {
		out.Write(part)
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}
