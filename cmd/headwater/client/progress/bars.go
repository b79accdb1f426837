package progress

import (
	"fmt"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"headwater/bus/event"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/terminal"
)

const (
	MostBars = 8  // tables with a bar of their own
	barWidth = 14 // columns
	// workerSilence is how long a running sync may go without an update before
	// it is shown as stalled. Its worker sends one every 30 s, even while it
	// waits for the source.
	workerSilence = 45 * time.Second
)

// barLine formats one measure in most columns: name, bar, rows, and the rate, or
// the bytes uploaded while the upload is awaited, then the time left, or for how
// long no rows have arrived. If most is too small, bar and name become shorter
// before anything is cut off.
func barLine(name string, m rest.Measure, now time.Time, most int) string {
	const whole, longest = 78, 22
	over := max(0, whole-most)
	shorter := min(over, barWidth)
	letters := max(8, longest-(over-shorter))
	name = displaywidth.TruncateString(name, letters, "…")
	line := "  " + name + strings.Repeat(" ", letters-displaywidth.String(name)) + " " + bar(m.Fraction, barWidth-shorter)
	percent := ""
	if m.Fraction != nil {
		percent = fmt.Sprintf("%d%%", int(*m.Fraction*100))
	}
	line += fmt.Sprintf(" %4s %11s", percent, terminal.Count(m.Rows))
	if m.WaitingSince != nil {
		return line + "  no rows for " + terminal.Lasted(now.Sub(*m.WaitingSince))
	}
	switch m.WaitingFor {
	case event.WaitingUpload: // only bytes make progress
		line += fmt.Sprintf(" %11s", "↑ "+terminal.Size(m.Uploaded))
	case event.WaitingCommit:
		return line + "  committing"
	default:
		line += fmt.Sprintf(" %11s", terminal.Count(m.Rate)+"/s")
	}
	if m.ETA != nil {
		line += fmt.Sprintf(" %9s", terminal.Lasted(time.Duration(*m.ETA)*time.Second)+" left")
	}
	return line
}

// bar draws a fraction; dots mean that it is unknown.
func bar(fraction *float64, width int) string {
	if fraction == nil {
		return strings.Repeat("·", width)
	}
	full := int(*fraction*float64(width) + 0.5)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// barsOf returns the lines for running syncs: one for each running table and, if
// a sync has several tables, one for the whole.
func barsOf(syncs []rest.SyncDoc, now time.Time, most int) []string {
	var lines []string
	hidden := 0
	for _, sync := range syncs {
		if sync.Status != "running" {
			continue
		}
		if sync.Progress == nil || len(sync.Progress.Tables) == 0 {
			lines = append(lines, "  "+terminal.Plain(sync.SourceName)+": reading the schema")
			continue
		}
		p := sync.Progress
		for _, t := range p.Tables {
			if t.Status != "running" {
				continue
			}
			if len(lines) >= MostBars {
				hidden++
				continue
			}
			lines = append(lines, barLine(terminal.Plain(rest.FullName(t.Namespace, t.Name)), t.Measure, now, most))
		}
		if p.TablesTotal > 1 {
			lines = append(lines, barLine(fmt.Sprintf("%s: %d of %d", terminal.Plain(sync.SourceName), p.TablesEnded, p.TablesTotal), p.Measure, now, most))
		}
		if quiet := now.Sub(sync.UpdatedAt); !sync.UpdatedAt.IsZero() && quiet > workerSilence {
			lines = append(lines, "  "+terminal.Plain(sync.SourceName)+": stalled, no sign of its worker for "+terminal.Lasted(quiet))
		}
	}
	if hidden > 0 {
		lines = append(lines, "  and "+terminal.Several(hidden, "more table"))
	}
	return lines
}
