package records

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"headwater/connectors/driver"
)

// FuzzScan compares the walk over valid JSON with the standard library.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":[1,{"c":"}"}],"d":"\\\"","e\u00e9":null}`, `[]`, `[ ]`, `{ }`, ` [1 , "x]" , {"a":[[]]} ] `, `"\\"`, `{"":""}`, `{"a":{"b":{}}}`, "[\n{\t}\r]", `[1e5,-0,true]`,
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
