// Package mergekeys tells rows of a table apart by their key columns: it makes keys of
// the values, and says which files cannot hold one.
package mergekeys

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"

	"headwater/connectors/driver"
	"headwater/handlers/landing/keys"
)

// Key stands for the values of a row's key columns. Keys of fixed width that
// fit are the values themselves. Others are the first half of their SHA-256:
// no two different ones are known that share it, and none can be made up.
type Key [16]byte

// Mixed spreads keys evenly, whatever they are made of. Keys that differ may
// have the same.
func (k Key) Mixed() uint64 {
	h := binary.LittleEndian.Uint64(k[:8]) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(k[8:])*0x9e3779b97f4a7c15, 32)
	h = (h ^ h>>32) * 0xff51afd7ed558ccd
	return h ^ h>>29
}

// Sieve is a filter in front of a set of keys: it rejects most keys that are not in the
// set. Lookups in a large map would cost most of a merge. It may be read concurrently.
type Sieve []uint64

// NewSieve returns an empty sieve for so many keys.
func NewSieve(keys int64) Sieve { return make(Sieve, 1<<bits.Len64(uint64(keys)/4)) }

// Add puts a mixed key in.
func (s Sieve) Add(mixed uint64) { s[mixed>>6&uint64(len(s)-1)] |= 1 << (mixed & 63) }

// MayHave reports whether a mixed key may have been put in.
func (s Sieve) MayHave(mixed uint64) bool {
	return s[mixed>>6&uint64(len(s)-1)]&(1<<(mixed&63)) != 0
}

// Columns make the keys of rows.
type Columns struct {
	Fields []iceberg.NestedField
	forms  []func(string) string // of text, nil where equal bytes are equal
	// Alike are as forms, and take all for equal that the source may take for
	// equal. It is nil where forms say exactly what the source does.
	Alike []func(string) string
	exact bool
	Lacks int // the column that may hold NULL in a key, -1 for none
	// Compared says how each column's values are.
	Compared []driver.Equality
	Narrow   bool // keys are exact, and their second half is zero
}

// Of returns how keys of the named columns of a table are made. It returns
// ErrBadKey for a column that is not in the schema, or, of a merge, whose source
// compares its values in a way that is not known.
func Of(schema *iceberg.Schema, t driver.Table, names []string, merges bool) (*Columns, error) {
	k := &Columns{Lacks: -1}
	width := 0
	for _, name := range names {
		field, ok := schema.FindFieldByName(name)
		if !ok {
			return nil, fmt.Errorf("%w: column %q is not in the table", keys.ErrBadKey, name)
		}
		column, _ := t.Column(name)
		form, err := keys.Canonical(name, column.Equality)
		if err != nil && merges {
			return nil, err
		}
		k.Fields, k.forms, k.Compared = append(k.Fields, field), append(k.forms, form), append(k.Compared, column.Equality)
		if merges && column.Equality == driver.EqualCollated && k.Alike == nil {
			k.Alike = make([]func(string) string, len(names))
		}
		switch t := field.Type.(type) {
		case iceberg.StringType, iceberg.BinaryType:
			width += 17
		case iceberg.UUIDType:
			width += 16
		case iceberg.DecimalType:
			if width += 8; t.Precision() > 18 {
				width += 8
			}
		default:
			width += 8
		}
	}
	k.exact, k.Narrow = width <= len(Key{}), width <= len(Key{})/2
	if k.Alike != nil {
		for i, name := range names {
			k.Alike[i] = k.forms[i]
			if column, _ := t.Column(name); column.Equality == driver.EqualCollated {
				k.Alike[i] = keys.Resembling
			}
		}
	}
	return k, nil
}

// MayLack has NULL in a column be a value like others. It is called before Keys.
func (k *Columns) MayLack(column string) {
	for i, field := range k.Fields {
		if field.Name == column && !field.Required {
			k.Lacks, k.exact = i, false
		}
	}
}

// AsLanded returns the columns whose equal values have equal bytes.
func (k *Columns) AsLanded() (fields []iceberg.NestedField) {
	for i, field := range k.Fields {
		if k.forms[i] == nil && i != k.Lacks {
			fields = append(fields, field)
		}
	}
	return fields
}

// Keys returns how to make the keys of a batch. The int is the column that holds
// NULL in that row, -1 for none: then it has no key.
func (k *Columns) Keys(columns []arrow.Array) func(row int) (Key, int) {
	return k.by(k.forms, columns)
}

// Group is Keys for what keys share that the source may take for equal: two keys that it
// may take for equal have the same. Where none can be it is the key itself.
func (k *Columns) Group(columns []arrow.Array) func(row int) (Key, int) {
	if k.Alike == nil {
		return k.by(k.forms, columns)
	}
	return k.by(k.Alike, columns)
}

func (k *Columns) by(forms []func(string) string, columns []arrow.Array) func(row int) (Key, int) {
	of := make([]keys.Column, len(columns))
	for i := range columns {
		d, ok := k.Fields[i].Type.(iceberg.DecimalType)
		of[i] = keys.Column{Form: forms[i], Short: ok && d.Precision() <= 18}
	}
	make := keys.Of(of, k.exact, k.Lacks, columns)
	return func(row int) (Key, int) {
		made, null := make(row)
		return Key(made), null
	}
}
