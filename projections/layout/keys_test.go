package layout

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestKeyPrefixesAreDistinct(t *testing.T) {
	var last byte
	names := map[string]bool{}
	for _, table := range Tables() {
		if table.Prefix <= last {
			t.Errorf("prefix %q of %s is not behind %q", table.Prefix, table.Name, last)
		}
		if last = table.Prefix; names[table.Name] {
			t.Errorf("two tables are called %s", table.Name)
		}
		names[table.Name] = true
	}
}

// TestKeyTexts holds that no text reaches into its neighbour and none is a
// prefix of another, whatever bytes it has.
func TestKeyTexts(t *testing.T) {
	text := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 'a', 0xfe, 0xff}), 0, 4), func(b []byte) string { return string(b) })
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOfN(text, 2, 2).Draw(t, "a"), rapid.SliceOfN(text, 2, 2).Draw(t, "b")
		ka, kb := Key('x', a...), Key('x', b...)
		same := a[0] == b[0] && a[1] == b[1]
		if bytes.Equal(ka, kb) != same || !same && bytes.HasPrefix(ka, kb) {
			t.Fatalf("%q and %q: %x %x", a, b, ka, kb)
		}
		if order := bytes.Compare(PutText(nil, a[0]), PutText(nil, b[0])); order != bytes.Compare([]byte(a[0]), []byte(b[0])) {
			t.Fatalf("%q and %q are ordered %d", a[0], b[0], order)
		}
		got, rest, err := GetText(ka[1:])
		if err != nil || got != a[0] || !bytes.Equal(rest, PutText(nil, a[1])) {
			t.Fatalf("read %q, %x, %v of %q", got, rest, err, a)
		}
	})
}
