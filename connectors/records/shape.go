package records

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"headwater/connectors/driver"
)

// Extra is the column that holds the fields which did not appear in the sample
// that the columns were found by, as a JSON object. A table has it only when
// its sample did not reach its end, or held no field at all. It is called
// _extra_2, and so on, where a field has the name.
const Extra = "_extra"

// unsampled is the source type of Extra, which tells it from a field of that
// name.
const unsampled = "unsampled fields"

// Unnamed is the column of a field whose name is empty.
const Unnamed = "unnamed"

// named returns the name of the column of a field.
func named(key []byte) []byte {
	if len(key) == 0 {
		return []byte(Unnamed)
	}
	return key
}

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
	last                          int64 // the last record that had it
}

// Records returns how many records were seen.
func (s *Shape) Records() int64 { return s.records }

// Always reports whether every record had a value in the field.
func (s *Shape) Always(name string) bool {
	i, ok := s.index[name]
	return ok && s.records > 0 && s.fields[i].values == s.records
}

// Record takes one valid JSON value into account. It returns an ErrBadData for
// one that is no object, has a field twice, or has a name or text that no column
// can hold, and an ErrLimit for more than limits.MaxColumns fields.
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
		key = named(key)
		i := next
		if i >= len(s.names) || s.names[i] != string(key) {
			var ok bool
			if i, ok = s.index[string(key)]; !ok {
				i = len(s.names)
				if !utf8.Valid(key) {
					return driver.E(driver.ErrBadData, nil, "record %d has a field whose name is not valid Unicode", s.records)
				}
				if bytes.IndexByte(key, 0) >= 0 {
					return driver.E(driver.ErrBadData, nil, "record %d has a field whose name holds a NUL character: %q; rename it in the source", s.records, key)
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
		f := &s.fields[i]
		if f.last == s.records {
			return driver.E(driver.ErrBadData, nil, "record %d has the field %q twice", s.records, key)
		}
		f.last = s.records
		if !f.value(value) {
			return driver.E(driver.ErrBadData, nil, "record %d: the text of field %q is not valid Unicode", s.records, key)
		}
	}
	return nil
}

// value takes a value into account, or returns false for text that is not valid
// Unicode.
func (f *field) value(raw []byte) bool {
	switch raw[0] {
	case 'n':
		return true
	case '{', '[':
		f.nested = true
	case 't', 'f':
		f.boolean = true
		f.sniff.Text(raw)
	case '"':
		if IsNonFinite(raw) {
			f.number, f.values = true, f.values+1
			f.sniff.nonFinite()
			return true
		}
		f.text = true
		v := Unquote(raw)
		if !utf8.Valid(v) {
			return false
		}
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
		f.sniff.Number(raw)
	}
	f.values++
	return true
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
// and Extra when extra is set, or there are no others. types replaces the
// types of columns by name; a name or type that is unknown is an
// ErrInvalidConfig.
func (s *Shape) Columns(types map[string]string, extra bool) ([]driver.Column, error) {
	columns := make([]driver.Column, 0, len(s.names)+1)
	for i, name := range s.names {
		columns = append(columns, s.fields[i].column(name))
	}
	if extra || len(s.names) == 0 {
		name := Extra
		for n := 2; ; n++ {
			if _, taken := s.index[name]; !taken {
				break
			}
			name = fmt.Sprintf("%s_%d", Extra, n)
		}
		columns = append(columns, driver.Column{Name: name, Type: driver.Of(driver.JSON), SourceType: unsampled, Nullable: true,
			Comment: "fields that did not appear in the sample"})
	}
	return columns, Retype(columns, types)
}

// CheckTypes returns an ErrInvalidConfig unless every type is known.
func CheckTypes(types map[string]string) error {
	for name, text := range types {
		if _, err := driver.ParseType(text); err != nil {
			return driver.InvalidField("column_types", "has no type for column %q: use one of string, boolean, int32, int64, float32, float64, decimal(precision,scale), date, time, timestamp, timestamptz, uuid, json, bytes", name)
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
