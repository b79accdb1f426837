package file

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// sniffRows is how many rows of the head decide the dialect.
const sniffRows = 1000

// dialect is how a CSV file is written.
type dialect struct {
	comma, quote byte
	header       bool
	names        []string
}

// dialect finds the dialect by the settings and the head of the file, which it
// leaves unread.
func (s *source) dialect(in *input) (dialect, error) {
	head, err := in.Peek(headSize)
	whole := err == io.EOF
	if err != nil && !whole {
		return dialect{}, in.failed(in.ctx, err)
	}
	if bytes.IndexByte(head, '\n') < 0 && bytes.IndexByte(bytes.TrimRight(head, "\r"), '\r') >= 0 {
		return dialect{}, driver.E(driver.ErrBadData, nil, "%s ends its lines with a carriage return alone; convert the line ends", in.entry.path)
	}
	if !utf8.Valid(trimPartial(head)) {
		return dialect{}, driver.E(driver.ErrBadData, nil, "%s is not UTF-8 text; convert it, from Latin-1 for example", in.entry.path)
	}
	d := dialect{quote: '"'}
	if s.settings.Quote != nil {
		d.quote = 0
		if *s.settings.Quote != "" {
			d.quote = (*s.settings.Quote)[0]
		}
	}
	switch {
	case s.settings.Delimiter != "":
		d.comma = s.settings.Delimiter[0]
	case in.format == "tsv":
		d.comma = '\t'
	default:
		d.comma = findComma(head, d.quote, whole)
	}
	if d.comma == d.quote {
		return d, driver.E(driver.ErrInvalidConfig, nil, "connection_config.quote is the delimiter, too; set one of them")
	}
	if s.settings.Quote == nil && !bytes.ContainsRune(head, '"') && singleQuoted(head, d.comma, whole) {
		d.quote = '\''
	}
	rows, err := headRows(head, d.comma, d.quote, whole)
	if len(rows) == 0 {
		if err != nil {
			return d, driver.E(driver.ErrBadData, err, "%s, row 1", in.entry.path)
		}
		return d, driver.E(driver.ErrBadData, nil, "%s holds no rows", in.entry.path)
	}
	if d.header = findHeader(rows); s.settings.Header != nil {
		d.header = *s.settings.Header
	}
	if len(rows[0]) > s.limits.MaxColumns {
		return d, driver.E(driver.ErrLimit, nil, "%s has %d columns, over the limit of %d", in.entry.path, len(rows[0]), s.limits.MaxColumns)
	}
	d.names = columnNames(rows[0], d.header)
	return d, nil
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

// headRows decodes the rows of a head, up to sniffRows, without the last one if
// it may be cut off. It stops at the first error.
func headRows(head []byte, comma, quote byte, whole bool) ([][]cell, error) {
	d := decoder{comma: comma, quote: quote}
	var rows [][]cell
	for len(head) > 0 && len(rows) < sniffRows {
		n, err := d.next(head)
		if n == len(head) && !whole && head[n-1] != '\n' {
			if len(rows) == 0 && err == nil {
				err = errLongRow
			}
			return rows, err
		}
		if err != nil {
			return rows, err
		}
		head = head[n:]
		if len(d.cells) == 0 {
			continue
		}
		row := make([]cell, len(d.cells))
		for i, c := range d.cells {
			row[i] = cell{bytes.Clone(c.text), c.quoted}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// findComma returns the delimiter that gives most rows as many fields as the
// first; of several the one that gives the most fields.
func findComma(head []byte, quote byte, whole bool) byte {
	best, bestShare, bestFields := byte(','), 0.0, 0
	for _, comma := range []byte{',', ';', '\t', '|'} {
		rows, _ := headRows(head, comma, quote, whole)
		if len(rows) == 0 || len(rows[0]) < 2 {
			continue
		}
		same := 0
		for _, row := range rows {
			if len(row) == len(rows[0]) {
				same++
			}
		}
		share := float64(same) / float64(len(rows))
		if share > bestShare+0.05 || share > bestShare-0.05 && len(rows[0]) > bestFields {
			best, bestShare, bestFields = comma, share, len(rows[0])
		}
	}
	return best
}

// singleQuoted reports whether some column is in single quotes in every row.
func singleQuoted(head []byte, comma byte, whole bool) bool {
	rows, err := headRows(head, comma, '\'', whole)
	if err != nil || len(rows) == 0 {
		return false
	}
	for i := range rows[len(rows)-1] {
		if !slices.ContainsFunc(rows[min(1, len(rows)-1):], func(row []cell) bool { return i >= len(row) || !row[i].quoted && len(row[i].text) > 0 }) {
			return slices.ContainsFunc(rows, func(row []cell) bool { return i < len(row) && row[i].quoted })
		}
	}
	return false
}

// findHeader reports whether the first row holds names: it does where a cell of
// it does not have the type of the column below, and where everything is text,
// unless a cell is empty, comes twice, looks like a value or comes again below.
func findHeader(rows [][]cell) bool {
	first := rows[0]
	body := make([]records.Sniffer, len(first))
	values := make([]map[string]bool, len(first))
	for i := range values {
		values[i] = map[string]bool{}
	}
	for _, row := range rows[1:] {
		for i, c := range row {
			if i < len(body) && len(c.text) > 0 {
				body[i].Text(c.text)
				values[i][string(c.text)] = true
			}
		}
	}
	names := true
	seen := map[string]bool{}
	for i, c := range first {
		var own records.Sniffer
		if own.Text(c.text); len(c.text) > 0 && own.Type().Kind == driver.String && body[i].Seen() && body[i].Type().Kind != driver.String {
			return true
		}
		if len(c.text) == 0 || len(c.text) > 256 || own.Type().Kind != driver.String || seen[string(c.text)] || values[i][string(c.text)] {
			names = false
		}
		seen[string(c.text)] = true
	}
	return names
}

// columnNames returns unique, non-empty names.
func columnNames(first []cell, header bool) []string {
	names := make([]string, len(first))
	used := map[string]bool{}
	for i, c := range first {
		name := fmt.Sprintf("column_%d", i+1)
		if text := strings.TrimSpace(string(c.text)); header && text != "" {
			name = text
		}
		for n := 2; used[name]; n++ {
			if next := fmt.Sprintf("%s_%d", name, n); !used[next] {
				name = next
			}
		}
		used[name] = true
		names[i] = name
	}
	return names
}
