package parquet

import (
	"encoding/base64"
	"errors"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal"
	"github.com/apache/arrow-go/v18/parquet/variant"
	"github.com/google/uuid"
)

var errNoVariant = errors.New("a variant that is not valid")

// variant appends a variant as JSON: the metadata with the names of all its
// fields, the binary value, and what of it the writer has put into columns.
func (n *nested) variant(dst []byte, f *field) []byte {
	names := child(f, "metadata")
	if names == nil || names.kind != leafField || names.leaf.value.means != isBytes {
		n.fail(errNoVariant)
		n.skip(f)
		return dst
	}
	meta, err := variant.NewMetadata(n.raw(names.leaf))
	if err != nil {
		n.fail(errNoVariant)
	}
	dst, there := n.shredded(dst, meta, f)
	if !there {
		return append(dst, "null"...)
	}
	return dst
}

// child returns the field of a group that has the name, or nil.
func child(f *field, name string) *field {
	for _, c := range f.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (n *nested) fail(err error) {
	if n.err == nil {
		n.err = err
	}
}

// raw returns the next bytes of a leaf, nil where there are none.
func (n *nested) raw(l *leaf) (raw []byte) {
	if n.def(l.slot) == l.def {
		raw = n.values[l.slot].bytes.Value(n.at[l.slot])
	}
	n.at[l.slot]++
	return raw
}

// shredded appends the variant of a group's value and typed_value, of which an
// object may have both, and returns whether there is one.
func (n *nested) shredded(dst []byte, meta variant.Metadata, f *field) ([]byte, bool) {
	var raw []byte
	if c := child(f, "value"); c != nil && c.kind == leafField && c.leaf.value.means == isBytes {
		raw = n.raw(c.leaf)
	}
	typed := child(f, "typed_value")
	if typed != nil && n.def(typed.leaves[0].slot) < typed.def {
		n.skip(typed)
		typed = nil
	}
	switch {
	case typed == nil && raw == nil:
		return dst, false
	case typed == nil:
		return n.binary(dst, meta, raw), true
	case typed.kind == structField:
		return n.object(dst, meta, typed, raw), true
	case raw != nil:
		n.fail(errNoVariant)
	}
	switch typed.kind {
	case leafField:
		return n.typed(dst, typed.leaf), true
	case listField:
		return n.elements(dst, meta, typed), true
	}
	n.fail(errNoVariant)
	n.skip(typed)
	return dst, true
}

// typed appends a value that has a column of its own. Decimals are numbers, as
// they are in the JSON that variants are made of.
func (n *nested) typed(dst []byte, l *leaf) []byte {
	if l.value.means != isDecimal {
		return n.leaf(dst, l)
	}
	dst, err := l.value.words(dst, &n.values[l.slot], n.at[l.slot], true)
	n.at[l.slot]++
	if err != nil {
		n.fail(err)
	}
	return dst
}

func (n *nested) elements(dst []byte, meta variant.Metadata, list *field) []byte {
	if n.def(list.leaves[0].slot) < list.element {
		n.skip(list)
		return append(dst, "[]"...)
	}
	for open := byte('['); ; open = ',' {
		var there bool
		if dst, there = n.shredded(append(dst, open), meta, list.children[0]); !there {
			dst = append(dst, "null"...)
		}
		if !n.more(list) {
			return append(dst, ']')
		}
	}
}

// object appends an object: its fields that have columns, and the others in raw.
func (n *nested) object(dst []byte, meta variant.Metadata, f *field, raw []byte) []byte {
	dst = append(dst, '{')
	begin := len(dst)
	for _, c := range f.children {
		if c.kind != structField || n.def(c.leaves[0].slot) < c.def {
			n.skip(c)
			continue
		}
		before := len(dst)
		if before > begin {
			dst = append(dst, ',')
		}
		var there bool
		if dst, there = n.shredded(append(dst, n.keys[c]...), meta, c); !there {
			dst = dst[:before]
		}
	}
	if raw == nil {
		return append(dst, '}')
	}
	v, err := variant.NewWithMetadata(meta, raw)
	rest, ok := v.Value().(variant.ObjectValue)
	if err != nil || !ok {
		n.fail(errNoVariant)
		return append(dst, '}')
	}
	for key, value := range rest.Values() {
		if child(f, key) != nil { // in two places, of which none is the right one
			n.fail(errNoVariant)
		}
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = n.pair(dst, key, value)
	}
	return append(dst, '}')
}

// binary appends a variant that is in one piece.
func (n *nested) binary(dst []byte, meta variant.Metadata, raw []byte) []byte {
	v, err := variant.NewWithMetadata(meta, raw)
	if err != nil {
		n.fail(errNoVariant)
		return dst
	}
	return n.any(dst, v)
}

func (n *nested) pair(dst []byte, key string, v variant.Value) []byte {
	dst, err := appendQuoted(dst, []byte(key))
	if err != nil {
		n.fail(err)
	}
	return n.any(append(dst, ':'), v)
}

func (n *nested) any(dst []byte, v variant.Value) []byte {
	switch x := v.Value().(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, x)
	case int8:
		return strconv.AppendInt(dst, int64(x), 10)
	case int16:
		return strconv.AppendInt(dst, int64(x), 10)
	case int32:
		return strconv.AppendInt(dst, int64(x), 10)
	case int64:
		return strconv.AppendInt(dst, x, 10)
	case float32:
		return appendFloat(dst, float64(x), 32, true)
	case float64:
		return appendFloat(dst, x, 64, true)
	case variant.DecimalValue[decimal.Decimal32]:
		return appendDecimal(dst, big.NewInt(int64(x.Value.(decimal.Decimal32))), int(x.Scale))
	case variant.DecimalValue[decimal.Decimal64]:
		return appendDecimal(dst, big.NewInt(int64(x.Value.(decimal.Decimal64))), int(x.Scale))
	case variant.DecimalValue[decimal.Decimal128]:
		return appendDecimal(dst, x.Value.(decimal.Decimal128).BigInt(), int(x.Scale))
	case string:
		if !utf8.ValidString(x) {
			n.fail(errNoText)
		}
		dst, _ = appendQuoted(dst, []byte(x))
		return dst
	case []byte:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), x), '"')
	case uuid.UUID:
		return append(appendUUID(append(dst, '"'), x[:]), '"')
	case arrow.Date32:
		return append(appendDay(append(dst, '"'), time.Unix(int64(x)*86400, 0).UTC()), '"')
	case arrow.Time64:
		if x < 0 || x >= 86400e6 {
			n.fail(errNoClock)
		}
		return append(appendClock(append(dst, '"'), int64(x), 1e6), '"')
	case arrow.Timestamp:
		return append(appendVariantMoment(append(dst, '"'), int64(x), v.Type()), '"')
	case variant.ArrayValue:
		open := byte('[')
		for element := range x.Values() {
			dst = n.any(append(dst, open), element)
			open = ','
		}
		if x.Len() == 0 {
			dst = append(dst, '[')
		}
		return append(dst, ']')
	case variant.ObjectValue:
		open := byte('{')
		for key, value := range x.Values() {
			dst = n.pair(append(dst, open), key, value)
			open = ','
		}
		if x.NumElements() == 0 {
			dst = append(dst, '{')
		}
		return append(dst, '}')
	}
	n.fail(errNoVariant)
	return dst
}

func appendVariantMoment(dst []byte, n int64, t variant.Type) []byte {
	per := int64(1e6)
	if t == variant.TimestampNanos || t == variant.TimestampNanosNTZ {
		per = 1e9
	}
	seconds := floor(n, per)
	return appendMoment(dst, seconds, (n-seconds*per)*(1e9/per), t == variant.TimestampMicros || t == variant.TimestampNanos)
}
