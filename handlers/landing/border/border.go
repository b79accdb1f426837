// Package border tells rows that have landed from new ones where a read begins
// at the place that the one before came to: rows may share a cursor value, or
// have none, or one that lies beyond now. They are told apart by their content,
// of which the state of a table holds the hashes.
package border

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"

	"headwater/connectors/driver"
	"headwater/handlers/landing/content"
)

// Limits of what is noted.
const (
	// MaxRows is how many rows a Set holds; beyond it the Set is Full.
	MaxRows = 4096
	// MaxNulls is how many rows without a cursor value are read again each time.
	MaxNulls = 100_000
)

// Border is what has landed of the rows that the next read will show again:
// those at its Value or behind it, and those without a cursor value.
type Border struct {
	Of    string  `json:"of"`              // the columns that the hashes are of
	Value *string `json:"value,omitempty"` // in the form of driver.FormatCursor; nil before the first row
	// Last is the largest value that landed. It lies behind Value where rows do
	// whose values are no place to go on from.
	Last     *string `json:"last,omitempty"`
	Rows     Set     `json:"rows,omitzero"`
	Nulls    Set     `json:"nulls,omitzero"`
	NullRows int64   `json:"null_rows,omitempty"` // how many were seen
	// Beyond is the row of the largest value that lies more than a day beyond the
	// moment of the read, nil where none does.
	Beyond *Row `json:"beyond,omitempty"`
}

// Row names one row for people.
type Row struct {
	Value string `json:"value"`         // of the cursor column
	Key   string `json:"key,omitempty"` // columns of the primary key with their values
}

// Set is rows by their hashes, each as often as it is there. A Full one holds
// none: there are more than MaxRows, or nobody knows them.
type Set struct {
	Hashes []byte `json:"hashes,omitempty"`
	Full   bool   `json:"full,omitempty"`
}

// IsZero lets an empty Set be left out of JSON.
func (s Set) IsZero() bool { return !s.Full && len(s.Hashes) == 0 }

// hash is the first 96 bits of the XXH3 of a row's content: two different rows
// of a border share it once in 10^20 tables.
type hash [12]byte

// hashesOf returns how to make the hashes of a batch's rows: often it is asked
// for none or for one.
func hashesOf(rec arrow.RecordBatch) func(row int) hash {
	var rows *content.Rows
	return func(row int) hash {
		if rows == nil {
			rows = content.RowsOf(rec.Columns())
		}
		whole := rows.Hash(row)
		return hash(whole[:len(hash{})])
	}
}

func (s *Set) add(h hash) {
	if s.Full {
		return
	}
	if len(s.Hashes) >= MaxRows*len(h) {
		*s = Set{Full: true}
		return
	}
	s.Hashes = append(s.Hashes, h[:]...)
}

// counted returns how often each row is in the Set.
func (s Set) counted() map[hash]int {
	all := make(map[hash]int, len(s.Hashes)/len(hash{}))
	for b := s.Hashes; len(b) >= len(hash{}); b = b[len(hash{}):] {
		all[hash(b[:len(hash{})])]++
	}
	return all
}

// join adds the rows of another Set.
func (s *Set) join(other Set) {
	if s.Full || other.Full || len(s.Hashes)+len(other.Hashes) > MaxRows*len(hash{}) {
		*s = Set{Full: true}
		return
	}
	s.Hashes = append(s.Hashes[:len(s.Hashes):len(s.Hashes)], other.Hashes...)
}

// Unknown is the border of a table that has come to a cursor value, and of which
// it is not known which rows have landed there.
func Unknown(value *string) *Border {
	return &Border{Value: value, Last: value, Rows: Set{Full: true}, Nulls: Set{Full: true}}
}

// Of names the columns of a table and their types: hashes of rows mean the same
// only where it is the same.
func Of(t driver.Table) string {
	h := sha256.New()
	for _, c := range t.Columns {
		for _, text := range []string{c.Name, c.Type.String()} {
			h.Write(binary.AppendUvarint(nil, uint64(len(text))))
			h.Write([]byte(text))
		}
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}

// Join returns the border of several reads that together are one, which goes on
// at value. A nil one is of a read of which nothing is known.
func Join(typ driver.Type, value *string, of []*Border) (*Border, error) {
	all := &Border{Value: value}
	for _, b := range of {
		if b == nil || all.Of != "" && all.Of != b.Of {
			return Unknown(value), nil
		}
		all.Of = b.Of
		all.NullRows += b.NullRows
		all.Nulls.join(b.Nulls)
		var err error
		if all.Last, err = larger(typ, all.Last, b.Last); err != nil {
			return nil, err
		}
		if b.Beyond != nil && (all.Beyond == nil || b.Beyond.Value > all.Beyond.Value) { // of times, whose text has their order
			all.Beyond = b.Beyond
		}
		// Rows of a read that ended before value are not shown again.
		behind, err := atOrBehind(typ, b.Last, value)
		if err != nil {
			return nil, err
		}
		if !behind {
			continue
		}
		if known, err := atOrBehind(typ, value, b.Value); err != nil {
			return nil, err
		} else if !known {
			all.Rows = Set{Full: true}
		}
		all.Rows.join(b.Rows)
	}
	return all, nil
}

// larger returns the larger of two values, of which nil is the smallest.
func larger(typ driver.Type, a, b *string) (*string, error) {
	if a == nil || b == nil {
		if a == nil {
			a = b
		}
		return a, nil
	}
	order, err := driver.CompareCursors(typ, *a, *b)
	if order < 0 {
		a = b
	}
	return a, err
}

// atOrBehind reports whether a value, of which nil is the smallest, is at
// another or behind it.
func atOrBehind(typ driver.Type, a, b *string) (bool, error) {
	if a == nil || b == nil {
		return b == nil, nil
	}
	order, err := driver.CompareCursors(typ, *a, *b)
	return order >= 0, err
}
