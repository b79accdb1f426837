package csv

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"headwater/connectors/formats/input"
)

// mostLead is how many lines before the header there may be, where nobody says
// how many.
const mostLead = 50

// linesEnd returns where the first lines of a text end.
func linesEnd(head []byte, lines *int) int {
	if lines == nil {
		return 0
	}
	w := writing{delimiter: ",", cr: bytes.IndexByte(head, '\n') < 0}
	at := 0
	for range *lines {
		n, _ := w.line(head[at:], true)
		at += n
	}
	return at
}

// separatorLine returns the delimiter that the first line names, as Excel reads
// and writes it (sep=;), and the line's length.
func separatorLine(head []byte) (string, int) {
	line, _, _ := bytes.Cut(head[:min(len(head), 64)], []byte{'\n'})
	text := strings.Trim(strings.TrimRight(string(line), "\r"), `"`)
	if cr := strings.IndexByte(text, '\r'); cr > 0 { // carriage returns end the lines
		text = text[:cr]
	}
	if len(text) < 5 || !strings.EqualFold(text[:4], "sep=") || utf8.RuneCountInString(text[4:]) != 1 {
		return "", 0
	}
	n := bytes.IndexAny(head, "\r\n")
	if n < 0 {
		return "", 0
	}
	w := writing{cr: true}
	length, _ := w.end(head, n, true)
	return text[4:], n + length
}

// findLead finds the first row that is no title and no comment, and drops those
// before it. said is that somebody says that there are none.
func (g *guess) findLead(said bool, known *input.Known) {
	if len(g.rows) == 0 {
		return
	}
	lead := 0
	if !said {
		lead = g.titles(known)
	}
	g.comments = !slices.ContainsFunc(g.rows[:lead], func(row []cell) bool { return !bytes.HasPrefix(row[0].text, []byte{'#'}) })
	g.lead, g.rows, g.at = lead, g.rows[lead:], g.at[lead:]
	g.fields = len(g.rows[0])
	same := 0
	for _, row := range g.rows {
		if len(row) == g.fields {
			same++
		}
	}
	g.share = float64(same) / float64(len(g.rows))
}

// titles counts the rows before the header: all of one field, where those after
// them have more.
func (g *guess) titles(known *input.Known) int {
	if known != nil {
		for i, row := range g.rows[:min(len(g.rows), mostLead)] {
			if holds(known, row) {
				return i
			}
		}
	}
	counts := map[int]int{}
	for _, row := range g.rows {
		counts[len(row)]++
	}
	usual := 0
	for fields, rows := range counts {
		if fields > 1 && (usual == 0 || rows > counts[usual] || rows == counts[usual] && fields > usual) {
			usual = fields
		}
	}
	lead := slices.IndexFunc(g.rows, func(row []cell) bool { return len(row) == usual })
	if lead == 0 && usual > 2 && len(g.rows) > 2 && filled(g.rows[0]) == 1 && filled(g.rows[1]) == usual && findHeader(g.rows[1:]).sure {
		return 1 // a title in the first of many cells
	}
	if lead <= 0 {
		return g.comment()
	}
	if lead > mostLead || counts[usual] < 2 || counts[usual] < (len(g.rows)-lead+1)/2 {
		return 0
	}
	for _, row := range g.rows[:lead] {
		if filled(row) != 1 && !bytes.HasPrefix(row[0].text, []byte{'#'}) {
			return 0
		}
	}
	return lead
}

// comment counts the lines of comments that a file of one column begins with.
func (g *guess) comment() int {
	at := slices.IndexFunc(g.rows, func(row []cell) bool { return !bytes.HasPrefix(row[0].text, []byte("# ")) })
	if at > 0 && len(g.rows[0]) == 1 {
		return at
	}
	return 0
}

// filled counts the cells of a row that hold something.
func filled(row []cell) int {
	n := 0
	for _, c := range row {
		if len(bytes.TrimSpace(c.text)) > 0 {
			n++
		}
	}
	return n
}
