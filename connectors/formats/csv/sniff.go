package csv

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
)

// sniffRows is how many rows of the head decide the dialect.
const sniffRows = 1000

// dialect is how a CSV file is written.
type dialect struct {
	comma, quote byte
	header       bool
	head         head // where there is one
	names        []string
	skip         int      // bytes before the header or first row
	loose        *writing // set where the decoder needs the text written anew
}

// guess is one way to read the head of a file.
type guess struct {
	writing  writing
	rows     [][]cell // from the header on
	at       []int    // where they begin
	lead     int      // rows before the header
	comments bool     // they all are
	fields   int
	share    float64 // of the rows, that have as many fields
	err      error   // that ended the rows
}

// findDialect finds the dialect by the settings and the head of the file, which it
// leaves unread. Where the table's columns are known from before, what was decided
// then is not decided otherwise now.
func findDialect(in *input.Input) (dialect, error) {
	for size := input.HeadSize; ; size *= 8 {
		head, whole, err := beginning(in, size)
		if err != nil {
			return dialect{}, in.Failed(err)
		}
		if at := notUTF8(head); at >= 0 {
			return dialect{}, driver.E(driver.ErrBadData, nil, "%s is not UTF-8 text (byte %d); set connection_config.encoding to what it is, windows-1252 for example", in.Name, at+1)
		}
		d, err := sniff(in, head, whole)
		if err == errLongRow && !whole && int64(size) < in.Limits.MaxRowBytes {
			continue // the first row goes beyond the head
		}
		if err == errLongRow {
			err = driver.E(driver.ErrLimit, nil, "%s, row 1 is longer than %d bytes; a quote may be missing", in.Name, in.Limits.MaxRowBytes)
		}
		return d, err
	}
}

// beginning returns the first bytes of a file, and whether they are all.
func beginning(in *input.Input, size int) (head []byte, whole bool, err error) {
	in.Widen(size)
	head, err = in.Peek(size)
	if whole = err == io.EOF; whole {
		err = nil
	}
	return head, whole, err
}

// notUTF8 returns where the first byte is that is no UTF-8, or -1. A character
// that the end cuts off is none.
func notUTF8(b []byte) int {
	b = trimPartial(b)
	if utf8.Valid(b) {
		return -1
	}
	for at := 0; ; {
		r, n := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && n <= 1 {
			return at
		}
		at += n
	}
}

