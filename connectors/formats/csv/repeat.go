package csv

import (
	"bytes"
	"fmt"
	"slices"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// A file that was put together from others has their header again amid its rows.
// A row that is the header in every cell is that, and no row, where a column
// proves it: one whose values are no text has a name that is. Where all columns
// are text nothing proves it: such rows land, and a note tells of them.

// head is the first row of a file, where it holds names.
type head struct {
	cells [][]byte
	texts []bool // whether the cell is text, and nothing else
	any   bool   // one is
}

func headOf(first []cell) (h head) {
	for _, c := range first {
		var own records.Sniffer
		own.Text(c.text)
		text := len(c.text) > 0 && own.Type().Kind == driver.String
		h.cells, h.texts, h.any = append(h.cells, bytes.Clone(c.text)), append(h.texts, text), h.any || text
	}
	return h
}

// again reports whether a row is the header once more.
func (h *head) again(row []cell) bool {
	return h.any && slices.EqualFunc(row, h.cells, func(c cell, name []byte) bool { return bytes.Equal(c.text, name) })
}

// proven reports whether a column of the table proves that such a row is none.
// target is where the columns of the file are in the table, -1 for nowhere.
func (h *head) proven(t driver.Table, target []int) bool {
	for i, text := range h.texts {
		if at := target[i]; at >= 0 && text && t.Columns[at].Type.Kind != driver.String {
			return true
		}
	}
	return false
}

// repeatedHeader says for people what became of such rows.
func (f *File) repeatedHeader() string {
	switch {
	case f.repeats == 0:
		return ""
	case f.drops:
		return fmt.Sprintf("%s: rows that repeat the header were left out, %d of them, as in a file that was put together from several.", f.input.Name, f.repeats)
	}
	return fmt.Sprintf("%s: rows that repeat the header in every column landed, %d of them: all columns are text, and nothing proves that they are none.", f.input.Name, f.repeats)
}
