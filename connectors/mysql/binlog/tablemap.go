package binlog

import (
	"bytes"
	"encoding/binary"

	"headwater/connectors/mysql/lenenc"
)

// The types of columns, as they stand in a TABLE_MAP.
const (
	typeDecimal           = 0
	typeTiny              = 1
	typeShort             = 2
	typeLong              = 3
	typeFloat             = 4
	typeDouble            = 5
	typeNull              = 6
	typeTimestamp         = 7
	typeLongLong          = 8
	typeInt24             = 9
	typeDate              = 10
	typeTime              = 11
	typeDatetime          = 12
	typeYear              = 13
	typeNewDate           = 14
	typeVarchar           = 15
	typeBit               = 16
	typeTimestamp2        = 17
	typeDatetime2         = 18
	typeTime2             = 19
	typeBlobCompressed    = 140
	typeVarcharCompressed = 141
	typeVector            = 242
	typeJSON              = 245
	typeNewDecimal        = 246
	typeEnum              = 247
	typeSet               = 248
	typeTinyBlob          = 249
	typeMediumBlob        = 250
	typeLongBlob          = 251
	typeBlob              = 252
	typeVarString         = 253
	typeString            = 254
	typeGeometry          = 255
)

// Column is a column of a table as its rows in the log have it.
type Column struct {
	Type     byte
	Meta     uint16 // digits, lengths; see size
	Nullable bool
	// Of the optional metadata (binlog_row_metadata); zero where the server sends
	// none.
	Unsigned bool
	Name     string
	Charset  uint64   // number of the collation
	Labels   [][]byte // of an enum or a set, in the column's character set
}

// Table is what a TABLE_MAP says of the rows that follow it.
type Table struct {
	ID      uint64
	Schema  string
	Name    string
	Columns []Column
	// Named, Signs and Key tell what optional metadata came: names of columns,
	// which numbers are unsigned, and the primary key's columns.
	Named, Signs bool
	Key          []int

	raw []byte
}

// maxColumns is how many columns a table of either server may have.
const maxColumns = 4096

// maxTables bounds how many tables are remembered between their statements.
const maxTables = 512

// Map reads a TABLE_MAP, which the rows that follow refer to.
func (r *Reader) Map(e Event) (*Table, error) {
	id, rest, ok := r.tableID(e)
	if !ok || e.Type != TableMapEvent {
		return nil, ErrEvent
	}
	if r.tables == nil {
		r.tables, r.cached = map[uint64]*Table{}, map[uint64]*Table{}
	}
	if len(r.tables) >= maxTables || len(r.cached) >= maxTables {
		clear(r.cached)
	}
	if len(r.tables) >= maxTables*8 { // of one statement
		return nil, ErrLimit
	}
	t := r.cached[id]
	if t == nil || !bytes.Equal(t.raw, rest) {
		if t = parseTable(rest); t == nil {
			return nil, ErrEvent
		}
		t.ID, t.raw = id, bytes.Clone(rest)
		r.cached[id] = t
	}
	r.tables[id] = t
	return t, nil
}

// tableID reads the number of the table that an event is of, and returns what lies
// behind the fixed part.
func (r *Reader) tableID(e Event) (id uint64, rest []byte, ok bool) {
	fixed, width := r.fixed(e.Type, 8), 6
	if fixed == 6 { // of servers long past
		width = 4
	}
	if fixed != 6 && fixed < 8 || len(e.Body) < fixed {
		return 0, nil, false
	}
	return littleEndian(e.Body[:width]), e.Body[fixed:], true
}

func parseTable(p []byte) *Table {
	t := &Table{}
	name := func() (string, bool) {
		if len(p) == 0 {
			return "", false
		}
		text, rest, ok := take(p[1:], uint64(p[0]))
		if !ok || len(rest) == 0 || rest[0] != 0 {
			return "", false
		}
		p = rest[1:]
		return string(text), true
	}
	var ok bool
	if t.Schema, ok = name(); !ok {
		return nil
	}
	if t.Name, ok = name(); !ok {
		return nil
	}
	n, rest, ok := lenenc.Int(p)
	if !ok || n > maxColumns {
		return nil
	}
	types, rest, ok := take(rest, n)
	if !ok {
		return nil
	}
	meta, rest, ok := lenenc.String(rest)
	if !ok {
		return nil
	}
	t.Columns = make([]Column, n)
	for i, typ := range types {
		if meta, ok = t.Columns[i].describe(typ, meta); !ok {
			return nil
		}
	}
	nulls, rest, ok := take(rest, (n+7)/8)
	if !ok || len(meta) > 0 {
		return nil
	}
	for i := range t.Columns {
		t.Columns[i].Nullable = bit(nulls, i)
	}
	if !t.optional(rest) {
		return nil
	}
	return t
}

// bit reports whether a bit of a bitmap is set: the first one is the least.
func bit(bitmap []byte, i int) bool { return bitmap[i/8]>>(i%8)&1 == 1 }

