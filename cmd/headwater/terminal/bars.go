package terminal

import (
	"fmt"
	"os"
	"strings"

	"github.com/clipperhouse/displaywidth"
	"golang.org/x/term"
)

// Bars is a block of lines at the bottom of a terminal that is redrawn in place.
// It is not safe for concurrent use.
type Bars struct {
	s     Streams
	drawn []int // width in columns of each line on the screen
}

// NewBars returns an empty block at the bottom of s.Err.
func NewBars(s Streams) Bars { return Bars{s: s} }

// Draw replaces the lines of the block.
func (b *Bars) Draw(lines []string) {
	var out strings.Builder
	width, height := b.Size()
	rows := b.rows(width)
	if rows > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", rows)
	}
	if rows != len(b.drawn) {
		out.WriteString("\r\x1b[J") // the terminal has become narrower and wrapped the lines
	}
	// Lines that have scrolled off the screen could not be redrawn.
	if most := max(1, height-1); len(lines) > most {
		hidden := len(lines) - most + 1
		lines = append(lines[:most-1:most-1], "  and "+Several(hidden, "more line"))
	}
	was := len(b.drawn)
	b.drawn = b.drawn[:0]
	for _, line := range lines {
		line = displaywidth.TruncateString(line, width-1, "…")
		b.drawn = append(b.drawn, displaywidth.String(line))
		out.WriteString("\r\x1b[2K" + line + "\n")
	}
	if len(lines) < was {
		out.WriteString("\x1b[J")
	}
	fmt.Fprint(b.s.Err, out.String())
}

// Erase removes the lines, so that something else can be written there.
func (b *Bars) Erase() {
	if len(b.drawn) == 0 {
		return
	}
	width, _ := b.Size()
	fmt.Fprintf(b.s.Err, "\x1b[%dA\r\x1b[J", b.rows(width))
	b.drawn = b.drawn[:0]
}

// rows returns how many rows the drawn lines occupy. A terminal that has become
// narrower has wrapped them.
func (b *Bars) rows(width int) int {
	rows := 0
	for _, columns := range b.drawn {
		rows += max(1, (columns+width-1)/width)
	}
	return rows
}

// Size returns the terminal's width and height in characters.
func (b *Bars) Size() (width, height int) {
	if f, ok := b.s.Err.(*os.File); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 1 && h > 1 {
			return w, h
		}
	}
	return 80, 24
}
