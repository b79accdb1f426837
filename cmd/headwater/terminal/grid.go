package terminal

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/clipperhouse/displaywidth"
	"github.com/dustin/go-humanize"
)

// Grid is a table for people. It has no colours and no frame, so that it reads
// the same in a terminal, a pipe and a log. Columns whose heading begins with
// "#" hold numbers and are aligned right.
type Grid struct {
	headings []string
	rows     [][]string
}

// NewGrid returns a table without rows.
func NewGrid(headings ...string) *Grid { return &Grid{headings: headings} }

// Add appends a row. It has one cell for each heading.
func (g *Grid) Add(cells ...string) { g.rows = append(g.rows, cells) }

// Empty reports whether the grid has no rows.
func (g *Grid) Empty() bool { return len(g.rows) == 0 }

// Print writes the grid, or the sentence empty if the grid has no rows.
func (g *Grid) Print(w io.Writer, empty string) error {
	if len(g.rows) == 0 {
		_, err := fmt.Fprintln(w, empty)
		return err
	}
	heads, right := make([]string, len(g.headings)), make([]bool, len(g.headings))
	for i, heading := range g.headings {
		heads[i], right[i] = strings.CutPrefix(heading, "#")
	}
	lines := [][]string{heads}
	for _, row := range g.rows {
		clean := make([]string, len(row))
		for i, cell := range row {
			clean[i] = Plain(cell)
		}
		lines = append(lines, clean)
	}
	widths := make([]int, len(heads))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], displaywidth.String(cell))
		}
	}
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(strings.TrimRight(aligned(line, widths, right), " ") + "\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// aligned returns the cells of a line padded to the widths, two spaces apart.
func aligned(cells []string, widths []int, right []bool) string {
	var line strings.Builder
	for i, cell := range cells {
		room := strings.Repeat(" ", widths[i]-displaywidth.String(cell))
		if i > 0 {
			line.WriteString("  ")
		}
		if right[i] {
			line.WriteString(room + cell)
		} else {
			line.WriteString(cell + room)
		}
	}
	return line.String()
}

// Plain returns text on one line without control characters. Names and messages
// come from other systems and must not control the terminal.
func Plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return '�'
		}
		return r
	}, text)
}

// Count formats a number with commas: "1,204".
func Count(n int64) string { return humanize.Comma(n) }

// Size formats a number of bytes: "2.0 KiB".
func Size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

// Lasted formats a duration in whole seconds: "42s", "3m10s", "2h5m".
func Lasted(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	if d >= time.Hour {
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.String()
}

// Took formats milliseconds: "12 ms", "3.4 s", "2m5s".
func Took(ms int64) string {
	switch {
	case ms < 1000:
		return fmt.Sprintf("%d ms", ms)
	case ms < 60_000:
		return fmt.Sprintf("%.1f s", float64(ms)/1000)
	}
	return (time.Duration(ms) * time.Millisecond).Round(time.Second).String()
}

// Rate formats rows per second, "" if the time is zero.
func Rate(rows, ms int64) string {
	if rows == 0 || ms <= 0 {
		return ""
	}
	return Count(rows * 1000 / ms)
}

// Several returns "1 table" or "3 tables".
func Several(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(int64(n)) + " " + noun + "s"
}
