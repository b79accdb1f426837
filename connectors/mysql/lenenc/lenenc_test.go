package lenenc

import (
	"bytes"
	"testing"
)

func TestInt(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		want uint64
		rest int
	}{
		{[]byte{0}, 0, 0}, {[]byte{0xfa, 7}, 0xfa, 1}, {[]byte{0xfc, 1, 2, 9}, 0x0201, 1},
		{[]byte{0xfd, 1, 2, 3}, 0x030201, 0}, {[]byte{0xfe, 1, 0, 0, 0, 0, 0, 0, 0x80}, 0x8000000000000001, 0},
	} {
		if n, rest, ok := Int(c.in); !ok || n != c.want || len(rest) != c.rest {
			t.Errorf("Int(%x) = %d, %d bytes, %t; want %d and %d bytes", c.in, n, len(rest), ok, c.want, c.rest)
		}
	}
	for _, bad := range [][]byte{nil, {Null}, {0xff, 1, 2}, {0xfc, 1}, {0xfd, 1, 2}, {0xfe, 1, 2, 3, 4, 5, 6, 7}} {
		if n, _, ok := Int(bad); ok {
			t.Errorf("Int(%x) = %d", bad, n)
		}
	}
}

// FuzzString reads a string back that was written, and takes none that is longer than
// what there is.
func FuzzString(f *testing.F) {
	f.Add([]byte("\x03abc."))
	f.Add([]byte("\xfc\x01\x00a"))
	f.Add([]byte("\xfe\xff\xff\xff\xff\xff\xff\xff\xffa"))
	f.Fuzz(func(t *testing.T, p []byte) {
		text, rest, ok := String(p)
		if ok && !bytes.HasSuffix(p, append(bytes.Clone(text), rest...)) {
			t.Errorf("String(%x) = %x, %x", p, text, rest)
		}
	})
}
