package json_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

// TestValuesAreKeptOrRefused reads files whose values are easily changed on the
// way: each comes out as it was, or is an error that says where.
func TestValuesAreKeptOrRefused(t *testing.T) {
	deep := func(n int) string {
		return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}"
	}
	for _, c := range []struct {
		name, file, content, settings string
		kind                          error // nil: it is kept
		want                          string
	}{
		{"a key twice", "a.ndjson", `{"id":1,"v":"first","v":"second"}`, "", driver.ErrBadData, `record 1 has the field "v" twice`},
		{"a key twice after the sample", "a.ndjson", "{\"v\":1}\n{\"v\":1,\"v\":1}", `,"sample_rows":1`, driver.ErrBadData, `record 2 has the field "v" twice`},
		{"a key twice in a value", "a.ndjson", `{"v":{"x":1,"x":2}}`, "", nil, `[v:json] [[{"x":1,"x":2}]]`},
		{"two lists of one name", "a.json", `{"data":[{"a":1}],"data":[{"a":2}]}`, `,"records_path":"data"`, driver.ErrBadData, `the key "data" twice`},
		{"a field called as ours", "a.ndjson", "{\"_extra\":1,\"id\":1}\n{\"_extra\":2,\"id\":2,\"late\":\"kept\"}", `,"sample_rows":1`, nil, `[_extra:int64 id:int64 _extra_2:json] [[1 1 ` + formatstest.Null + `] [2 2 {"late":"kept"}]]`},
		{"quotes around a number after the sample", "a.ndjson", "{\"p\":1.5}\n{\"p\":1.5}\n{\"p\":\"2.50\"}", `,"sample_rows":2`, driver.ErrBadData, "record 3"},
		{"quotes around a number in the sample", "a.ndjson", "{\"p\":1.5}\n{\"p\":\"2.50\"}", "", nil, "[p:string] [[1.5] [2.50]]"},
		{"quotes around numbers, as the settings say", "a.ndjson", "{\"p\":1.5}\n{\"p\":\"2.50\"}", `,"column_types":{"p":"decimal(9,2)"}`, nil, "[p:decimal(9,2)] [[1.50] [2.50]]"},
		{"half a character", "a.ndjson", `{"v":"\ud800"}`, "", driver.ErrBadData, "not valid Unicode"},
		{"half a character after the sample", "a.ndjson", "{\"v\":\"x\"}\n{\"v\":\"\\udc00\"}", `,"sample_rows":1`, driver.ErrBadData, "not valid Unicode"},
		{"NaN", "a.ndjson", `{"v":NaN}`, "", driver.ErrBadData, "connection_config.json_nan"},
		{"minus infinity", "a.json", `[{"v":-Infinity},{"v":1}]`, "", driver.ErrBadData, "connection_config.json_nan"},
		{"NaN as a number", "a.ndjson", "{\"v\":NaN,\"w\":[NaN]}\n{\"v\":-Infinity,\"w\":[]}", `,"json_nan":"float"`, nil, `[v:float64 w:json] [[NaN ["\u004ea\u004e"]] [-Inf []]]`},
		{"NaN as null", "a.json", `[{"v":NaN},{"v":1}]`, `,"json_nan":"null"`, nil, "[v:int64] [[" + formatstest.Null + "] [1]]"},
		{"no name", "a.ndjson", `{"":1,"id":2}`, "", nil, "[unnamed:int64 id:int64] [[1 2]]"},
		{"a NUL in a name", "a.ndjson", `{"a\u0000b":1}`, "", driver.ErrBadData, "NUL"},
		{"half a character in a name", "a.ndjson", `{"a\ud800":1}`, "", driver.ErrBadData, "name is not valid Unicode"},
		{"numbers beyond floats", "a.ndjson", `{"a":1e400,"b":123456789012345678901234567890,"c":0.1234567890123456789,"d":-0}`, "", nil, "[a:string b:decimal(38,0) c:decimal(38,19) d:float64] [[1e400 123456789012345678901234567890 0.1234567890123456789 -0]]"},
		{"a number beyond floats after the sample", "a.ndjson", "{\"a\":1.5}\n{\"a\":1e400}", `,"sample_rows":1`, driver.ErrBadData, "record 2"},
		{"9,000 lists in each other", "a.ndjson", deep(9000), "", nil, "[a:json] [[" + deep(9000)[5:18005] + "]]"},
		{"20,000 lists in each other", "a.ndjson", deep(20000), "", driver.ErrLimit, "deep"},
		{"no JSON in a column of JSON", "a.csv", "id,doc\n1,{}\n2,{broken\n", `,"column_types":{"doc":"json"}`, driver.ErrBadData, `row 2: column "doc" holds a value that is not JSON`},
		{"a version after the sample", "a.csv", "v\n1.5\n1.10\n", `,"header":true,"sample_rows":1`, driver.ErrBadData, "row 2"},
		{"a number in another form, as the settings say", "a.csv", "v\n1.5\n1.10\n", `,"header":true,"sample_rows":1,"column_types":{"v":"float64"}`, nil, "[v:float64] [[1.5] [1.1]]"},
	} {
		got, rows, err := formatstest.Table(t, c.file, c.content, `{"path":"`+c.file+`"`+c.settings+`}`, driver.Limits{})
		if c.kind != nil {
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %v with %q", c.name, err, c.kind, c.want)
			}
			continue
		}
		var columns []string
		for _, c := range got.Columns {
			columns = append(columns, c.Name+":"+c.Type.String())
		}
		if text := fmt.Sprint(columns, " ", rows); err != nil || text != c.want {
			t.Errorf("%s: %.200q, want %.200q (%v)", c.name, text, c.want, err)
		}
	}
}

func TestFieldsAfterTheSampleAreKept(t *testing.T) {
	got, rows, err := formatstest.Table(t, "f.ndjson", "{\"a\":1}\n{\"a\":2,\"b\":\"x\",\"c\":[1]}\n{\"a\":3}\n", `{"path":"f.ndjson","sample_rows":1}`, driver.Limits{})
	if want := `[[1 ` + formatstest.Null + `] [2 {"b":"x","c":[1]}] [3 ` + formatstest.Null + `]]`; err != nil || fmt.Sprint(rows) != want || got.Columns[1].Name != "_extra" {
		t.Errorf("%v %q, want %q (%v)", got.Columns, fmt.Sprint(rows), want, err)
	}
}
