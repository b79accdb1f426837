package records

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"headwater/connectors/driver"
)

// Extra is the column that holds the fields which did not appear in the sample
// that the columns were found by, as a JSON object. A table has it only when
// its sample did not reach its end, or held no field at all.
const Extra = "_extra"

// unsampled is the source type of Extra, which tells it from a field of that
// name.
const unsampled = "unsampled fields"

// Shape finds the columns of JSON records. The zero Shape is ready.
//
// A field of numbers, booleans or strings alone gets the type of Sniffer, a
// field of several of them is text, and one that holds an object or array
// anywhere, or was always null, is JSON. Keys that are missing are NULL.
type Shape struct {
	names   []string
	index   map[string]int
	fields  []field
	records int64
}

type field struct {
	sniff                         Sniffer
	boolean, number, text, nested bool
	values                        int64 // that are not null
}

// Records returns how many records were seen.
func (s *Shape) Records() int64 { return s.records }

// Always reports whether every record had a value in the field.
func (s *Shape) Always(name string) bool {
	i, ok := s.index[name]
	return ok && s.records > 0 && s.fields[i].values == s.records
}

// Record takes one valid JSON value into account. It returns an ErrBadData for
// one that is no object or names a field in no UTF-8, and an ErrLimit for more than limits.MaxColumns fields.
func (s *Shape) Record(raw []byte, limits driver.Limits) error {
	if raw[0] != '{' {
		return driver.E(driver.ErrBadData, nil, "record %d is %s, not an object", s.records+1, kindOf(raw))
	}
	if s.index == nil {
		s.index = map[string]int{}
	}
	s.records++
	next := 0
	for key, value := range Fields(raw) {
		i := next
		if i >= len(s.names) || s.names[i] != string(key) {
			var ok bool
			if i, ok = s.index[string(key)]; !ok {
				i = len(s.names)
				if !utf8.Valid(key) {
					return driver.E(driver.ErrBadData, nil, "record %d has a field whose name is not UTF-8", s.records)
				}
				if i >= limits.WithDefaults().MaxColumns {
					return driver.E(driver.ErrLimit, nil, "record %d brings the number of fields over %d; keys that are data belong into values", s.records, i)
				}
				s.names = append(s.names, string(key))
				s.index[s.names[i]] = i
				s.fields = append(s.fields, field{})
			}
		}
		next = i + 1
		s.fields[i].value(value)
	}
	return nil
}

func (f *field) value(raw []byte) {
	switch raw[0] {
	case 'n':
		return
	case '{', '[':
		f.nested = true
	case 't', 'f':
		f.boolean = true
		f.sniff.Text(raw)
	case '"':
		f.text = true
		v := Unquote(raw)
		var s Sniffer
		s.Text(v)
		switch s.Type().Kind {
		case driver.Date, driver.Timestamp, driver.TimestampTZ:
			f.sniff.Merge(s)
		default:
			// A number or a boolean between quotes is text.
			f.sniff.cannot, f.sniff.seen = text7, true
		}
	default:
		f.number = true
		f.sniff.Text(raw)
	}
	f.values++
}

func (f *field) column(name string) driver.Column {
	c := driver.Column{Name: name, Nullable: true, Sampled: true}
	kinds := 0
	for _, k := range []struct {
		is   bool
		name string
	}{{f.boolean, "boolean"}, {f.number, "number"}, {f.text, "string"}, {f.nested, "object or array"}} {
		if k.is {
			kinds++
			if c.SourceType != "" {
				c.SourceType += ", "
			}
			c.SourceType += k.name
		}
	}
	switch {
	case kinds == 0:
		c.Type, c.SourceType = driver.Of(driver.JSON), driver.Unseen
	case f.nested:
		c.Type = driver.Of(driver.JSON)
	case kinds > 1:
		c.Type = driver.Of(driver.String)
	default:
		c.Type = f.sniff.Type()
	}
	return c
}

