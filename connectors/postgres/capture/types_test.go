package capture_test

import (
	"fmt"
	"strings"
	"testing"

	"headwater/connectors/drivertest"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/capture"
	"headwater/connectors/postgres/session"
)

// everyType are types with values at their edges, as SQL.
var everyType = []struct {
	typ    string
	values []string
}{
	{"bool", []string{"true", "false"}},
	{"int2", []string{"-32768", "0", "32767"}}, {"int4", []string{"-2147483648", "2147483647"}}, {"int8", []string{"-9223372036854775808", "9223372036854775807"}},
	{"float4", []string{"1.5", "'NaN'", "'-Infinity'", "3.4028235e38", "1e-45", "'-0'"}}, {"float8", []string{"0.1", "'NaN'", "'Infinity'", "5e-324", "'-0'", "1e22", "123456789.123"}},
	{"numeric(15,2)", []string{"12345.60", "-0.01", "0"}}, {"numeric(38,10)", []string{"-1234567890123456789012345678.0123456789", "0.0000000001"}}, {"numeric(5,5)", []string{"0.00001", "-0.99999"}},
	{"numeric", []string{"1e40", "'NaN'", "'Infinity'", "1.50", "-0.000", "1e-20"}}, {"numeric(5,-2)", []string{"12300", "-100"}}, {"price", []string{"5.125", "0"}},
	{"text", []string{"''", "'Grüße'", `E'a\tb\\c"{}'`, "'NULL'", "repeat('x', 3000)"}}, {"varchar(20)", []string{"'v'", "''"}}, {"char(5)", []string{"'ab'", "''"}}, {"name", []string{"'n'"}}, {`"char"`, []string{"'a'", "''", `'\351'`}},
	{"bytea", []string{`'\x00ff'`, "''"}}, {"date", []string{"'1969-12-31'", "'0001-01-01'", "'4713-01-01 BC'", "'5874897-12-31'", "'2024-02-29'", "'0044-03-15 BC'", "'10000-01-01'"}},
	{"time", []string{"'23:59:59.999999'", "'00:00'", "'12:30:00.5'"}}, {"timetz", []string{"'12:00:00+02'", "'24:00:00-15:59'"}},
	{"timestamp", []string{"'1999-12-31 23:59:59.5'", "'0001-01-01'", "'4713-01-01 BC'", "'294246-12-31 23:59:59.999999'", "'0001-12-31 23:59:59.999999 BC'"}},
	{"timestamptz", []string{"'2024-02-29 12:00:00.000001+02'", "'9999-12-31 23:59:59.999999+00'", "'0044-03-15 10:00:00+00 BC'", "'12000-01-01 00:00:00+00'"}},
	{"interval", []string{"'1 day 2 hours'", "'-1 month'", "'0'", "'1 year -2 days 03:04:05.000006'"}}, {"uuid", []string{"'00112233-4455-6677-8899-aabbccddeeff'"}},
	{"json", []string{`'{"a": 1}'`, "'null'"}}, {"jsonb", []string{`'{"b":[1,2], "a": "x"}'`, `'"x"'`}},
	{"money", []string{"12.34", "-0.05", "0", "'-92233720368547758.08'"}}, {"money[]", []string{"'{1.5,NULL,-1234567.89}'"}},
	{"mood", []string{"'ok'", "'so so'"}}, {"mood[]", []string{`'{ok,NULL,"so so"}'`}},
	{"int[]", []string{"'{1,NULL,3}'", "'{}'", "'{{1,2},{3,4}}'", "'[0:1]={5,6}'"}}, {"bool[]", []string{"'{t,f,NULL}'"}}, {"float8[]", []string{"'{1.5,NaN,-Infinity,1e22,0}'"}}, {"numeric[]", []string{"'{1.50,NaN,-1e-7}'"}},
	{"text[]", []string{`'{a,"b c",NULL,"NULL","","q\"\\x{},"}'`, `ARRAY[E'\n\t\x01é', '}']`}}, {"date[]", []string{"'{2024-01-01,infinity,\"0044-03-15 BC\"}'"}},
	{"timestamp[]", []string{"'{2024-01-01 10:00:00.5,-infinity,\"0044-03-15 10:00:00 BC\"}'"}}, {"timestamptz[]", []string{"'{2024-01-01 10:00:00+02,infinity,\"0044-03-15 10:00:00+00 BC\"}'"}},
	{"jsonb[]", []string{`ARRAY['{"a":[1,"x"]}'::jsonb, 'null', NULL]`}}, {"json[]", []string{`ARRAY['{"a" : 1}'::json]`}}, {"bytea[]", []string{`ARRAY['\x00ff'::bytea]`}}, {"interval[]", []string{"'{1 day,-1 month}'"}},
	{"inet[]", []string{"'{10.0.0.1,::1/64}'"}}, {"box[]", []string{"'{(1,1),(0,0);(3,4),(1,2)}'"}}, {"price[]", []string{"'{5.125,NULL}'"}}, {"uuid[]", []string{"'{00112233-4455-6677-8899-aabbccddeeff}'"}},
	{"inet", []string{"'10.0.0.1/8'", "'10.0.0.1'", "'::1'", "'::1/64'"}}, {"cidr", []string{"'10.0.0.0/8'", "'1.2.3.4'"}}, {"macaddr", []string{"'08:00:2b:01:02:03'"}}, {"macaddr8", []string{"'08:00:2b:01:02:03:04:05'"}},
	{"int4range", []string{"'[1,5)'", "'empty'"}}, {"tstzrange", []string{"'[2024-01-01 00:00+02,)'"}}, {"nummultirange", []string{"'{[1,2],(5,)}'"}},
	{"pair", []string{`ROW(1, 'b c', '$1.50', '1 day')::pair`}}, {"bit(3)", []string{"B'101'"}}, {"varbit", []string{"B'1'"}}, {"point", []string{"'(1.5,2)'"}}, {"polygon", []string{"'((0,0),(1,1),(2,0))'"}}, {"circle", []string{"'<(1,2),3>'"}},
	{"tsvector", []string{"'a:1 b'"}}, {"tsquery", []string{"'a & b'"}}, {"pg_lsn", []string{"'16/B374D848'"}}, {"oid", []string{"4294967295"}}, {"xid", []string{"'7'"}}, {"int2vector", []string{"'1 2'"}}, {"oidvector", []string{"'1 2'"}},
	{"regclass", []string{"'pg_class'"}}, {"tid", []string{"'(1,2)'"}}, {"jsonpath", []string{"'$.a[*]'"}},
}

