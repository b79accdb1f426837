package reading

import (
	"bytes"
	"testing"
)

// Of a long value a preview shows the beginning, and says how long it is.
func TestLongBytesAreShortened(t *testing.T) {
	if short, whole := beginning(bytes.Repeat([]byte{1}, 2<<20)); len(short.([]byte)) != 1<<20 || whole != 2<<20 {
		t.Errorf("bytes: %d of %d", len(short.([]byte)), whole)
	}
}
