package records

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// FuzzValid compares with encoding/json, also with every byte changed and at
// every length.
func FuzzValid(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":[1,{"c":"}"}],"d":"\\\"","e\u00e9":null}`, `[]`, `[ ]`, `{ }`, ` [1 , "x]" , {"a":[[]]} ] `, `"\\"`, `{"":""}`, "[\n{\t}\r]", `[1e5,-0,true,false,-0.50E-7,0e+1]`,
		`01`, `1.`, `.5`, `-`, `+1`, `[1,]`, `{"a":1,}`, `{"a"}`, `{1:2}`, `"\u12g4"`, `"\uABcd and more text"`, `"a long text that has a " in it`, "\"a long text with \x01 in it\"",
		"\"a long text with a tab\tin it\"", `"é and 日本 and more of it"`, `nul`, `truee`, ``, ` `, `[}`, `{]`, `]`, `"eight by\n eight\""`, `"1234567\\"`, `"12345678\\"`, "\"\xff\xfe beyond\"", `1 2`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(b []byte) {
			if got, want := Valid(b), json.Valid(b); got != want {
				t.Fatalf("%q is valid: %v, want %v", b, got, want)
			}
		}
		check(b)
		if len(b) > 200 {
			return
		}
		for i := range b {
			check(b[:i])
			for _, c := range []byte("\"\\{}[],:0 e.-\x00\x1f\x80u") {
				changed := slices.Clone(b)
				changed[i] = c
				check(changed)
			}
		}
	})
}

func TestValidDepth(t *testing.T) {
	for _, n := range []int{9_999, 10_000, 10_001} {
		b := []byte(strings.Repeat("[", n) + strings.Repeat("]", n))
		if Valid(b) != json.Valid(b) {
			t.Errorf("%d lists: %v, want %v", n, Valid(b), json.Valid(b))
		}
		if b = bytes.Replace(b, []byte("[]"), []byte("[1]"), 1); Valid(b) != json.Valid(b) {
			t.Errorf("%d lists around a number: %v, want %v", n, Valid(b), json.Valid(b))
		}
	}
}
