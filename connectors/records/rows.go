package records

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/driver"
)

// unwanted is the place of a column that was left out of a read.
const unwanted = -2

// Rows builds batches out of JSON records. It is not safe for concurrent use.
type Rows struct {
	*Builder
	table  driver.Table
	index  map[string]int
	extra  int
	kinds  []driver.Kind // of the columns
	plain  []bool        // of the columns: text between quotes is none of their values
	values [][]byte      // of the record
	has    []uint8       // what stringEnd says of them
	rest   []byte
	others [][]byte // the keys in rest
	text   []byte   // of a value with escapes
	number int64
}

// NewRows returns an empty builder for t. Fields that are neither columns of t
// nor among known, the columns that were discovered, go to Extra where t has
// it. The caller releases it.
func NewRows(t driver.Table, limits driver.Limits, known []driver.Column) *Rows {
	r := &Rows{Builder: NewBuilder(t, limits), table: t, index: map[string]int{}, extra: -1, values: make([][]byte, len(t.Columns)), has: make([]uint8, len(t.Columns))}
	for _, c := range known {
		r.index[c.Name] = unwanted
	}
	for i, c := range t.Columns {
		r.index[c.Name] = i
		r.kinds = append(r.kinds, c.Type.Kind)
		r.plain = append(r.plain, c.Sampled && unquoted(c.Type.Kind))
		if c.SourceType == unsampled {
			r.extra = i
		}
	}
	return r
}

// unquoted reports whether JSON writes values of the kind without quotes. What
// the settings say of a column may read quoted ones all the same.
func unquoted(k driver.Kind) bool {
	switch k {
	case driver.Boolean, driver.Int32, driver.Int64, driver.Float32, driver.Float64, driver.Decimal:
		return true
	}
	return false
}

// Record appends one valid JSON value and reports whether the batch is full.
// It returns an ErrBadData that names the record and the field for what is no
// object, for a field that comes twice and for a value that its column cannot
// hold.
func (r *Rows) Record(raw []byte) (full bool, err error) {
	if err := r.begin(raw[0]); err != nil {
		return false, err
	}
	next := 0
	for key, value := range Fields(raw) {
		i := next
		if i >= len(r.values) || i == r.extra || r.table.Columns[i].Name != string(key) {
			if i, err = r.place(key, value); err != nil {
				return false, err
			}
			if i < 0 {
				continue
			}
		}
		if r.values[i] != nil {
			return false, r.twice(key)
		}
		next = i + 1
		r.values[i] = value
		r.has[i] = escaped | beyond7 // perhaps
	}
	return r.end(len(raw))
}

// Indexed is Record for the record at place n of an index.
func (r *Rows) Indexed(x *Index, n int) (full bool, err error) {
	raw, fields := x.record(n)
	if err := r.begin(raw[0]); err != nil {
		return false, err
	}
	next := 0
	for f := range fields {
		f := &fields[f]
		i, key := next, x.document[f.key:f.keyEnd]
		if i >= len(r.values) || i == r.extra || r.table.Columns[i].Name != string(key) || f.keyHas&escaped != 0 {
			if f.keyHas&escaped != 0 {
				key = Unquote(x.document[f.key-1 : f.keyEnd+1])
			}
			if i, err = r.place(key, x.document[f.value:f.end]); err != nil {
				return false, err
			}
			if i < 0 {
				continue
			}
		}
		if r.values[i] != nil {
			return false, r.twice(key)
		}
		next = i + 1
		r.values[i] = x.document[f.value:f.end]
		r.has[i] = f.has
	}
	return r.end(len(raw))
}

// begin begins a record whose first byte is given.
func (r *Rows) begin(first byte) error {
	r.number++
	if first != '{' {
		return driver.E(driver.ErrBadData, nil, "table %s, record %d is %s, not an object", r.table, r.number, kindOf([]byte{first}))
	}
	clear(r.values)
	r.rest, r.others = r.rest[:0], r.others[:0]
	return nil
}

// twice is the error for a field that comes again in its record: a reader of
// JSON keeps one of the two, and which is up to chance.
func (r *Rows) twice(key []byte) error {
	return driver.E(driver.ErrBadData, nil, "table %s, record %d has the field %q twice", r.table, r.number, named(key))
}

// place returns the column of a field, or a negative number when it has none.
func (r *Rows) place(key, value []byte) (int, error) {
	i, ok := r.index[string(named(key))]
	if !ok || i >= 0 && i == r.extra {
		return unwanted, r.unknown(key, value)
	}
	return i, nil
}

// end appends the values of a record of so many bytes.
func (r *Rows) end(size int) (full bool, err error) {
	for i, value := range r.values {
		has := r.has[i]
		switch {
		case i == r.extra && len(r.rest) > 0:
			value, has = append(r.rest, '}'), beyond7
		case value == nil || value[0] == 'n':
			r.Null(i)
			continue
		}
		if value[0] == '"' && r.kinds[i] != driver.JSON {
			if r.nonFinite(i, value) {
				continue
			}
			if r.plain[i] {
				return false, r.misfit(i, value)
			}
			if has&escaped == 0 || bytes.IndexByte(value, '\\') < 0 {
				value = value[1 : len(value)-1]
			} else {
				r.text = unquote(r.text[:0], value[1:len(value)-1])
				value = r.text
				has |= beyond7 // that escapes stand for
			}
		}
		if to := &r.columns[i]; to.texts != nil && has&beyond7 == 0 {
			to.texts.append(value)
		} else if !to.append(value) {
			return false, r.misfit(i, value)
		}
	}
	return r.EndRow(int64(size)), nil
}

// nonFinite appends a number that is not finite to a column of float64.
func (r *Rows) nonFinite(i int, value []byte) bool {
	to, ok := r.columns[i].builder.(*array.Float64Builder)
	if !ok {
		return false
	}
	x, ok := parseNonFinite(value)
	if ok {
		to.Append(x)
	}
	return ok
}

// misfit is the error for a value that its column cannot hold.
func (r *Rows) misfit(i int, value []byte) error {
	c := r.table.Columns[i]
	if !utf8.Valid(value) {
		return driver.E(driver.ErrBadData, nil, "table %s, record %d: the text of field %q is not valid Unicode", r.table, r.number, c.Name)
	}
	return &Misfit{Column: c.Name, err: driver.E(driver.ErrBadData, nil, "table %s, record %d: field %q has a value that is not %s as in the records before it; raise sample_rows, or set connection_config.column_types.%s to \"string\"", r.table, r.number, c.Name, c.Type, c.Name)}
}

// unknown keeps a field that has no column, where there is a place for it.
func (r *Rows) unknown(key, value []byte) error {
	if r.extra < 0 {
		return nil
	}
	for _, other := range r.others {
		if bytes.Equal(other, key) {
			return r.twice(key)
		}
	}
	r.others = append(r.others, bytes.Clone(key))
	if len(r.rest) == 0 {
		r.rest = append(r.rest, '{')
	} else {
		r.rest = append(r.rest, ',')
	}
	name, err := json.Marshal(string(key))
	if err != nil || !utf8.Valid(key) {
		name = key // which the column refuses, instead of another name in its place
	}
	r.rest = append(append(append(r.rest, name...), ':'), value...)
	return nil
}
