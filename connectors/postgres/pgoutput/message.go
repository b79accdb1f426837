// Package pgoutput decodes what PostgreSQL's logical decoding plug-in of that name
// sends, protocol version 1, straight into the column builders of binarycopy. It asks
// no server: messages come as bytes.
package pgoutput

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"
)

// ErrMalformed says that bytes are not of the protocol.
var ErrMalformed = errors.New("the server sent malformed bytes in its log of changes")

// Kind is the kind of a Message, its first byte.
type Kind byte

// The kinds of messages. Of a type, an origin (the transaction came from another server) and
// a message of another program Parse tells the kind alone.
const (
	Begin    Kind = 'B'
	Commit   Kind = 'C'
	Describe Kind = 'R' // a relation as it is from here on
	Insert   Kind = 'I'
	Update   Kind = 'U'
	Delete   Kind = 'D'
	Truncate Kind = 'T'
	Type     Kind = 'Y'
	Origin   Kind = 'O'
	Logical  Kind = 'M'
)

// Message is one message. Its rows point into the bytes that it was parsed from.
type Message struct {
	Kind      Kind
	LSN       uint64 // of Begin and Commit: where the commit's record begins
	End       uint64 // of Commit: where it ends
	Committed int64  // of Begin and Commit: microseconds since 1970
	XID       uint32 // of Begin: the transaction
	Relation  uint32 // of Insert, Update and Delete: its oid
	Old       byte   // of Update and Delete: which old row there is, 0 for none
	OldRow    Row
	NewRow    Row
	Truncated []uint32  // oids of all relations that were truncated at once
	Described *Relation // of Describe
}

// What an old row may be.
const (
	OldKey  = 'K' // of the replica identity's columns; the others are NULL
	OldFull = 'O' // of all columns
	newRow  = 'N'
)

// Relation is a table as a message has it.
type Relation struct {
	OID             uint32
	Namespace, Name string
	Identity        byte // pg_class.relreplident
	Columns         []Column
}

// Column is a column of a Relation, in the order of its rows' values.
type Column struct {
	Name string
	Key  bool // of the replica identity
	Type uint32
	Mod  int32
}

// epochMicros is PostgreSQL's epoch, 2000-01-01.
const epochMicros = 946684800 * 1000000

// Time returns when the transaction was committed.
func (m *Message) Time() time.Time { return time.UnixMicro(m.Committed).UTC() }

// Parse reads one message. The error is ErrMalformed.
func (m *Message) Parse(p []byte) error {
	if len(p) == 0 {
		return ErrMalformed
	}
	*m = Message{Kind: Kind(p[0]), Truncated: m.Truncated[:0]}
	r := reader{p: p[1:]}
	switch m.Kind {
	case Begin:
		m.LSN, m.Committed = r.uint64(), int64(r.uint64())+epochMicros
		m.XID = r.uint32()
	case Commit:
		r.uint8()
		m.LSN, m.End, m.Committed = r.uint64(), r.uint64(), int64(r.uint64())+epochMicros
	case Describe:
		m.Described = r.relation()
	case Insert:
		m.Relation = r.uint32()
		if r.uint8() != newRow {
			return ErrMalformed
		}
		m.NewRow = r.lastRow()
	case Update, Delete:
		m.Relation = r.uint32()
		m.Old = r.uint8()
		switch {
		case m.Old == newRow && m.Kind == Update:
			m.Old, m.NewRow = 0, r.lastRow()
		case m.Old != OldKey && m.Old != OldFull:
			return ErrMalformed
		case m.Kind == Delete:
			m.OldRow = r.lastRow()
		default:
			if m.OldRow = r.row(); r.uint8() != newRow {
				return ErrMalformed
			}
			m.NewRow = r.lastRow()
		}
	case Truncate:
		n := int(r.uint32())
		r.uint8()
		if n > len(r.p)/4 {
			return ErrMalformed
		}
		for range n {
			m.Truncated = append(m.Truncated, r.uint32())
		}
	case Type, Origin, Logical:
		return nil
	default:
		return ErrMalformed
	}
	if r.failed || len(r.p) > 0 {
		return ErrMalformed
	}
	return nil
}

// reader takes a message apart. After the first byte that is missing it returns
// zeros, and failed is set.
type reader struct {
	p      []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.p) {
		r.failed, r.p = true, nil
		return nil
	}
	v := r.p[:n:n]
	r.p = r.p[n:]
	return v
}

func (r *reader) uint8() byte {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if v := r.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if v := r.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if v := r.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func (r *reader) text() string {
	at := bytes.IndexByte(r.p, 0)
	if at < 0 {
		r.failed, r.p = true, nil
		return ""
	}
	v := string(r.p[:at])
	r.p = r.p[at+1:]
	return v
}

func (r *reader) relation() *Relation {
	d := &Relation{OID: r.uint32(), Namespace: r.text(), Name: r.text(), Identity: r.uint8()}
	if d.Namespace == "" {
		d.Namespace = "pg_catalog"
	}
	n := int(r.uint16())
	for range n {
		if r.failed {
			break
		}
		d.Columns = append(d.Columns, Column{Key: r.uint8()&1 != 0, Name: r.text(), Type: r.uint32(), Mod: int32(r.uint32())})
	}
	return d
}

// lastRow takes a row that nothing follows. Its values are looked at by Row.Next.
func (r *reader) lastRow() Row {
	row := Row{left: int(r.uint16()), rest: r.p}
	r.p = nil
	return row
}

// row takes a row that something follows.
func (r *reader) row() Row {
	n := int(r.uint16())
	start := r.p
	for range n {
		if k := r.uint8(); k == Text || k == Binary {
			r.take(int(int32(r.uint32())))
		} else if k != Null && k != Unchanged {
			r.failed = true
		}
		if r.failed {
			return Row{}
		}
	}
	return Row{left: n, rest: start[:len(start)-len(r.p)]}
}
