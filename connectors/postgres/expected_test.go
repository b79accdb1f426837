package postgres

import (
	"fmt"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
)

const null = drivertest.Null

// column reads "name type" or "name type?" for a nullable one, with what the
// server calls the type behind a comma.
func columns(specs ...string) []driver.Column {
	var all []driver.Column
	for _, spec := range specs {
		spec, source, _ := strings.Cut(spec, "/")
		name, typ, _ := strings.Cut(spec, ":")
		typ, nullable := strings.CutSuffix(typ, "?")
		parsed, err := driver.ParseType(typ)
		if err != nil {
			panic(err)
		}
		all = append(all, driver.Column{Name: name, Type: parsed, SourceType: source, Nullable: nullable})
	}
	return all
}

func expected() []drivertest.Expected {
	table := func(name string, rows [][]string, specs ...string) drivertest.Expected {
		return drivertest.Expected{Table: driver.Table{Namespace: "shop", Name: name, Kind: "table", Columns: columns(specs...)}, Rows: rows}
	}
	all := []drivertest.Expected{every()}

	events := table("events", nil, "id:int64/bigint", "updated_at:timestamptz/timestamp with time zone", "seen:date?", "tag:string?/text", "code:string?/character varying(9)", "amount:decimal(9,2)?/numeric(9,2)", "u:uuid?")
	events.Table.PrimaryKey, events.Table.Cursor, events.Table.RowEstimate = []string{"id"}, "updated_at", 20
	events.Cursors = []string{"id", "updated_at", "seen", "tag", "code", "amount", "u"}
	for i := 1; i <= 20; i++ {
		seen, tag, code := null, null, `É'\`
		if i%5 > 0 {
			seen = fmt.Sprintf("2024-01-%02d", 1+i/3)
		}
		if i%4 > 0 {
			tag = string([]byte{byte(65 + i%3), byte(97 + i%2)})
		}
		if i < 17 {
			code = null
		}
		half := i / 2
		events.Rows = append(events.Rows, []string{itoa(i), fmt.Sprintf("2024-01-01T%02d:00:00.000000Z", i/4), seen, tag, code,
			fmt.Sprintf("%d.%02d", half*3/2, half%2*50), fmt.Sprintf("00000000-0000-0000-0000-0000000000%02d", half)})
	}
	all = append(all, events)

	empty := table("empty", nil, "a:int32", "b:string")
	empty.Table.PrimaryKey, empty.Cursors = []string{"b", "a"}, []string{"a", "b"}
	all = append(all, empty)

	for name, specs := range map[string][]string{
		"infinite": {"id:int32?", "until:timestamptz?"}, "endless": {"id:int32?", "d:date?"}, "nan": {"n:decimal(5,2)?"}, "midnight": {"t:time?"},
	} {
		broken := table(name, nil, specs...)
		broken.Broken = driver.ErrBadData
		all = append(all, broken)
	}
	parts := table("parts", [][]string{{"1", "eu"}, {"2", "us"}}, "id:int32", "region:string")
	view := table("v", [][]string{{"2", "us"}}, "id:int32?", "region:string?")
	materialized := table("mv", [][]string{{"2"}}, "n:int64?")
	view.Table.Kind, materialized.Table.Kind = "view", "view"
	view.Cursors = []string{"id"}
	odd := drivertest.Expected{
		Table: driver.Table{Namespace: `odd "name`, Name: `Sel;ect 'x'`, Kind: "table", Columns: columns(`A "b":int32`, "from:string?")},
		Rows:  [][]string{{"1", "x"}}, Cursors: []string{`A "b"`},
	}
	return append(all, parts, view, materialized, odd)
}

func every() drivertest.Expected {
	e := drivertest.Expected{Table: driver.Table{Namespace: "shop", Name: "every", Kind: "table", PrimaryKey: []string{"id"}, Cursor: "id", Columns: columns(
		"id:int32/integer", "b:boolean?/boolean", "i2:int32?/smallint", "i8:int64?", "f4:float32?", "f8:float64?", "n:decimal(15,2)?", "n38:decimal(38,10)?/numeric(38,10)",
		"free:string?/numeric", "neg:string?/numeric(5,-2)", "p:decimal(12,3)?/shop.price", "t:string?", "v:string?", "c:string?/character(5)", "raw:bytes?", "d:date?", "tm:time?",
		"ts:timestamp?", "tz:timestamptz?", "u:uuid?", "j:json?", "jb:json?", "arr:json?/integer[]", "m:string?/shop.mood", "iv:string?", "ip:string?/inet",
	)}}
	for i, c := range e.Table.Columns {
		if c.Name == "t" {
			e.Table.Columns[i].Comment = "any text"
		}
	}
	nulls := make([]string, len(e.Table.Columns))
	for i := range nulls {
		nulls[i] = null
	}
	nulls[0] = "2"
	e.Rows = [][]string{
		{"1", "true", "-32768", "9223372036854775807", "1.5", "0.1", "12345.60", "-1234567890123456789012345678.0123456789", "0.00000000000000000001", "12300", "5.125",
			"Grüße", "v", "ab   ", "00ff", "1969-12-31", "23:59:59.999999", "1999-12-31T23:59:59.500000", "2024-02-29T10:00:00.000001Z", "00112233-4455-6677-8899-aabbccddeeff",
			`{"a": 1}`, `{"b": [1, 2]}`, "[1,null,3]", "sad", "P1DT2H", "10.0.0.1/8"},
		nulls,
		{"3", "false", "0", "-9223372036854775808", "NaN", "-Inf", "-0.01", "0.0000000001", "NaN", "-100", "0.000", "", "", "     ", "", "0001-01-01", "00:00:00.000000",
			"0001-01-01T00:00:00.000000", "9999-12-31T23:59:59.999999Z", "00000000-0000-0000-0000-000000000000", "null", `"x"`, "[]", "ok", "P-1M", "::1/128"},
	}
	return e
}
