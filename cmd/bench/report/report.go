// Package report is what a run of the bench prints: rows, tables of them, and where they
// stand in a README. It measures nothing.
package report

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

// The tables, by the names of their comments in the README.
const (
	TableSync    = "sync"
	TableChanges = "changes"
	TableFresh   = "fresh"
	TableTPCH    = "tpch"
	TableHistory = "history"
	TableStart   = "start"
	TableBucket  = "bucket"
	TableLake    = "lake"
)

// Tables are all of them, in the order in which they are printed.
var Tables = []string{TableSync, TableChanges, TableFresh, TableTPCH, TableHistory, TableStart, TableBucket, TableLake}

// UploadRuns is how many runs the memory of the table of the bucket is the median of.
const UploadRuns = 3

// Row is one row of the table.
type Row struct {
	Work   string
	Ours   string
	Limit  string
	Beside string // what the limit is
	Ratio  string
	Target string
	Rate   string
	OK     bool
	Failed bool // it could not be measured
}

// Ratio returns the row of a work that must take at most so many times as long
// as its limit.
func Ratio(work, beside string, rows int, ours, limit time.Duration, most float64) Row {
	x := ours.Seconds() / limit.Seconds()
	return Row{
		Work: work, Beside: beside, Ours: Seconds(ours), Limit: Seconds(limit),
		Ratio: fmt.Sprintf("%.2f", x), Target: fmt.Sprintf("at most %.2f", most),
		Rate: fmt.Sprintf("%.0f krows/s", float64(rows)/ours.Seconds()/1000), OK: x <= most,
	}
}

// Pace returns the row of a work that must be at least so many times as fast as
// its limit, which does the same number of things.
func Pace(work, beside string, count int, ours, limit time.Duration, least float64) Row {
	x := limit.Seconds() / ours.Seconds()
	return Row{
		Work: work, Beside: beside, Ours: perSecond(count, ours), Limit: perSecond(count, limit),
		Ratio: fmt.Sprintf("%.2f", x), Target: fmt.Sprintf("at least %.2f", least), OK: x >= least,
	}
}

// perSecond says how many there were in a second.
func perSecond(count int, d time.Duration) string {
	return fmt.Sprintf("%.0f/s", float64(count)/d.Seconds())
}

// Seconds says how long it took.
func Seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// Render returns a table as Markdown, with the machine it was measured on, how many
// runs its figures are the median of, and whether it was measured with a tenth of the rows.
func Render(table string, rows []Row, machine string, runs int, quick bool) string {
	var b strings.Builder
	rated := table == TableSync || table == TableTPCH || table == TableChanges
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
		case r.Failed:
			verdict = "FAILED"
		case r.OK:
			verdict = "ok"
		}
		limit := r.Limit
		if r.Beside != "" {
			limit = strings.TrimSpace(limit + " `" + r.Beside + "`")
		}
		cells := []string{r.Work, r.Ours, limit, r.Ratio, r.Target, r.Rate, verdict}
		if !rated {
			cells = slices.Delete(cells, 5, 6)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	size := ""
	if quick {
		size = ", a tenth of the rows"
	}
	counted := fmt.Sprintf("Median of %d", runs)
	if table == TableBucket {
		counted = fmt.Sprintf("Requests counted once, memory the median of %d", UploadRuns)
	}
	fmt.Fprintf(&b, "\n%s%s. %s.\n", counted, size, machine)
	return b.String()
}

// Machine describes where this ran, without naming it, and the programs beside it.
func Machine(ctx context.Context, programs []string) string {
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
	return strings.Join(append(parts, programs...), ", ")
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

// WriteBetween replaces what stands between the marks of the named table in a file. It
// fails for a file that has no such marks.
func WriteBetween(path, name, table string) error {
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
