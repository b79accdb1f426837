package layout

import "testing"

// FuzzValues gives every decoder of stored bytes any bytes: it reads or
// refuses.
func FuzzValues(f *testing.F) {
	f.Add([]byte{})
	f.Add(frame(listHead(&Source{Name: "a"}), []byte("{}")))
	f.Add(frame([]byte("{}"), []byte("{}")))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _ = Unframe(b)
		_, _ = ReadListHead(b)
		_, _, _ = GetText(b)
		_, _ = DecodeName(b)
		_, _ = DecodeScope(b)
		_, _ = DecodeSource(b)
		_, _ = DecodeSync(b)
		_, _ = DecodeOperation(b)
	})
}
