package records

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"headwater/connectors/driver"
)

// FuzzScan compares the walk over valid JSON with the standard library.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":[1,{"c":"}"}],"d":"\\\"","e\u00e9":null}`, `[]`, `[ ]`, `{ }`, ` [1 , "x]" , {"a":[[]]} ] `, `"\\"`, `{"":""}`, `{"a":{"b":{}}}`, "{\"\x87\":null}", `{"\ud800":1}`, "[\n{\t}\r]", `[1e5,-0,true]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = bytes.TrimSpace(raw)
		if !json.Valid(raw) {
			return
		}
		var value any
		decode := func(b []byte) (v any) {
			d := json.NewDecoder(bytes.NewReader(b))
			d.UseNumber()
			if err := d.Decode(&v); err != nil {
				t.Fatalf("%q: part %q: %v", raw, b, err)
			}
			return v
		}
		value = decode(raw)
		switch want := value.(type) {
		case map[string]any:
			got := map[string]any{}
			for k, v := range Fields(raw) {
				if !utf8.Valid(k) { // the library puts U+FFFD there
					var shape Shape
					if err := shape.Record(raw, driver.Limits{}); err == nil {
						t.Fatalf("%q: a name that is no text was taken", raw)
					}
					return
				}
				got[string(k)] = decode(v)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%q: %v, want %v", raw, got, want)
			}
		case []any:
			got := []any{}
			for v := range Elements(raw) {
				got = append(got, decode(v))
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%q: %v, want %v", raw, got, want)
			}
		}
		if _, err := Locate(raw, "t"); err == nil && raw[0] == '{' {
			var shape Shape
			if err := shape.Record(raw, driver.Limits{}); err != nil {
				t.Fatal(err)
			}
			columns, err := shape.Columns(nil, true)
			if err != nil {
				t.Fatal(err)
			}
			rows := NewRows(driver.Table{Columns: columns}, driver.Limits{}, nil)
			defer rows.Release()
			if _, err := rows.Record(raw); err != nil && bytes.Equal(raw, bytes.ToValidUTF8(raw, nil)) {
				t.Fatalf("%q: %v", raw, err)
			}
		}
	})
}

// TestUnquote compares with encoding/json, which is right about everything but
// what is no text: it puts U+FFFD in the place of that.
func TestUnquote(t *testing.T) {
	for _, raw := range []string{
		`""`, `"a"`, `"\"\\\/\b\f\n\r\t"`, `"\u0000\u0041\u00e9\u20AC\uffff\ufffd"`, `"\ud83d\ude00"`, `"x\uD83D\uDE00\ud83d\ude00y"`, `"日本\n😀"`, `"\\ud800"`,
	} {
		var want string
		if err := json.Unmarshal([]byte(raw), &want); err != nil {
			t.Fatal(err)
		}
		if got := string(Unquote([]byte(raw))); got != want {
			t.Errorf("%s is %q, want %q", raw, got, want)
		}
	}
	for _, raw := range []string{`"\ud800"`, `"\udc00 x"`, `"\ud83d\ud83d\ude00"`, `"\ud83d\u0041"`, "\"\\n\xff\""} {
		if got := Unquote([]byte(raw)); utf8.Valid(got) {
			t.Errorf("%s, which is no text, became %q", raw, got)
		}
	}
	for _, raw := range []string{`12`, `null`, `"\u12"`, `"\`, `"\u"`, `"\ud800\u"`} { // not all of it valid
		Unquote([]byte(raw))
	}
}
