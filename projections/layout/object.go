package layout

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Object writes a JSON object field by field. Documents are written once, when
// an event is applied, and then read many times.
type Object struct{ b []byte }

// NewObject begins an object with that capacity in bytes.
func NewObject(size int) *Object { return &Object{append(make([]byte, 0, size), '{')} }

// objectIn begins an object at the end of b.
func objectIn(b []byte) Object { return Object{append(b, '{')} }

func (o *Object) field(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

// Extend continues a finished object in its own memory. If others read doc, pass
// a copy.
func Extend(doc []byte) *Object { return &Object{doc[:len(doc)-1]} }

// Text writes a string.
func (o *Object) Text(name, v string) { o.field(name); o.b = quote(o.b, v) }

// TextOrNull writes a string, or null for "".
func (o *Object) TextOrNull(name, v string) {
	if o.field(name); v == "" {
		o.b = append(o.b, "null"...)
		return
	}
	o.b = quote(o.b, v)
}

// Number writes an integer.
func (o *Object) Number(name string, v int64) { o.field(name); o.b = strconv.AppendInt(o.b, v, 10) }

func (o *Object) truth(name string, v bool) { o.field(name); o.b = strconv.AppendBool(o.b, v) }

// Time writes a time in UTC, to the nanosecond.
func (o *Object) Time(name string, v time.Time) {
	o.field(name)
	o.b = append(o.b, '"')
	o.b = v.UTC().AppendFormat(o.b, time.RFC3339Nano)
	o.b = append(o.b, '"')
}

// TimeOrNull writes a time, or null for nil.
func (o *Object) TimeOrNull(name string, v *time.Time) {
	if v == nil {
		o.Raw(name, nil)
		return
	}
	o.Time(name, *v)
}

// Raw writes JSON unchanged, or null if v is empty.
func (o *Object) Raw(name string, v []byte) {
	if o.field(name); len(v) == 0 {
		v = []byte("null")
	}
	o.b = append(o.b, v...)
}

func (o *Object) failure(name string, f *Failure) {
	if f == nil {
		o.Raw(name, nil)
		return
	}
	o.open(name)
	o.Text("reason", string(f.Reason))
	o.Text("message", f.Message)
	o.close()
}

// End closes the object and returns it, after the bytes it was appended to.
func (o *Object) End() []byte { return append(o.b, '}') }

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

// Fraction writes n/total as a number from 0 to 1 with three digits, or null if
// total is nil. Only a finished item is 1.
func (o *Object) Fraction(name string, n int64, total *int64, done bool) {
	if o.field(name); done {
		o.b = append(o.b, '1')
		return
	}
	if total == nil || *total <= 0 {
		o.b = append(o.b, "null"...)
		return
	}
	f := math.Floor(float64(n)/float64(*total)*1000) / 1000
	o.b = strconv.AppendFloat(o.b, min(f, 0.999), 'f', -1, 64)
}

// Remaining writes the remaining time at that rate in seconds, or null if it is
// unknown.
func (o *Object) Remaining(name string, n int64, total *int64, rate int64, running bool) {
	if !running || total == nil || rate <= 0 || *total < n {
		o.Raw(name, nil)
		return
	}
	o.Number(name, (*total-n+rate-1)/rate)
}

// NumberOrNull writes an integer, or null for nil.
func (o *Object) NumberOrNull(name string, v *int64) {
	if v == nil {
		o.Raw(name, nil)
		return
	}
	o.Number(name, *v)
}
