package input

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"headwater/connectors/driver"
)

// FuzzEncodings decodes any bytes, in pieces, as every encoding: what comes is
// text or a typed error.
func FuzzEncodings(f *testing.F) {
	names := slices.Sorted(maps.Keys(tables))
	names = append(names, "utf-16le", "utf-16be")
	for i := range names {
		f.Add([]byte("a\x81\xff\x00\xd8\x3d\xde\x00"), i)
	}
	f.Fuzz(func(t *testing.T, content []byte, which int) {
		name := names[uint(which)%uint(len(names))]
		d, err := encodingOf(name)
		if err != nil {
			t.Fatal(err)
		}
		tr := &transcoder{r: iotest.HalfReader(bytes.NewReader(content)), path: "f", name: name, decode: d.utf16Text}
		if d.table != nil {
			tr.decode = (&tableText{decoder: d.table.NewDecoder()}).text
		}
		text, err := io.ReadAll(tr)
		var typed *driver.Error
		if err != nil && !errors.As(err, &typed) {
			t.Fatalf("%s: %q: %v", name, content, err)
		}
		if !utf8.Valid(text) || d.table != nil && bytes.Contains(text, []byte("\uFFFD")) {
			t.Fatalf("%s: %q became %q", name, content, text)
		}
	})
}
