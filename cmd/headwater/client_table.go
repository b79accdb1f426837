package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/clipperhouse/displaywidth"
	"github.com/dustin/go-humanize"
)

// grid is a table for people: no colours and no frame, so that it reads the same
// in a terminal, a pipe and a log. Columns whose heading begins with "#" hold
// numbers and are set right.
type grid struct {
	headings []string
	rows     [][]string
}

func newGrid(headings ...string) *grid { return &grid{headings: headings} }

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

// print writes the grid, or the given sentence when it has no rows.
func (g *grid) print(w io.Writer, empty string) error {
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
			clean[i] = plain(cell)
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

// aligned returns the cells of a line in columns of the widths, two spaces apart.
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

// plain returns text on one line without control characters: names and messages
// come from other people's systems and must not drive the terminal.
func plain(text string) string {
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

func count(n int64) string { return humanize.Comma(n) }

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

// took shows milliseconds: "12 ms", "3.4 s", "2m5s".
func took(ms int64) string {
	switch {
	case ms < 1000:
		return fmt.Sprintf("%d ms", ms)
	case ms < 60_000:
		return fmt.Sprintf("%.1f s", float64(ms)/1000)
	}
	return (time.Duration(ms) * time.Millisecond).Round(time.Second).String()
}

// rate shows rows per second, "" where there was no time to measure.
func rate(rows, ms int64) string {
	if rows == 0 || ms <= 0 {
		return ""
	}
	return count(rows * 1000 / ms)
}

// several returns "1 table" or "3 tables".
func several(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(int64(n)) + " " + noun + "s"
}
