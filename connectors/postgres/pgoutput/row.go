package pgoutput

import (
	"encoding/binary"

	"headwater/connectors/postgres/binarycopy"
)

// What a value of a row may be.
const (
	Null      = 'n'
	Unchanged = 'u' // as it was, and stored outside of the row: the server does not repeat it
	Text      = 't'
	Binary    = 'b'
)

// Row is a row of a message, of which the values are yet to be taken.
type Row struct {
	left int
	rest []byte
}

// Len returns how many values are left.
func (r *Row) Len() int { return r.left }

// Size returns how many bytes are left.
func (r *Row) Size() int64 { return int64(len(r.rest)) }

// Next takes a value. The error is ErrMalformed, also behind the last one.
func (r *Row) Next() (kind byte, v []byte, err error) {
	if r.left == 0 || len(r.rest) == 0 {
		return 0, nil, ErrMalformed
	}
	r.left--
	kind = r.rest[0]
	switch kind {
	case Null, Unchanged:
		r.rest = r.rest[1:]
	case Text, Binary:
		if len(r.rest) < 5 {
			return 0, nil, ErrMalformed
		}
		n := int(int32(binary.BigEndian.Uint32(r.rest[1:])))
		if n < 0 || n > len(r.rest)-5 {
			return 0, nil, ErrMalformed
		}
		v = r.rest[5 : 5+n : 5+n]
		r.rest = r.rest[5+n:]
	default:
		return 0, nil, ErrMalformed
	}
	if r.left == 0 && len(r.rest) > 0 {
		return 0, nil, ErrMalformed
	}
	return kind, v, nil
}

// Writer writes rows of a relation into the columns of a table.
type Writer struct {
	Rows *binarycopy.Rows
	// To has for each column of the relation which column of the table it is, -1 for
	// none. Absent are the columns of the table that the relation does not have: they
	// become NULL.
	To     []int
	Absent []int
	// Check takes a NULL, and a value that its column cannot hold, with why; what it
	// returns ends the row. After nil the value is NULL.
	Check func(column int, why error) error
}

// Write appends a row, and returns which columns of the table are as they were, by
// their numbers: they are NULL in Rows. Their values are taken from old, if there is
// one. After an error the Rows hold half of a row and are of no use.
func (w *Writer) Write(row Row, old *Row) (kept []int, err error) {
	if row.Len() != len(w.To) || old != nil && old.Len() != len(w.To) {
		return nil, ErrMalformed
	}
	size := row.Size()
	w.Rows.Begin()
	for _, at := range w.To {
		kind, v, err := row.Next()
		if err != nil {
			return nil, err
		}
		if old != nil {
			oldKind, was, err := old.Next()
			if err != nil {
				return nil, err
			}
			if kind == Unchanged && oldKind != Null { // of the columns alone that an old key has
				kind, v = oldKind, was
				size += int64(len(was))
			}
		}
		switch {
		case at < 0:
		case kind == Unchanged:
			kept = append(kept, at)
			w.Rows.Null(at)
		default:
			if err := w.value(at, kind, v); err != nil {
				return nil, err
			}
		}
	}
	for _, at := range w.Absent {
		w.Rows.Null(at)
	}
	w.Rows.End(size)
	return kept, nil
}

func (w *Writer) value(at int, kind byte, v []byte) (err error) {
	switch kind {
	case Binary:
		err = w.Rows.Binary(at, v)
	case Text:
		err = w.Rows.Text(at, v)
	default:
		if err = w.Check(at, nil); err == nil {
			w.Rows.Null(at)
		}
		return err
	}
	if err == nil {
		return nil
	}
	if err = w.Check(at, err); err == nil {
		w.Rows.Null(at)
	}
	return err
}

// SameKey reports whether two rows have the same values in the columns of the
// relation that are in the list. A value that the newer row does not repeat is the
// same.
func SameKey(old, now Row, columns []bool) (bool, error) {
	if old.Len() != len(columns) || now.Len() != len(columns) {
		return false, ErrMalformed
	}
	same := true
	for _, key := range columns {
		oldKind, was, err := old.Next()
		if err != nil {
			return false, err
		}
		kind, v, err := now.Next()
		if err != nil {
			return false, err
		}
		if key && kind != Unchanged && (kind != oldKind || string(was) != string(v)) {
			same = false
		}
	}
	return same, nil
}