// describe takes a column's part of the metadata.
func (c *Column) describe(typ byte, meta []byte) (rest []byte, ok bool) {
	c.Type = typ
	switch typ {
	case typeFloat, typeDouble, typeBlob, typeTinyBlob, typeMediumBlob, typeLongBlob, typeGeometry, typeJSON, typeVector, typeTimestamp2, typeDatetime2, typeTime2, typeBlobCompressed:
		if len(meta) < 1 {
			return nil, false
		}
		c.Meta = uint16(meta[0])
		return meta[1:], true
	case typeVarchar, typeVarString, typeVarcharCompressed, typeBit:
		if len(meta) < 2 {
			return nil, false
		}
		c.Meta = binary.LittleEndian.Uint16(meta)
		return meta[2:], true
	case typeNewDecimal:
		if len(meta) < 2 {
			return nil, false
		}
		c.Meta = binary.BigEndian.Uint16(meta)
		return meta[2:], true
	case typeString, typeEnum, typeSet:
		if len(meta) < 2 {
			return nil, false
		}
		// The type itself, in which two bits of a length over 255 are hidden.
		c.Type, c.Meta = meta[0], uint16(meta[1])
		if meta[0]&0x30 != 0x30 {
			c.Type, c.Meta = meta[0]|0x30, uint16(meta[1])|uint16(meta[0]&0x30^0x30)<<4
		}
		return meta[2:], true
	}
	return meta, true
}

// Kinds of optional metadata.
const (
	metaSigns = iota + 1
	metaCharset
	metaCharsets
	metaNames
	metaSets
	metaEnums
	metaGeometry
	metaKey
	metaPrefixedKey
	metaLabelCharset
	metaLabelCharsets
)

// optional reads what binlog_row_metadata adds.
func (t *Table) optional(p []byte) bool {
	for len(p) > 0 {
		kind := p[0]
		value, rest, ok := lenenc.String(p[1:])
		if !ok {
			return false
		}
		p = rest
		switch kind {
		case metaSigns:
			ok = t.signs(value)
		case metaCharset, metaLabelCharset:
			ok = t.charset(value, kind == metaLabelCharset)
		case metaCharsets, metaLabelCharsets:
			ok = t.charsets(value, kind == metaLabelCharsets)
		case metaNames:
			for i := range t.Columns {
				var name []byte
				if name, value, ok = lenenc.String(value); !ok {
					return false
				}
				t.Columns[i].Name = string(name)
			}
			t.Named = true
		case metaSets, metaEnums:
			ok = t.labels(value, map[byte]byte{metaSets: typeSet, metaEnums: typeEnum}[kind])
		case metaKey, metaPrefixedKey:
			for len(value) > 0 && ok {
				var i uint64
				if i, value, ok = lenenc.Int(value); ok && kind == metaPrefixedKey {
					_, value, ok = lenenc.Int(value)
				}
				if ok = ok && i < uint64(len(t.Columns)) && len(t.Key) < len(t.Columns); ok {
					t.Key = append(t.Key, int(i))
				}
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

// signs reads which numbers are unsigned: a bit for each, the first the greatest.
func (t *Table) signs(p []byte) bool {
	at := 0
	for i := range t.Columns {
		switch t.Columns[i].Type {
		case typeTiny, typeShort, typeInt24, typeLong, typeLongLong, typeFloat, typeDouble, typeNewDecimal, typeYear:
		default:
			continue
		}
		// A year has a bit for one server and none for another.
		if at/8 >= len(p) {
			if t.Columns[i].Type == typeYear {
				continue
			}
			return false
		}
		t.Columns[i].Unsigned = p[at/8]<<(at%8)&0x80 != 0
		at++
	}
	t.Signs = !t.has(typeYear)
	return true
}

func (t *Table) has(typ byte) bool {
	for _, c := range t.Columns {
		if c.Type == typ {
			return true
		}
	}
	return false
}

// texts calls f for each column that has a character set in the metadata.
func (t *Table) texts(labels bool, f func(*Column) bool) bool {
	for i := range t.Columns {
		c := &t.Columns[i]
		isText := false
		switch c.Type {
		case typeEnum, typeSet:
			isText = labels
		case typeString, typeVarchar, typeVarString, typeBlob, typeTinyBlob, typeMediumBlob, typeLongBlob, typeVarcharCompressed, typeBlobCompressed:
			isText = !labels
		}
		if isText && !f(c) {
			return false
		}
	}
	return true
}

// charset reads the commonest collation and those of the columns that have another.
func (t *Table) charset(p []byte, labels bool) bool {
	common, p, ok := lenenc.Int(p)
	if !ok {
		return false
	}
	others := map[uint64]uint64{}
	for len(p) > 0 {
		var i, number uint64
		if i, p, ok = lenenc.Int(p); !ok {
			return false
		}
		if number, p, ok = lenenc.Int(p); !ok || len(others) > maxColumns {
			return false
		}
		others[i] = number
	}
	at := uint64(0)
	return t.texts(labels, func(c *Column) bool {
		c.Charset = common
		if other, ok := others[at]; ok {
			c.Charset = other
		}
		at++
		return true
	})
}

// charsets reads a collation for each column.
func (t *Table) charsets(p []byte, labels bool) bool {
	return t.texts(labels, func(c *Column) (ok bool) {
		c.Charset, p, ok = lenenc.Int(p)
		return ok
	})
}

// labels reads those of the enums or of the sets.
func (t *Table) labels(p []byte, typ byte) bool {
	for i := range t.Columns {
		if t.Columns[i].Type != typ {
			continue
		}
		n, rest, ok := lenenc.Int(p)
		if !ok || n > uint64(len(rest)) {
			return false
		}
		p = rest
		for range n {
			var label []byte
			if label, p, ok = lenenc.String(p); !ok {
				return false
			}
			t.Columns[i].Labels = append(t.Columns[i].Labels, bytes.Clone(label))
		}
	}
	return true
}
