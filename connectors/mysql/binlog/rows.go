package binlog

import (
	"bytes"
	"encoding/binary"

	"headwater/connectors/mysql/lenenc"
)

// Action is what an event of rows says of them.
type Action uint8

// The actions.
const (
	Insert Action = iota
	Update
	Delete
)

// Field is one column's value in a row.
type Field struct {
	Raw []byte // as the column's type writes it, without its length
	// Null says that the value is NULL, Absent that the row does not tell it
	// (binlog_row_image).
	Null, Absent bool
}

// Rows are the rows of one event.
type Rows struct {
	Action Action
	Table  *Table
	Last   bool // of its statement
	// Unchecked says that the session checked neither foreign nor unique keys.
	Unchecked bool

	before, after []byte // bitmaps of the columns that are there
	data          []byte
}

// rowsForm says what a type of event is: its action, form, and whether its rows are
// compressed.
func rowsForm(t Type) (action Action, version int, compressed, ok bool) {
	switch t {
	case WriteRowsV1, UpdateRowsV1, DeleteRowsV1:
		return Action(t - WriteRowsV1), 1, false, true
	case WriteRowsV2, UpdateRowsV2, DeleteRowsV2:
		return Action(t - WriteRowsV2), 2, false, true
	case WriteCompressed1, UpdateCompressed1, DeleteCompressed1:
		return Action(t - WriteCompressed1), 1, true, true
	case WriteCompressed2, UpdateCompressed2, DeleteCompressed2:
		return Action(t - WriteCompressed2), 2, true, true
	}
	return 0, 0, false, false
}

// HasRows reports whether an event is one of rows that Rows reads.
func (e Event) HasRows() bool {
	_, _, _, ok := rowsForm(e.Type)
	return ok
}

// dummyTable is the number of the table that an event has which only ends a
// statement.
const dummyTable = 0x00ffffff

// Rows reads an event of rows. Its Table is nil if it only ends a statement. The
// rows are valid until the next event is read. ErrLimit comes with the Table that the
// event is of, which is longer than the limit.
func (r *Reader) Rows(e Event) (Rows, error) {
	action, version, compressed, ok := rowsForm(e.Type)
	id, p, okID := r.tableID(e)
	if !ok || !okID {
		return Rows{}, ErrEvent
	}
	// The flags stand behind the table's number.
	at := 6
	if r.fixed(e.Type, 8) == 6 {
		at = 4
	}
	flags := binary.LittleEndian.Uint16(e.Body[at:])
	rows := Rows{Action: action, Last: flags&1 != 0, Unchecked: flags&(2|4) == 2|4}
	if version == 2 { // the length of further data is the end of the fixed part
		if r.fixed(e.Type, 10) != 10 || len(e.Body) < 10 {
			return Rows{}, ErrEvent
		}
		n := uint64(binary.LittleEndian.Uint16(e.Body[8:]))
		if n < 2 {
			return Rows{}, ErrEvent
		}
		p = e.Body[10:]
		if _, p, ok = take(p, n-2); !ok {
			return Rows{}, ErrEvent
		}
	}
	rows.Table = r.tables[id]
	if rows.Last {
		defer clear(r.tables)
	}
	if rows.Table == nil {
		if id == dummyTable {
			return rows, nil
		}
		return Rows{}, ErrEvent
	}
	if e.Cut {
		return rows, ErrLimit
	}
	n, p, ok := lenenc.Int(p)
	if !ok || n != uint64(len(rows.Table.Columns)) {
		return Rows{}, ErrEvent
	}
	if rows.before, p, ok = take(p, (n+7)/8); !ok {
		return Rows{}, ErrEvent
	}
	rows.after = rows.before
	if action == Update {
		if rows.after, p, ok = take(p, (n+7)/8); !ok {
			return Rows{}, ErrEvent
		}
	}
	if compressed {
		var err error
		if p, err = r.decompress(p); err != nil {
			return rows, err
		}
	}
	rows.data = p
	return rows, nil
}

