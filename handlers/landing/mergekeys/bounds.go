package mergekeys

import (
	"bytes"
	"cmp"
	"encoding/binary"

	"github.com/apache/iceberg-go"
)

// Spans are the least and greatest value of some columns, in Iceberg's binary
// form; a column without them may hold anything.
type Spans struct{ lower, upper map[int][]byte }

// SpansOf returns what the rows of all files lie between.
func SpansOf(files []iceberg.DataFile, fields []iceberg.NestedField) Spans {
	all := Spans{map[int][]byte{}, map[int][]byte{}}
	for _, field := range fields {
		for i, f := range files {
			lower, upper := f.LowerBoundValues()[field.ID], f.UpperBoundValues()[field.ID]
			if lower == nil || upper == nil {
				delete(all.lower, field.ID)
				delete(all.upper, field.ID)
				break
			}
			if order, ok := compareBounds(field.Type, lower, all.lower[field.ID]); i == 0 || ok && order < 0 {
				all.lower[field.ID] = lower
			}
			if order, ok := compareBounds(field.Type, upper, all.upper[field.ID]); i == 0 || ok && order > 0 {
				all.upper[field.ID] = upper
			}
		}
	}
	return all
}

// Apart reports whether no row of the file can have the key of a row in the spans. False
// proves nothing.
func (s Spans) Apart(f iceberg.DataFile, fields []iceberg.NestedField) bool {
	for _, field := range fields {
		lower, upper := f.LowerBoundValues()[field.ID], f.UpperBoundValues()[field.ID]
		if order, ok := compareBounds(field.Type, lower, s.upper[field.ID]); ok && order > 0 {
			return true
		}
		if order, ok := compareBounds(field.Type, upper, s.lower[field.ID]); ok && order < 0 {
			return true
		}
	}
	return false
}

// compareBounds orders two bounds of a type. It does not know all types.
func compareBounds(t iceberg.Type, a, b []byte) (order int, ok bool) {
	if a == nil || b == nil {
		return 0, false
	}
	switch t.(type) {
	case iceberg.Int32Type, iceberg.Int64Type, iceberg.DateType, iceberg.TimeType, iceberg.TimestampType, iceberg.TimestampTzType:
		x, ok := integer(a)
		y, ok2 := integer(b)
		return cmp.Compare(x, y), ok && ok2
	case iceberg.StringType, iceberg.BinaryType, iceberg.UUIDType:
		return bytes.Compare(a, b), true
	}
	return 0, false
}

// integer reads a bound that was written when the column had 4 bytes, or 8.
func integer(b []byte) (int64, bool) {
	switch len(b) {
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b))), true
	case 8:
		return int64(binary.LittleEndian.Uint64(b)), true
	}
	return 0, false
}