// Columns returns the columns found, in the order of their first appearance,
// and Extra when extra is set, or there are no others, and no field has its name. types replaces the
// types of columns by name; a name or type that is unknown is an
// ErrInvalidConfig.
func (s *Shape) Columns(types map[string]string, extra bool) ([]driver.Column, error) {
	columns := make([]driver.Column, 0, len(s.names)+1)
	for i, name := range s.names {
		columns = append(columns, s.fields[i].column(name))
	}
	if _, taken := s.index[Extra]; (extra || len(s.names) == 0) && !taken {
		columns = append(columns, driver.Column{Name: Extra, Type: driver.Of(driver.JSON), SourceType: unsampled, Nullable: true,
			Comment: "fields that did not appear in the sample"})
	}
	return columns, Retype(columns, types)
}

// CheckTypes returns an ErrInvalidConfig unless every type is known.
func CheckTypes(types map[string]string) error {
	for name, text := range types {
		if _, err := driver.ParseType(text); err != nil {
			return driver.E(driver.ErrInvalidConfig, nil, "connection_config.column_types has no type for column %q: use one of string, boolean, int32, int64, float32, float64, decimal(precision,scale), date, time, timestamp, timestamptz, uuid, json, bytes", name)
		}
	}
	return nil
}

// Retype replaces the types of columns by name. A type that is unknown is an
// ErrInvalidConfig; a name that no column has is left alone, because a source
// may hold several tables.
func Retype(columns []driver.Column, types map[string]string) error {
	if err := CheckTypes(types); err != nil {
		return err
	}
	for i, c := range columns {
		name, ok := types[c.Name]
		if !ok {
			continue
		}
		t, err := driver.ParseType(name)
		if err != nil {
			return err
		}
		columns[i].Type, columns[i].Sampled = t, false
	}
	return nil
}

func kindOf(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "text"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// unwanted is the place of a column that was left out of a read.
const unwanted = -2

// Rows builds batches out of JSON records. It is not safe for concurrent use.
type Rows struct {
	*Builder
	table  driver.Table
	index  map[string]int
	extra  int
	kinds  []driver.Kind // of the columns
	values [][]byte      // of the record
	has    []uint8       // what stringEnd says of them
	rest   []byte
	text   []byte // of a value with escapes
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
		if c.Name == Extra && c.SourceType == unsampled {
			r.extra = i
		}
	}
	return r
}

// Record appends one valid JSON value and reports whether the batch is full.
// It returns an ErrBadData that names the record and the field for what is no
// object and for a value that its column cannot hold.
func (r *Rows) Record(raw []byte) (full bool, err error) {
	if err := r.begin(raw[0]); err != nil {
		return false, err
	}
	next := 0
	for key, value := range Fields(raw) {
		i := next
		if i >= len(r.values) || i == r.extra || r.table.Columns[i].Name != string(key) {
			if i = r.place(key, value); i < 0 {
				continue
			}
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
			if i = r.place(key, x.document[f.value:f.end]); i < 0 {
				continue
			}
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
	r.rest = r.rest[:0]
	return nil
}

// place returns the column of a field, or a negative number when it has none.
func (r *Rows) place(key, value []byte) int {
	i, ok := r.index[string(key)]
	if !ok || i >= 0 && i == r.extra {
		r.unknown(key, value)
		return unwanted
	}
	return i
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
			c := r.table.Columns[i]
			return false, driver.E(driver.ErrBadData, nil, "table %s, record %d: field %q has a value that is not %s as in the records before it; raise sample_rows, or set connection_config.column_types.%s to \"string\"", r.table, r.number, c.Name, c.Type, c.Name)
		}
	}
	return r.EndRow(int64(size)), nil
}

// unknown keeps a field that has no column, where there is a place for it.
func (r *Rows) unknown(key, value []byte) {
	if r.extra < 0 {
		return
	}
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
}
