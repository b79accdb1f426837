package parquet

import (
	"github.com/apache/arrow-go/v18/arrow"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// nested is a column of lists, maps, structs or variants, which become JSON: a
// map is a list of objects of a key and a value, because its keys need not be
// text.
type nested struct {
	field   *field
	columns []*columnReader
	keys    map[*field][]byte // the names of struct fields as JSON writes them
	b       *records.Builder
	// Of the rows that are being built:
	values []values
	at     []int // the next level of each leaf
	err    error
}

// newNested returns a reader of a field as a column of the type.
func newNested(f *field, columns []*columnReader, to driver.Type) (*nested, error) {
	n := &nested{field: f, columns: columns, keys: map[*field][]byte{}, values: make([]values, len(columns)), at: make([]int, len(columns))}
	n.b = records.NewBuilder(driver.Table{Columns: []driver.Column{{Type: to, Nullable: true}}}, driver.Limits{})
	return n, n.name(f)
}

// name writes the names of the fields below f.
func (n *nested) name(f *field) error {
	for _, c := range f.children {
		key, err := appendQuoted(nil, []byte(c.name))
		if err != nil {
			return err
		}
		n.keys[c] = append(key, ':')
		if err := n.name(c); err != nil {
			return err
		}
	}
	return nil
}

func (n *nested) load(rows int64) error {
	for _, c := range n.columns {
		if err := c.load(rows); err != nil {
			return err
		}
	}
	return nil
}

// array returns the rows that were loaded. The caller releases it. An error comes
// with the row that has it; levels that make no sense are a panic, which the
// caller takes for a damaged file.
func (n *nested) array(rows int) (a arrow.Array, row int, err error) {
	for i, c := range n.columns {
		n.values[i], n.at[i] = c.values(), 0
		defer n.values[i].release()
	}
	n.err = nil
	var text []byte
	for row := range rows {
		top := n.def(0) < n.field.def
		text = n.append(text[:0], n.field)
		n.rowEnds()
		switch {
		case n.err != nil:
			n.b.Array(0).Release()
			return nil, row, n.err
		case top:
			n.b.Null(0)
		default:
			if err := n.b.Text(0, text); err != nil {
				n.b.Array(0).Release()
				return nil, row, err
			}
		}
	}
	return n.b.Array(0), 0, nil
}

// rowEnds panics unless every leaf is at the beginning of a row.
func (n *nested) rowEnds() {
	for i := range n.values {
		if v := &n.values[i]; n.at[i] < v.n && v.rep != nil && v.rep[n.at[i]] != 0 {
			panic(errUneven)
		}
	}
}

// def returns the definition level of a leaf's next place.
func (n *nested) def(slot int) int16 {
	v := &n.values[slot]
	if n.at[slot] >= v.n {
		panic(errUneven)
	}
	if v.def == nil {
		return 0
	}
	return v.def[n.at[slot]]
}

// skip passes over a value that is not there, which has a place in every leaf.
func (n *nested) skip(f *field) {
	for _, l := range f.leaves {
		n.at[l.slot]++
	}
}

// more reports whether a list has another element.
func (n *nested) more(f *field) bool {
	slot := f.leaves[0].slot
	v := &n.values[slot]
	return n.at[slot] < v.n && v.rep[n.at[slot]] == f.rep
}

// append appends the next value of a field.
func (n *nested) append(dst []byte, f *field) []byte {
	slot := f.leaves[0].slot
	def := n.def(slot)
	if def < f.def {
		n.skip(f)
		return append(dst, "null"...)
	}
	switch f.kind {
	case leafField:
		return n.leaf(dst, f.leaf)
	case listField, mapField:
		if def < f.element {
			n.skip(f)
			return append(dst, "[]"...)
		}
		for open := byte('['); ; open = ',' {
			dst = append(dst, open)
			if f.kind == mapField {
				dst = n.append(append(dst, `{"key":`...), f.children[0])
				dst = append(n.append(append(dst, `,"value":`...), f.children[1]), '}')
			} else {
				dst = n.append(dst, f.children[0])
			}
			if !n.more(f) {
				return append(dst, ']')
			}
		}
	case variantField:
		return n.variant(dst, f)
	}
	for i, c := range f.children {
		open := byte(',')
		if i == 0 {
			open = '{'
		}
		dst = n.append(append(append(dst, open), n.keys[c]...), c)
	}
	return append(dst, '}')
}

// leaf appends a value that is there.
func (n *nested) leaf(dst []byte, l *leaf) []byte {
	dst, err := l.value.text(dst, &n.values[l.slot], n.at[l.slot], true)
	n.at[l.slot]++
	if err != nil && n.err == nil {
		n.err = err
	}
	return dst
}

func (n *nested) release() {
	n.b.Release()
	for _, c := range n.columns {
		c.release()
	}
}
