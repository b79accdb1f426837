package landing

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"

	"headwater/connectors/driver"
	"headwater/handlers/landing/keys"
)

// key stands for the values of a row's key columns. Keys of fixed width that
// fit are the values themselves. Others are the first half of their SHA-256:
// no two different ones are known that share it, and none can be made up.
type key [16]byte

// mixed spreads keys evenly, whatever they are made of. Keys that differ may
// have the same.
func (k key) mixed() uint64 {
	h := binary.LittleEndian.Uint64(k[:8]) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(k[8:])*0x9e3779b97f4a7c15, 32)
	h = (h ^ h>>32) * 0xff51afd7ed558ccd
	return h ^ h>>29
}

// sieve tells most keys that are not in a set apart without a look at the set:
// looks at a large map cost most of a merge.
type sieve []uint64

func newSieve(keys int64) sieve { return make(sieve, 1<<bits.Len64(uint64(keys)/4)) }

func (s sieve) add(mixed uint64) { s[mixed>>6&uint64(len(s)-1)] |= 1 << (mixed & 63) }

func (s sieve) mayHave(mixed uint64) bool {
	return s[mixed>>6&uint64(len(s)-1)]&(1<<(mixed&63)) != 0
}

// keyColumns make the keys of rows.
type keyColumns struct {
	fields []iceberg.NestedField
	forms  []func(string) string // of text, nil where equal bytes are equal
	// alike are as forms, and take all for equal that the source may take for
	// equal. It is nil where forms say exactly what the source does.
	alike []func(string) string
	exact bool
	lacks int // the column that may hold NULL in a key, -1 for none
	// compared says how each column's values are.
	compared []driver.Equality
	narrow   bool // keys are exact, and their second half is zero
}

// keyOf returns how keys of the named columns of a table are made. It returns
// ErrBadKey for a column that is not in the schema, or, of a merge, whose source
// compares its values in a way that is not known.
func keyOf(schema *iceberg.Schema, t driver.Table, names []string, merges bool) (*keyColumns, error) {
	k := &keyColumns{lacks: -1}
	width := 0
	for _, name := range names {
		field, ok := schema.FindFieldByName(name)
		if !ok {
			return nil, fmt.Errorf("%w: column %q is not in the table", ErrBadKey, name)
		}
		column, _ := t.Column(name)
		form, err := keys.Canonical(name, column.Equality)
		if err != nil && merges {
			return nil, err
		}
		k.fields, k.forms, k.compared = append(k.fields, field), append(k.forms, form), append(k.compared, column.Equality)
		if merges && column.Equality == driver.EqualCollated && k.alike == nil {
			k.alike = make([]func(string) string, len(names))
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
	k.exact, k.narrow = width <= len(key{}), width <= len(key{})/2
	if k.alike != nil {
		for i, name := range names {
			k.alike[i] = k.forms[i]
			if column, _ := t.Column(name); column.Equality == driver.EqualCollated {
				k.alike[i] = keys.Resembling
			}
		}
	}
	return k, nil
}

// mayLack says that a key may hold NULL in a column, which is a value like
// others.
func (k *keyColumns) mayLack(column string) {
	for i, field := range k.fields {
		if field.Name == column && !field.Required {
			k.lacks, k.exact = i, false
		}
	}
}

// asLanded returns the columns whose equal values have equal bytes.
func (k *keyColumns) asLanded() (fields []iceberg.NestedField) {
	for i, field := range k.fields {
		if k.forms[i] == nil && i != k.lacks {
			fields = append(fields, field)
		}
	}
	return fields
}

// of returns how to make the keys of a batch. The int is the column that holds
// NULL in that row, -1 for none: then it has no key.
func (k *keyColumns) of(columns []arrow.Array) func(row int) (key, int) {
	return k.by(k.forms, columns)
}

// group is as of, for what keys share that the source may take for one. Without
// such keys it is the key itself.
func (k *keyColumns) group(columns []arrow.Array) func(row int) (key, int) {
	if k.alike == nil {
		return k.by(k.forms, columns)
	}
	return k.by(k.alike, columns)
}

func (k *keyColumns) by(forms []func(string) string, columns []arrow.Array) func(row int) (key, int) {
	of := make([]keys.Column, len(columns))
	for i := range columns {
		d, ok := k.fields[i].Type.(iceberg.DecimalType)
		of[i] = keys.Column{Form: forms[i], Short: ok && d.Precision() <= 18}
	}
	make := keys.Of(of, k.exact, k.lacks, columns)
	return func(row int) (key, int) {
		made, null := make(row)
		return key(made), null
	}
}
