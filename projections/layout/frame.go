package layout

import (
	"encoding/binary"
	"fmt"
)

// frame joins two parts of a value: the head, which code reads, and the
// document.
func frame(head, doc []byte) []byte {
	return append(appendHead(make([]byte, 0, len(head)+len(doc)+3), head), doc...)
}

// appendHead appends the head of a framed value; the document follows.
func appendHead(b, head []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(head))), head...)
}

// headSize is the number of bytes that the length of most heads takes.
const headSize = 2

// headFrom turns b[begin+headSize:] into the head of a framed value that begins
// at begin.
func headFrom(b []byte, begin int) []byte {
	head := len(b) - begin - headSize
	var size [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(size[:], uint64(head))
	for len(b) < begin+n+head {
		b = append(b, 0)
	}
	copy(b[begin+n:], b[begin+headSize:begin+headSize+head])
	copy(b[begin:], size[:n])
	return b[:begin+n+head]
}

// Unframe splits a framed value, or returns ErrDamaged. The parts alias v.
func Unframe(v []byte) (head, doc []byte, err error) {
	n, size := binary.Uvarint(v)
	if size <= 0 || uint64(len(v)-size) < n {
		return nil, nil, fmt.Errorf("%w: value without frame", ErrDamaged)
	}
	return v[size : size+int(n)], v[size+int(n):], nil
}

// WithArray returns doc, a JSON object with at least one field, with one more
// field that holds the elements. It returns ErrDamaged for an empty doc, or the
// error of elements.
func WithArray(doc []byte, name string, elements func(add func(element []byte)) error) ([]byte, error) {
	if len(doc) == 0 {
		return nil, fmt.Errorf("%w: empty document", ErrDamaged)
	}
	o := &Object{append(make([]byte, 0, len(doc)+1024), doc[:len(doc)-1]...)}
	o.field(name)
	o.b = append(o.b, '[')
	first := true
	err := elements(func(element []byte) {
		if !first {
			o.b = append(o.b, ',')
		}
		first = false
		o.b = append(o.b, element...)
	})
	o.b = append(o.b, ']')
	return o.End(), err
}
