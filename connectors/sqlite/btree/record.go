package btree

import (
	"encoding/binary"
	"errors"
	"math"
)

// ErrDamaged reports bytes that break SQLite's file format.
var ErrDamaged = errors.New("the file breaks the format of SQLite databases")

// varint reads one of SQLite's integers of 1 to 9 bytes, big-endian, seven bits
// a byte and eight of the ninth. It returns its length, 0 when b ends before it.
func varint(b []byte) (uint64, int) {
	var x uint64
	for i := 0; i < len(b) && i < 9; i++ {
		if i == 8 {
			return x<<8 | uint64(b[i]), 9
		}
		x = x<<7 | uint64(b[i]&0x7f)
		if b[i] < 0x80 {
			return x, i + 1
		}
	}
	return 0, 0
}

// DecodeRecord decodes one record: a header of serial types, then the values. It puts
// the value of stored column i at row[target[i]], unless that is negative, and
// returns how many columns the record holds, which is less than len(target) for
// rows older than a column. The values share the record's memory.
func DecodeRecord(payload []byte, target []int, row []Value) (int, error) {
	size, at := varint(payload)
	if at == 0 || size < uint64(at) || size > uint64(len(payload)) {
		return 0, ErrDamaged
	}
	header, body := payload[:size], payload[size:]
	column := 0
	for ; at < len(header) && column < len(target); column++ {
		serial := uint64(header[at])
		if serial < 0x80 {
			at++
		} else {
			n := 0
			if serial, n = varint(header[at:]); n == 0 {
				return column, ErrDamaged
			}
			at += n
		}
		length := widthOf(serial)
		if length > uint64(len(body)) {
			return column, ErrDamaged
		}
		if to := target[column]; to >= 0 {
			if err := decode(&row[to], serial, body[:length]); err != nil {
				return column, err
			}
		}
		body = body[length:]
	}
	return column, nil
}

// widths are the lengths of the values of the serial types that are no text or
// blob.
var widths = [12]uint64{0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0}

func widthOf(serial uint64) uint64 {
	if serial < 12 {
		return widths[serial]
	}
	return (serial - 12) / 2
}

// decode reads a value of a serial type out of b, which has its length.
func decode(v *Value, serial uint64, b []byte) error {
	switch serial {
	case 0:
		*v = Value{}
	case 1:
		v.Class, v.Int = Integer, int64(int8(b[0]))
	case 2:
		v.Class, v.Int = Integer, int64(int16(binary.BigEndian.Uint16(b)))
	case 3:
		v.Class, v.Int = Integer, int64(int8(b[0]))<<16|int64(binary.BigEndian.Uint16(b[1:]))
	case 4:
		v.Class, v.Int = Integer, int64(int32(binary.BigEndian.Uint32(b)))
	case 5:
		v.Class, v.Int = Integer, int64(int16(binary.BigEndian.Uint16(b)))<<32|int64(binary.BigEndian.Uint32(b[2:]))
	case 6:
		v.Class, v.Int = Integer, int64(binary.BigEndian.Uint64(b))
	case 7:
		v.Class, v.Float = Real, math.Float64frombits(binary.BigEndian.Uint64(b))
		if math.IsNaN(v.Float) { // SQLite has none: it reads one as NULL
			*v = Value{}
		}
	case 8, 9:
		v.Class, v.Int = Integer, int64(serial-8)
	case 10, 11:
		return ErrDamaged
	default:
		v.Class, v.Bytes = Blob-Class(serial&1), b
	}
	return nil
}
