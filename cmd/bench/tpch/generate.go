package tpch

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
)

var pool = sync.OnceValue(makePool)

// Days are counted from the first of the specification's.
var (
	firstDay = time.Date(1992, 1, 1, 0, 0, 0, 0, time.UTC)
	days     = sync.OnceValue(func() (all []string) {
		for d := firstDay; d.Year() < 1999; d = d.AddDate(0, 0, 1) {
			all = append(all, d.Format(time.DateOnly))
		}
		return all
	})
	today = int64(time.Date(1995, 6, 17, 0, 0, 0, 0, time.UTC).Sub(firstDay) / (24 * time.Hour))
)

// lastOrder is how many days before the last one no order is made any more.
const lastOrder = 151

// Write writes the rows of a table at a scale as PostgreSQL's COPY reads them as
// text, and returns how many there are. The error is that of w.
func (t Table) Write(w io.Writer, scale float64) (rows int64, err error) {
	out := bufio.NewWriterSize(w, 1<<20)
	g := &generator{scale: scale, out: out, pool: pool(), days: days()}
	t.write(g)
	if g.err == nil {
		g.err = out.Flush()
	}
	if g.err != nil {
		return g.rows, fmt.Errorf("write %s: %w", t.Name, g.err)
	}
	return g.rows, nil
}

// generator writes rows. After an error it writes no more.
type generator struct {
	dice
	scale float64
	out   *bufio.Writer
	pool  []byte
	days  []string
	line  []byte
	rows  int64
	err   error
}

// of returns how many there are at the scale of what is so many at scale 1.
func (g *generator) of(n int64) int64 { return max(1, int64(float64(n)*g.scale)) }

func (g *generator) whole(n int64)    { g.line = append(strconv.AppendInt(g.line, n, 10), '\t') }
func (g *generator) text(s string)    { g.line = append(append(g.line, s...), '\t') }
func (g *generator) date(day int64)   { g.text(g.days[day]) }
func (g *generator) oneOf(s []string) { g.text(g.pick(s)) }

// money appends an amount in hundredths.
func (g *generator) money(n int64) {
	g.line = append(appendCents(g.line, n), '\t')
}

// numbered appends a name with a number of so many digits.
func (g *generator) numbered(name string, width int, n int64) {
	g.line = append(g.line, name...)
	g.digits(width, n)
	g.line = append(g.line, '\t')
}

func (g *generator) digits(width int, n int64) {
	at := len(g.line)
	for range width {
		g.line = append(g.line, '0')
	}
	for i := at + width - 1; i >= at && n > 0; i-- {
		g.line[i], n = byte('0'+n%10), n/10
	}
}

// comment appends a piece of text of a length between the two.
func (g *generator) comment(low, high int64) {
	n := g.between(low, high)
	at := g.up(int64(len(g.pool)) - n)
	g.line = append(append(g.line, g.pool[at:at+n]...), '\t')
}

const addressLetters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ, "

func (g *generator) address() {
	for range g.between(10, 40) {
		g.line = append(g.line, addressLetters[g.up(int64(len(addressLetters)))])
	}
	g.line = append(g.line, '\t')
}

func (g *generator) phone(nation int64) {
	g.digits(2, nation+10)
	for _, width := range []int{3, 3, 4} {
		g.line = append(g.line, '-')
		low := int64(100)
		if width == 4 {
			low = 1000
		}
		g.digits(width, g.between(low, 10*low-1))
	}
	g.line = append(g.line, '\t')
}

// end ends a row.
func (g *generator) end() {
	if g.err != nil {
		return
	}
	g.line[len(g.line)-1] = '\n'
	if _, g.err = g.out.Write(g.line); g.err == nil {
		g.rows++
	}
	g.line = g.line[:0]
}
