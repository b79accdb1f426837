package projections

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// object writes one JSON object field by field. Documents are written once,
// when an event is applied, and read many times as they are.
type object struct{ b []byte }

func newObject(size int) *object { return &object{append(make([]byte, 0, size), '{')} }

// objectIn begins an object behind b.
func objectIn(b []byte) object { return object{append(b, '{')} }

func (o *object) field(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) text(name, v string) { o.field(name); o.b = quote(o.b, v) }

// textOrNull writes null for "".
func (o *object) textOrNull(name, v string) {
	if o.field(name); v == "" {
		o.b = append(o.b, "null"...)
		return
	}
	o.b = quote(o.b, v)
}

func (o *object) number(name string, v int64) { o.field(name); o.b = strconv.AppendInt(o.b, v, 10) }

func (o *object) truth(name string, v bool) { o.field(name); o.b = strconv.AppendBool(o.b, v) }

func (o *object) time(name string, v time.Time) {
	o.field(name)
	o.b = append(o.b, '"')
	o.b = v.UTC().AppendFormat(o.b, time.RFC3339Nano)
	o.b = append(o.b, '"')
}

func (o *object) timeOrNull(name string, v *time.Time) {
	if v == nil {
		o.raw(name, nil)
		return
	}
	o.time(name, *v)
}

// raw writes JSON as it is, null for nothing.
func (o *object) raw(name string, v []byte) {
	if o.field(name); len(v) == 0 {
		v = []byte("null")
	}
	o.b = append(o.b, v...)
}

func (o *object) failure(name string, f *Failure) {
	if f == nil {
		o.raw(name, nil)
		return
	}
	o.open(name)
	o.text("reason", string(f.Reason))
	o.text("message", f.Message)
	o.close()
}

func (o *object) end() []byte { return append(o.b, '}') }

// quote appends a JSON string. Most texts need no escape.
func quote(b []byte, v string) []byte {
	for i := 0; i < len(v); i++ {
		if c := v[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			escaped, err := json.Marshal(v)
			if err != nil { // a string always marshals
				return append(b, `""`...)
			}
			return append(b, escaped...)
		}
	}
	b = append(b, '"')
	b = append(b, v...)
	return append(b, '"')
}

// compact returns JSON without white space, fallback for nothing.
func compact(raw json.RawMessage, fallback string) (json.RawMessage, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return json.RawMessage(fallback), nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// frame joins two parts of one value: what the code needs, and the document.
func frame(head, doc []byte) []byte {
	return append(appendHead(make([]byte, 0, len(head)+len(doc)+3), head), doc...)
}

// appendHead appends the first part of a framed value; the document goes behind it.
func appendHead(b, head []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(head))), head...)
}

// headSize is how many bytes the length of most heads takes.
const headSize = 2

// headFrom frames what lies behind b[begin+headSize:] as the first part of a value
// that begins at begin.
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

// unframe splits what frame joined. The parts point into v.
func unframe(v []byte) (head, doc []byte, err error) {
	n, size := binary.Uvarint(v)
	if size <= 0 || uint64(len(v)-size) < n {
		return nil, nil, fmt.Errorf("%w: value without frame", ErrDamaged)
	}
	return v[size : size+int(n)], v[size+int(n):], nil
}

// withArray returns doc, a JSON object with at least one field, with one more
// field that holds the elements.
func withArray(doc []byte, name string, elements func(add func(element []byte)) error) ([]byte, error) {
	if len(doc) == 0 {
		return nil, fmt.Errorf("%w: empty document", ErrDamaged)
	}
	o := &object{append(make([]byte, 0, len(doc)+1024), doc[:len(doc)-1]...)}
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
	return o.end(), err
}