const everyTypeSchema = `CREATE DOMAIN amount AS numeric(12,3); CREATE DOMAIN price AS amount; CREATE TYPE mood AS ENUM ('ok', 'so so'); CREATE TYPE pair AS (a int, b text, m money, i interval);`

// Every type lands from the log as a full read lands it: inserted, updated, as text and
// in binary.
func TestCaptureTypes(t *testing.T) { eachVersion(t, testCaptureTypes) }

func testCaptureTypes(t *testing.T, server *servers.Server) {
	db := handle(t, server)
	columns, longest := []string{"id int PRIMARY KEY"}, 0
	var version int
	if err := db.QueryRowContext(t.Context(), "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		t.Fatal(err)
	}
	for i, e := range everyType {
		if e.typ == "numeric(5,-2)" && version < 150000 {
			e.typ = "numeric"
		}
		columns = append(columns, fmt.Sprintf("c%d %s", i, e.typ))
		longest = max(longest, len(e.values))
	}
	run(t, db, everyTypeSchema, "CREATE TABLE all_types ("+strings.Join(columns, ", ")+")", "CREATE TABLE plain_types (id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric(15,2), n38 numeric(38,10), p price, t text, v varchar(9), c char(5), na name, ch \"char\", raw bytea, d date, tm time, ts timestamp, tz timestamptz, u uuid, j json, jb jsonb, m mood)")
	insert := func(table string, id, at int) string {
		row := []string{fmt.Sprint(id)}
		for _, e := range everyType {
			v := "NULL"
			if at < len(e.values) {
				v = e.values[at]
			}
			row = append(row, v)
		}
		return "INSERT INTO " + table + " VALUES (" + strings.Join(row, ", ") + ")"
	}
	m := newMirror(t, server, "all_types")
	m.synced()
	for i := range longest + 1 {
		run(t, db, insert("all_types", i, i))
	}
	m.synced()
	for i := range longest + 1 { // each row gets the values of another one
		set := insert("all_types", i, (i+1)%(longest+1))
		at := strings.Index(set, "VALUES (")
		run(t, db, "DELETE FROM all_types WHERE id = "+fmt.Sprint(i+100), "INSERT INTO all_types (id) VALUES ("+fmt.Sprint(i+100)+")", fmt.Sprintf("UPDATE all_types SET (%s) = ROW(%s WHERE id = %d", names(len(everyType)), strings.TrimPrefix(set[at+len("VALUES ("):], fmt.Sprintf("%d, ", i)), i+100))
	}
	m.synced()

	plain := mirrorOf(t, openWith(t, server, func(*session.Settings) {}), "plain_types")
	plain.synced()
	run(t, db, `INSERT INTO plain_types SELECT c.id, c0, c1, c3, c4, c5, c6, c7, c11, c12, c13, c14, c15, c16, c17, c18, c19, c21, c22, c24, c25, c26, c29 FROM all_types c`)
	plain.synced()
	if !capture.InBinary(plain.log) || capture.InBinary(m.log) {
		t.Errorf("plain types come in binary: %v, all types: %v", capture.InBinary(plain.log), capture.InBinary(m.log))
	}
}

func names(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("c%d", i)
	}
	return strings.Join(all, ", ")
}

// A NULL is a byte of a row in the log, and as long as any other value in a batch.
func TestWideRowsOfNULLsAreSmallBatches(t *testing.T) {
	const columns, rows = 300, 5000
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	made := "CREATE TABLE wide (id bigint PRIMARY KEY"
	for i := range columns {
		made += fmt.Sprintf(", c%d numeric(30,2)", i)
	}
	run(t, db, made+")")
	m := newMirror(t, server, "wide")
	m.synced()
	run(t, db, fmt.Sprintf("INSERT INTO wide (id) SELECT generate_series(1, %d)", rows))
	log, err := m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	got, most := 0, 0
	for c, err := range log.Changes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Record == nil {
			continue
		}
		got += len(c.Ops)
		most = max(most, drivertest.BytesOf(c.Record))
		c.Record.Release()
	}
	if got != rows || most > 10<<20 {
		t.Errorf("%d rows, and a batch of %d KiB", got, most>>10)
	}
}