// trimPartial cuts a character that the end of the head may have split.
func trimPartial(b []byte) []byte {
	for i := 1; i <= min(3, len(b)); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

func sniff(in *input.Input, head []byte, whole bool) (dialect, error) {
	known := in.Known
	base := writing{quote: '"', comment: in.Settings.Comment}
	if in.Settings.Quote != nil {
		base.quote = 0
		if *in.Settings.Quote != "" {
			base.quote = (*in.Settings.Quote)[0]
		}
	}
	if in.Settings.Escape != "" && in.Settings.Escape[0] != base.quote {
		base.escape = in.Settings.Escape[0]
	}
	skip := linesEnd(head, in.Settings.SkipRows)
	delimiters := []string{",", ";", "\t", "|"}
	if in.Format == "tsv" {
		delimiters = []string{"\t"}
	}
	if delimiter, n := separatorLine(head[skip:]); n > 0 && in.Settings.SkipRows == nil {
		delimiters, skip = []string{delimiter}, n
	}
	if set := in.Settings.Separator(); set != "" {
		delimiters = []string{set}
	}
	if len(delimiters) == 1 && base.quote != 0 && strings.IndexByte(delimiters[0], base.quote) >= 0 {
		return dialect{}, driver.InvalidField("quote", "is the delimiter, too; set one of them")
	}
	g := choose(in, head[skip:], whole, base, delimiters, known, in.Format == "tsv")
	if len(g.rows) == 0 {
		switch g.err {
		case errLongRow:
			return dialect{}, g.err
		case nil:
			return dialect{}, driver.E(driver.ErrBadData, nil, "%s holds no rows", in.Name)
		}
		return dialect{}, driver.E(driver.ErrBadData, g.err, "%s, row 1", in.Name)
	}
	return settle(in, g, skip)
}

// settle makes a dialect of the best guess.
func settle(in *input.Input, g guess, skip int) (dialect, error) {
	known := in.Known
	first := g.rows[0]
	if len(first) > in.Limits.MaxColumns {
		return dialect{}, driver.E(driver.ErrLimit, nil, "%s has %d columns, over the limit of %d", in.Name, len(first), in.Limits.MaxColumns)
	}
	d := dialect{skip: skip + g.at[0], quote: g.writing.quote}
	h := findHeader(g.rows)
	switch {
	case in.Settings.Header != nil:
		d.header = *in.Settings.Header
	case known != nil:
		d.header = !Unnamed(known.Names) || literal(known, first)
	default:
		if d.header = h.is; h.doubt != "" {
			in.Note(fmt.Sprintf("The first row of %s was taken for %s: %s. Set connection_config.header to %t if that is wrong.", in.Name, map[bool]string{true: "the names of the columns", false: "a row, not for names"}[h.is], h.doubt, !h.is))
		}
	}
	if g.lead > 0 {
		if !g.comments && !h.sure && !(known != nil && holds(known, first)) && in.Settings.Header == nil {
			return d, driver.E(driver.ErrBadData, nil, "%s: line 1 has one field, and those after it have %d with the delimiter %q; set connection_config.skip_rows to %d if it is a title, or connection_config.delimiter to what separates the fields", in.Name, g.fields, g.writing.delimiter, g.lead)
		}
		in.Note(fmt.Sprintf("What stands before the header of %s was left out as a title or comments, %s with text. Set connection_config.skip_rows to 0 to read that as rows, too.", in.Name, driver.Count(g.lead, "line")))
	}
	d.names = columnNames(first, d.header)
	if d.header {
		d.head = headOf(first)
	}
	w := g.writing
	if d.comma = w.delimiter[0]; len(w.delimiter) > 1 || w.escape != 0 || w.comment != "" || w.cr || w.loose {
		w.cells, w.scratch = nil, nil
		d.comma, d.quote, d.loose = plainComma, plainQuote, &w
	}
	return d, nil
}

// choose returns the best way to read a head: that which finds the known names,
// else that by which most rows have as many fields as the first.
func choose(in *input.Input, head []byte, whole bool, base writing, delimiters []string, known *input.Known, tsv bool) guess {
	single := in.Settings.Quote == nil && !bytes.ContainsRune(head, '"') && bytes.ContainsRune(head, '\'')
	var best guess
	for i, delimiter := range delimiters {
		w := base
		w.delimiter = delimiter
		g := ends(in, head, whole, w, known, tsv)
		if single {
			w.quote = '\''
			if q := ends(in, head, whole, w, known, tsv); q.err == nil && q.singleQuoted() && q.share > g.share-0.05 {
				g = q
			}
		}
		if i == 0 || g.better(best, known) {
			best = g
		}
	}
	return best
}

// ends returns the better of two guesses: that carriage returns alone end lines,
// if the head has any, and that they do not.
func ends(in *input.Input, head []byte, whole bool, w writing, known *input.Known, tsv bool) guess {
	read := func(cr bool) guess {
		w.cr = cr
		g := guessed(in, head, whole, w, known)
		if g.err != nil && g.err != errLongRow {
			g = instead(in, head, whole, g, known, tsv)
		}
		return g
	}
	plain := read(false)
	text := bytes.TrimRight(head, "\r\n")
	alone := bytes.Count(text, []byte{'\r'}) - bytes.Count(text, []byte("\r\n"))
	if alone == 0 {
		return plain
	}
	g := read(true)
	most := alone > bytes.Count(head, []byte{'\n'})
	switch {
	case g.share == 1 && (g.fields > 1 || most), plain.share < g.share, most && plain.err != nil:
		return g
	}
	return plain
}

// better reports whether g is a better guess than another one of another
// delimiter.
func (g guess) better(than guess, known *input.Known) bool {
	if known != nil && len(g.rows) > 0 && len(than.rows) > 0 {
		if fits := holds(known, g.rows[0]); fits != holds(known, than.rows[0]) {
			return fits
		}
	}
	switch {
	case g.fields < 2:
		return false
	case than.fields < 2 || g.share > than.share+0.05:
		return true
	case g.share <= than.share-0.05:
		return false
	case (g.lead == 0) != (than.lead == 0):
		return g.lead == 0
	}
	return g.fields > than.fields
}

// instead returns what becomes of a guess whose quotes are wrong, by what quotes
// mean besides: with a backslash before those inside of fields, or nothing in a
// file of tabs, whose definition has none.
func instead(in *input.Input, head []byte, whole bool, g guess, known *input.Known, tsv bool) guess {
	var others []writing
	if in.Settings.Escape == "" && g.writing.quote != 0 {
		w := g.writing
		w.escape = '\\'
		others = append(others, w)
	}
	if in.Settings.Quote == nil && tsv {
		w := g.writing
		w.quote = 0
		others = append(others, w)
	}
	for _, w := range others {
		w.loose = false
		if o := guessed(in, head, whole, w, known); o.err == nil && o.share == 1 {
			return o
		}
	}
	return g
}

// guessed takes a head apart in one way.
func guessed(in *input.Input, head []byte, whole bool, w writing, known *input.Known) guess {
	g := guess{writing: w, err: nil}
	at := 0
	for at < len(head) && len(g.rows) < sniffRows {
		n, err := g.writing.next(head[at:], whole)
		if err == errMore {
			if len(g.rows) == 0 {
				g.err = errLongRow
			}
			break
		}
		if err != nil {
			g.err = err
			break
		}
		if len(g.writing.cells) > 0 {
			row := make([]cell, len(g.writing.cells))
			for i, c := range g.writing.cells {
				row[i] = cell{bytes.Clone(c.text), c.quoted}
			}
			g.rows, g.at = append(g.rows, row), append(g.at, at)
		}
		at += n
	}
	g.findLead(in.Settings.SkipRows != nil, known)
	return g
}

// singleQuoted reports whether some column is in quotes in every row.
func (g guess) singleQuoted() bool {
	if len(g.rows) == 0 {
		return false
	}
	for i := range g.rows[len(g.rows)-1] {
		if !slices.ContainsFunc(g.rows[min(1, len(g.rows)-1):], func(row []cell) bool { return i >= len(row) || !row[i].quoted && len(row[i].text) > 0 }) {
			return slices.ContainsFunc(g.rows, func(row []cell) bool { return i < len(row) && row[i].quoted })
		}
	}
	return false
}
