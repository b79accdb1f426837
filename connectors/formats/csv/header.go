package csv

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
	"headwater/connectors/records"
)

// header is whether the first row holds names.
type header struct {
	is    bool
	sure  bool   // types tell
	doubt string // why somebody should look, "" where types tell or nothing is odd
}

// findHeader reports whether the first row holds names. It does where a cell of
// it does not have the type of the column below, and does not where a cell has
// that type, unless it is a year. Where everything is text, most files have
// names: a value that comes again and again in its column, or is none of a name,
// tells otherwise.
func findHeader(rows [][]cell) header {
	first := rows[0]
	if repeated := headOf(first); slices.ContainsFunc(rows[1:], repeated.again) {
		others := append([][]cell{first}, slices.DeleteFunc(slices.Clone(rows[1:]), repeated.again)...)
		if h := findHeader(others); h.is && h.sure {
			return h
		}
	}
	columns := make([]records.Sniffer, len(first))
	again := make([]int, len(first))
	for _, row := range rows[1:] {
		for i, c := range row {
			if i < len(columns) && len(c.text) > 0 {
				columns[i].Text(c.text)
				if bytes.Equal(c.text, first[i].text) {
					again[i]++
				}
			}
		}
	}
	names, values := 0, 0 // cells that do not fit their column, and that do
	for i, c := range first {
		if len(c.text) == 0 || !columns[i].Seen() || columns[i].Type().Kind == driver.String {
			continue
		}
		both := columns[i]
		if both.Text(c.text); both.Type().Kind == driver.String {
			names++
		} else {
			values++
		}
	}
	switch {
	case names > 0:
		return header{is: true, sure: true}
	case values > 0 && years(rows, values):
		return header{is: true, doubt: "it holds years"}
	case values > 0:
		return header{sure: true}
	}
	return textHeader(rows, again)
}

// textHeader is findHeader for a file that is all text.
func textHeader(rows [][]cell, again []int) header {
	seen := map[string]bool{}
	doubt := ""
	for i, c := range rows[0] {
		var own records.Sniffer
		own.Text(c.text)
		switch {
		case len(c.text) == 0:
			doubt = "a cell of it is empty"
		case len(c.text) > 256:
			return header{doubt: "a cell of it is too long for a name"}
		case again[i] >= max(3, (len(rows)-1)/10):
			return header{doubt: "a value of it comes again and again below"}
		case again[i] > 0:
			doubt = "a value of it comes again below"
		case seen[string(c.text)]:
			doubt = "a value is in it twice"
		case own.Type().Kind == driver.String:
		case own.Type().Kind == driver.Date, own.Type().Kind == driver.Timestamp, own.Type().Kind == driver.TimestampTZ:
			doubt = "a cell of it is a date"
		default:
			return header{doubt: "a cell of it is a number or a boolean"}
		}
		seen[string(c.text)] = true
	}
	if filled(rows[0]) == 0 {
		return header{}
	}
	return header{is: true, doubt: doubt}
}

// years reports whether the cells of the first row that fit their columns are
// years in order, and what is below is not.
func years(rows [][]cell, cells int) bool {
	year := func(c cell) int {
		n, err := strconv.Atoi(string(c.text))
		if err != nil || len(c.text) != 4 || n < 1900 || n > 2100 {
			return 0
		}
		return n
	}
	var found []int
	other := false
	for i, c := range rows[0] {
		n := year(c)
		if n == 0 {
			continue
		}
		found = append(found, n)
		other = other || slices.ContainsFunc(rows[1:], func(row []cell) bool { return i < len(row) && len(row[i].text) > 0 && year(row[i]) == 0 })
	}
	if len(found) < 2 || len(found) < cells || !other {
		return false
	}
	step := found[1] - found[0]
	for i := range found[1:] {
		if found[i+1]-found[i] != step || step == 0 {
			return false
		}
	}
	return true
}

// columnNames returns unique, non-empty names.
func columnNames(first []cell, header bool) []string {
	names := make([]string, len(first))
	used, last := map[string]bool{}, map[string]int{} // by a repeated name, the number given last
	for i, c := range first {
		name := fmt.Sprintf("column_%d", i+1)
		if text := strings.TrimSpace(string(c.text)); header && text != "" {
			name = text
		}
		for repeated := name; used[name]; {
			last[repeated] = max(last[repeated], 1) + 1
			name = fmt.Sprintf("%s_%d", repeated, last[repeated])
		}
		used[name] = true
		names[i] = name
	}
	return names
}

// holds reports whether a row holds all of the names that a table had before, or, of one of several
// files, mostly such names.
func holds(k *input.Known, row []cell) bool {
	has := columnNames(row, true)
	if k.Some {
		n := 0
		for _, name := range has {
			if slices.Contains(k.Names, name) {
				n++
			}
		}
		return n > 0 && 2*n >= len(has)
	}
	return !slices.ContainsFunc(k.Names, func(name string) bool { return !slices.Contains(has, name) })
}

// literal reports whether a row holds the names as they are, none of them made up
// for a cell without text.
func literal(k *input.Known, row []cell) bool {
	return len(k.Names) > 0 && !slices.ContainsFunc(k.Names, func(name string) bool {
		return !slices.ContainsFunc(row, func(c cell) bool { return strings.TrimSpace(string(c.text)) == name })
	})
}

// Unnamed reports whether the names of columns are those of a file without any.
func Unnamed(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		n, err := strconv.Atoi(strings.TrimPrefix(name, "column_"))
		return err != nil || n < 1 || name != fmt.Sprintf("column_%d", n)
	})
}