// More reports whether there is another row.
func (r *Rows) More() bool { return len(r.data) > 0 }

// Next reads a row: the one that was there into before, the one that is there now
// into after; an Insert has only the second, a Delete only the first. Both are as
// long as the table has columns.
func (r *Rows) Next(before, after []Field) error {
	n := len(r.data)
	if r.Action != Insert && !r.image(r.before, before) {
		return ErrEvent
	}
	if r.Action != Delete && !r.image(r.after, after) {
		return ErrEvent
	}
	if n == len(r.data) && n > 0 { // rows without a byte would never end
		return ErrEvent
	}
	return nil
}

// image reads one row: a bitmap of those of its columns that are NULL, and the
// values of the others.
func (r *Rows) image(there []byte, fields []Field) bool {
	if len(fields) != len(r.Table.Columns) {
		return false
	}
	present := 0
	for i := range fields {
		if bit(there, i) {
			present++
		}
	}
	nulls, p, ok := take(r.data, uint64(present+7)/8)
	if !ok {
		return false
	}
	at := 0
	for i := range fields {
		if !bit(there, i) {
			fields[i] = Field{Absent: true}
			continue
		}
		if bit(nulls, at) {
			fields[i] = Field{Null: true}
		} else {
			size, skip, ok := r.Table.Columns[i].size(p)
			if !ok {
				return false
			}
			var raw []byte
			if raw, p, ok = take(p[skip:], size); !ok {
				return false
			}
			fields[i] = Field{Raw: raw}
		}
		at++
	}
	r.data = p
	return true
}

// Equal reports whether two values of one column are the same bytes.
func (f Field) Equal(g Field) bool {
	return f.Null == g.Null && f.Absent == g.Absent && bytes.Equal(f.Raw, g.Raw)
}

// size returns how long a value is, and how many bytes before it say so.
func (c Column) size(p []byte) (size uint64, prefix int, ok bool) {
	switch c.Type {
	case typeTiny, typeYear:
		return 1, 0, true
	case typeShort:
		return 2, 0, true
	case typeInt24, typeDate, typeNewDate, typeTime:
		return 3, 0, true
	case typeLong, typeFloat, typeTimestamp:
		return 4, 0, true
	case typeLongLong, typeDouble, typeDatetime:
		return 8, 0, true
	case typeTimestamp2:
		return 4 + fractionLen(c.Meta), 0, c.Meta <= 6
	case typeDatetime2:
		return 5 + fractionLen(c.Meta), 0, c.Meta <= 6
	case typeTime2:
		return 3 + fractionLen(c.Meta), 0, c.Meta <= 6
	case typeNewDecimal:
		precision, scale := int(c.Meta>>8), int(c.Meta&0xff)
		return uint64(digitsLen(precision-scale) + digitsLen(scale)), 0, precision > 0 && precision <= 65 && scale <= precision
	case typeBit:
		return uint64(c.Meta>>8) + uint64(c.Meta&0xff+7)/8, 0, c.Meta&0xff < 8 && c.Meta>>8 <= 8
	case typeEnum, typeSet:
		return uint64(c.Meta), 0, c.Meta >= 1 && c.Meta <= 8
	case typeString, typeVarchar, typeVarString, typeVarcharCompressed:
		prefix = 1
		if c.Meta > 255 {
			prefix = 2
		}
	case typeBlob, typeTinyBlob, typeMediumBlob, typeLongBlob, typeGeometry, typeJSON, typeVector, typeBlobCompressed:
		prefix = int(c.Meta)
	}
	if prefix < 1 || prefix > 4 || len(p) < prefix {
		return 0, 0, false
	}
	return littleEndian(p[:prefix]), prefix, true
}

// Clone returns rows that stay valid. Size is what they hold.
func (r Rows) Clone() (rows Rows, size int) {
	r.before, r.data = bytes.Clone(r.before), bytes.Clone(r.data)
	r.after = bytes.Clone(r.after)
	return r, len(r.data) + len(r.before) + len(r.after)
}
