// Package lenenc reads length-encoded integers and strings, the form in which packets
// and the binary log have most of their lengths.
package lenenc

// Null is the first byte of a NULL where a string is expected.
const Null = 0xfb

// Int reads an integer and returns what lies behind it. It reports false for NULL, the
// header of an error and an integer that is cut off.
func Int(p []byte) (n uint64, rest []byte, ok bool) {
	if len(p) == 0 {
		return 0, nil, false
	}
	size := 0
	switch c := p[0]; {
	case c < Null:
		return uint64(c), p[1:], true
	case c == 0xfc:
		size = 2
	case c == 0xfd:
		size = 3
	case c == 0xfe:
		size = 8
	}
	if size == 0 || len(p) <= size {
		return 0, nil, false
	}
	for i := size; i > 0; i-- {
		n = n<<8 | uint64(p[i])
	}
	return n, p[1+size:], true
}

// String reads a string, which lies in p, and returns what lies behind it. It reports
// false for NULL and for a string that is cut off.
func String(p []byte) (text, rest []byte, ok bool) {
	n, rest, ok := Int(p)
	if !ok || n > uint64(len(rest)) {
		return nil, nil, false
	}
	return rest[:n:n], rest[n:], true
}
