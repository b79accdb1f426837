package iceberg

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"orders":     "orders",
		"Ärger-日本":   "Ärger-日本",
		"a.b/c d":    "a_x002E_b_x002F_c_x0020_d",
		"snake_case": "snake_case",
		"_private":   "_private",
		"a__b":       "a_x005F__b",
		"tail_":      "tail_x005F_",
		"_xmin":      "_x005F_xmin",
		"a_.b":       "a_x005F__x002E_b",
		"..":         "_x002E__x002E_",
		"😀":          "_x01F600_",
		"\xff\x00":   "_xDCFF__x0000_",
		"x'; drop":   "x_x0027__x003B__x0020_drop",
		"_x002E_":    "_x005F_x002E_x005F_",
		"हिन्दी":     "हिन्दी",
	} {
		if got := Escape(name); got != want {
			t.Errorf("Escape(%q) is %q, want %q", name, got, want)
		}
		if got, err := Unescape(want); err != nil || got != name {
			t.Errorf("Unescape(%q) is %q, %v, want %q", want, got, err, name)
		}
	}
	for _, text := range []string{"a.b", "a__b", "tail_", "_x002e_", "_x0041_", "_x00002E_", "a b", "\xff", "_xmin"} {
		if name, err := Unescape(text); err == nil {
			t.Errorf("Unescape(%q) is %q, want an error: Escape never returns it", text, name)
		}
	}
	for _, parts := range [][2]string{{"public", "orders"}, {"", "orders"}, {"a_", "b"}, {"a", "_b"}, {"a__b", "c__d"}, {"a.", ".b"}, {"a", "x1234_b"}, {"_", "_"}, {"a", "_x002E_"}} {
		text := TableName(parts[0], parts[1])
		if schema, name, err := ParseTableName(text); err != nil || schema != parts[0] || name != parts[1] {
			t.Errorf("%q is %q and %q, %v, want %q", text, schema, name, err, parts)
		}
	}
}

// FuzzNames holds both directions to each other: what is written is read again,
// what is read is written so, and nothing in it needs care in a URL.
func FuzzNames(f *testing.F) {
	for _, text := range []string{"public", "a.b", "_x002E_", "a__b", "_", "\xff_x", "__", "日本 語", "x_", "_x01F600_"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, schema, name string) {
		text := TableName(schema, name)
		if strings.ContainsAny(text, " ./%+?#&=\\\"'`") {
			t.Errorf("%q and %q are written as %q", schema, name, text)
		}
		if s, n, err := ParseTableName(text); err != nil || s != schema || n != name {
			t.Errorf("%q and %q are written as %q and read as %q and %q, %v", schema, name, text, s, n, err)
		}
		if s, n, err := ParseTableName(name); err == nil && TableName(s, n) != name {
			t.Errorf("%q is read as %q and %q, which are written as %q", name, s, n, TableName(s, n))
		}
	})
}
