package csv_test

import (
	"fmt"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

func TestDialects(t *testing.T) {
	yes, no := `,"header":true`, `,"header":false`
	for _, c := range []struct{ name, content, settings, want string }{
		{"comma", "a,b\n1,x\n", "", "[a:int64 b:string] [[1 x]]"},
		{"semicolon with decimal commas", "a;b\n1;2,5\n2;3,5\n", "", "[a:int64 b:string] [[1 2,5] [2 3,5]]"},
		{"pipe", "a|b|c\n1|2|3\n", "", "[a:int64 b:int64 c:int64] [[1 2 3]]"},
		{"single quotes", "a,b\n1,'x, y'\n2,'it''s'\n", "", "[a:int64 b:string] [[1 x, y] [2 it's]]"},
		{"quotes off", "a,b\n1,5\" pipe\n", `,"quote":""`, `[a:int64 b:string] [[1 5" pipe]]`},
		{"one column", "name\nAnn\nBob\n", "", "[name:string] [[Ann] [Bob]]"},
		{"header only", "a,b,c\n", "", "[a:string b:string c:string] []"},
		{"no header", "1,x\n2,y\n", "", "[column_1:int64 column_2:string] [[1 x] [2 y]]"},
		{"header said", "1,2\n3,4\n", yes, "[1:int64 2:int64] [[3 4]]"},
		{"no header said", "a,b\n1,2\n", no, "[column_1:string column_2:string] [[a b] [1 2]]"},
		{"names twice and empty", "a,a,,a_2\n1,2,3,4\n", yes, "[a:int64 a_2:int64 column_3:int64 a_2_2:int64] [[1 2 3 4]]"},
		{"no last line end", "a,b\n1,2", "", "[a:int64 b:int64] [[1 2]]"},
		{"null values", "a,b\n1,NA\nNA,\"NA\"\n", `,"null_values":["NA"]`, "[a:int64 b:string] [[1 \x00NULL] [\x00NULL NA]]"},
		{"quoted numbers", "\"a\",\"b\"\n\"1\",\"x\"\n\"\",\"\"\n", "", "[a:int64 b:string] [[1 x] [\x00NULL ]]"},
		{"floats", "a,b\n1e+05,0.1234567890123456\n.5,0.3\n", "", "[a:float64 b:float64] [[100000 0.1234567890123456] [0.5 0.3]]"},
		{"fractions a float would round", "a\n1.12345678901234567891\n2\n", yes, "[a:decimal(38,20)] [[1.12345678901234567891] [2.00000000000000000000]]"},
		{"prices", "a\n1.10\n2.00\n-0.05\n", yes, "[a:decimal(18,2)] [[1.10] [2.00] [-0.05]]"},
		{"versions", "a\n1.9\n1.10\n1.11\n", yes, "[a:string] [[1.9] [1.10] [1.11]]"},
		{"part numbers", "a\n12E5\n7E2\n", yes, "[a:string] [[12E5] [7E2]]"},
		{"floats as Python writes them", "a\n1.0\n2.5\n1e-07\n1.5e+16\n", yes, "[a:float64] [[1] [2.5] [1e-07] [1.5e+16]]"},
		{"JSON in text", "a,b\n1,\"{\"\"x\"\": 1.50}\"\n2,\n3,\"\"\n", `,"column_types":{"b":"json"}`, "[a:int64 b:json] [[1 {\"x\": 1.50}] [2 \x00NULL] [3 \x00NULL]]"},
		{"too many digits", "a\n" + strings.Repeat("9", 39) + "\n", yes, "[a:string] [[" + strings.Repeat("9", 39) + "]]"},
		{"things that look like numbers", "a,b,c\n+49,0x1,1_000\nNaN,1e,--1\n", yes, "[a:string b:string c:string] [[+49 0x1 1_000] [NaN 1e --1]]"},
		{"days that are none", "a\n2023-02-29\n", yes, "[a:string] [[2023-02-29]]"},
		{"dates and times mixed", "a\n2023-02-28\n2023-02-28 10:00:00\n", yes, "[a:string] [[2023-02-28] [2023-02-28 10:00:00]]"},
		{"types replaced", "a,b\n1,2\n", `,"column_types":{"a":"string","b":"decimal(5,2)"}`, "[a:string b:decimal(5,2)] [[1 2.00]]"},
	} {
		got, rows, err := formatstest.Table(t, "f.csv", c.content, `{"path":"f.csv"`+c.settings+`}`, driver.Limits{})
		var columns []string
		for _, c := range got.Columns {
			columns = append(columns, c.Name+":"+c.Type.String())
		}
		if text := fmt.Sprint(columns, " ", rows); err != nil || text != c.want {
			t.Errorf("%s: %q, want %q (%v)", c.name, text, c.want, err)
		}
	}
}
