package contract

import (
	"fmt"
	"testing"
)

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":{"a":[1,{"b":null}]}}`, `{"a":1,"a":2}`, `[`, `{"a":1}{`, "{\"\\u0000\":1}", `"x"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		value, wrong := parseJSON(body)
		if _, ok := value.(map[string]any); (wrong == nil) != ok {
			t.Fatalf("%q: %v, %+v", body, value, wrong)
		}
		if wrong != nil && len(wrong.Message) > 400 {
			t.Fatalf("a long message: %s", fmt.Sprintf("%.500s", wrong.Message))
		}
	})
}

func FuzzHalfCharacter(f *testing.F) {
	f.Add([]byte(`{"a":"\ud83d\ude00"}`))
	f.Add([]byte(`{"a":"\\\ud83d"}`))
	f.Fuzz(func(t *testing.T, body []byte) { halfCharacter(body) })
}
