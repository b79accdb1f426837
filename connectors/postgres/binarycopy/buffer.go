package binarycopy

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
	"headwater/connectors/reuse"
)

// column gathers the values of one column for a batch in the layout of Arrow.
// Arrow's own builders ask for room, count and mark validity at every value.
type column struct {
	name     string
	how      Decoding
	nullable bool
	decimal  driver.Type
	arrow    arrow.DataType

	width   int    // bytes of a value, 0 for booleans and for bytes of any length
	fixed   []byte // values of a width, or the bits of booleans
	bytes   []byte // values of any length, one behind the other
	offsets []byte // where in bytes each value begins and the last ends, as int32
	valid   []byte // bits, nil while there is no NULL
	nulls   int
	before  int  // length of bytes in the batch before, which the next will be like
	reuses  bool // a batch that is released gives up what holds its values

	nulled int64  // values that became NULL, in the whole read
	first  string // the row of the first of them
}

// lost counts a value that became NULL. place tells its row, for people.
func (c *column) lost(place func() string) {
	if c.nulled++; c.nulled == 1 {
		c.first = place()
	}
}

// widths of the values of each decoding, in Arrow's layout.
var widths = [...]int{
	AsInt2: 4, AsInt4: 4, AsInt8: 8, AsFloat4: 4, AsFloat8: 8, AsNumeric: 16, AsDate: 4, AsTime: 8, AsTimestamp: 8, AsUUID: 16, AsJSONB: 0, AsChar: 0,
}

func (c *column) variable() bool {
	return c.how == AsText || c.how == AsBytea || c.how == AsJSONB || c.how == AsChar
}

// reserve makes room for rows in all, of which so many are there.
func (c *column) reserve(have, rows int) {
	switch {
	case c.variable():
		if have == 0 {
			c.bytes = c.room(c.before + c.before/16 + 64)[:0]
		}
		c.offsets = c.grow(c.offsets, 4*(rows+1))
		if have == 0 {
			binary.NativeEndian.PutUint32(c.offsets, 0)
		}
	case c.how == AsBool:
		from := len(c.fixed)
		c.fixed = c.grow(c.fixed, (rows+7)/8)
		clear(c.fixed[from:])
	default:
		c.fixed = c.grow(c.fixed, rows*c.width)
	}
	if c.valid != nil {
		from := len(c.valid)
		c.valid = c.grow(c.valid, (rows+7)/8)
		setAll(c.valid[from:])
	}
}

// room returns so many bytes, which mean nothing.
func (c *column) room(size int) []byte {
	if c.reuses {
		return reuse.Take[byte](size)
	}
	return make([]byte, size)
}

// grow returns so many bytes that begin with b, which it takes over.
func (c *column) grow(b []byte, size int) []byte {
	to := c.room(size)
	copy(to, b)
	if c.reuses {
		reuse.GiveUp(b)
	}
	return to
}

// add appends to the bytes.
func (c *column) add(v []byte) {
	if need := len(c.bytes) + len(v); need > cap(c.bytes) {
		c.bytes = c.grow(c.bytes, max(need, min(2*cap(c.bytes), cap(c.bytes)+batchBytes)))[:len(c.bytes)]
	}
	c.bytes = append(c.bytes, v...)
}

func setAll(b []byte) {
	for i := range b {
		b[i] = 0xff
	}
}

// setNull marks a row; rows is how many there is room for.
func (c *column) setNull(row, rows int) {
	if c.valid == nil {
		c.valid = c.room((rows + 7) / 8)
		setAll(c.valid)
	}
	c.valid[row>>3] &^= 1 << (row & 7)
	c.nulls++
	switch {
	case c.variable():
		c.endBytes(row)
	case c.how != AsBool:
		clear(c.fixed[row*c.width : (row+1)*c.width]) // of an earlier batch
	}
}

// endBytes notes that the value of row ends where bytes ends.
func (c *column) endBytes(row int) {
	binary.NativeEndian.PutUint32(c.offsets[4*row+4:], uint32(len(c.bytes)))
}

// array hands the values over and starts anew.
func (c *column) array(rows int, l *lease) arrow.Array {
	buffers := make([]*memory.Buffer, 2, 3)
	if c.nulls > 0 {
		buffers[0] = c.buffer(c.valid[:(rows+7)/8])
	}
	switch {
	case c.variable():
		if cap(c.bytes) > 2*len(c.bytes)+1024 { // not what a longer batch before has asked for
			c.bytes = c.grow(c.bytes, len(c.bytes))
		}
		buffers[1] = c.buffer(c.offsets[:4*(rows+1)])
		if l != nil && len(c.bytes) >= LongSize/64 {
			buffers = append(buffers, l.buffer(c.bytes))
		} else {
			buffers = append(buffers, c.buffer(c.bytes))
		}
	case c.how == AsBool:
		buffers[1] = c.buffer(c.fixed[:(rows+7)/8])
	default:
		buffers[1] = c.buffer(c.fixed[:rows*c.width])
	}
	data := array.NewData(c.arrow, rows, buffers, nil, c.nulls, 0)
	defer data.Release()
	for _, b := range buffers {
		if b != nil {
			b.Release() // the data has its own hold
		}
	}
	c.before = min(len(c.bytes), batchBytes)
	c.fixed, c.bytes, c.offsets, c.valid, c.nulls = nil, nil, nil, nil, 0
	return array.MakeFromData(data)
}

// buffer returns an Arrow buffer of b.
func (c *column) buffer(b []byte) *memory.Buffer {
	if c.reuses {
		return reuse.Buffer(b)
	}
	return memory.NewBufferBytes(b)
}
