package places

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"headwater/connectors/driver"
)

// The list called as the table comes before the usual names, those before others,
// and what stands beside records is taken only where there is nothing else.
func TestWhereRecordsAre(t *testing.T) {
	for document, want := range map[string]string{
		`[{"id":1}]`: "list ",
		`{"data":[{"id":1}],"links":[{"href":"/x"}]}`:                         "list data",
		`{"orders":[{"id":1}],"items":[{"id":2}]}`:                            "list orders",
		`{"response":{"docs":[{"id":1}]}}`:                                    "list response.docs",
		`{"data":[],"included":[{"id":1}]}`:                                   "list data",
		`{"warnings":[{"id":1}],"count":1}`:                                   "list warnings",
		`{"a":{"x":1,"y":2},"b":{"x":3,"y":4}}`:                               "map ",
		`{"columns":["id","name"],"rows":[[1,"a"],[2,"b"]]}`:                  "rows rows",
		`{"id":1,"name":"one"}`:                                               "single ",
		`{"columns":[{"name":"id"},{"name":"n"}],"rows":[[1,2]],"total":"x"}`: "rows rows",
	} {
		p, err := Locate([]byte(document), "orders")
		if got := p.Shape + " " + strings.Join(p.Path, "."); err != nil || got != want {
			t.Errorf("%s: %q, want %q (%v)", document, got, want, err)
		}
	}
	for _, document := range []string{`{}`, `7`} {
		if _, err := Locate([]byte(document), "orders"); !errors.Is(err, driver.ErrBadData) {
			t.Errorf("%s: %v", document, err)
		}
	}
}

// FuzzPlaces takes any document: what is brought into another form is JSON.
func FuzzPlaces(f *testing.F) {
	for _, s := range []string{`{"a":{"x":1},"b":{"x":2}}`, `{"columns":["id"],"rows":[[1],[2,3]]}`, `{"data":[{}]}`, "{\"a\":1}\n{\"a\":2}", `{"d":{"fields":[{"name":"a"}],"values":[[null]]}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, document string) {
		if list := Lines([]byte(document)); list != nil && !json.Valid(list) {
			t.Fatalf("%q became %q", document, list)
		}
		trimmed := strings.Trim(document, " \t\r\n")
		if !json.Valid([]byte(trimmed)) || trimmed == "" {
			return
		}
		p, err := Locate([]byte(trimmed), "x")
		if err != nil || p.Shape != "map" && p.Shape != "rows" {
			return
		}
		if list, err := p.AsList([]byte(trimmed)); err == nil && list != nil && !json.Valid(list) {
			t.Fatalf("%q became %q", trimmed, list)
		}
	})
}
