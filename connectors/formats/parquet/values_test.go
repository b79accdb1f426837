package parquet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/decimal"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/apache/arrow-go/v18/parquet/variant"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

// chunk is what is written into one column of a row group.
type chunk struct {
	values   any
	def, rep []int16
}

var (
	required, optional, repeated = parquet.Repetitions.Required, parquet.Repetitions.Optional, parquet.Repetitions.Repeated
	int32s, int64s, binaries     = parquet.Types.Int32, parquet.Types.Int64, parquet.Types.ByteArray
	fixed                        = parquet.Types.FixedLenByteArray
)

// leafNode is a column of a schema.
func leafNode(name string, rep parquet.Repetition, t parquet.Type, l schema.LogicalType, width int) schema.Node {
	n, err := schema.NewPrimitiveNodeLogical(name, rep, l, t, width, -1)
	if err != nil {
		panic(err)
	}
	return n
}

// groupNode is a group of a schema.
func groupNode(name string, rep parquet.Repetition, l schema.LogicalType, fields ...schema.Node) schema.Node {
	n, err := schema.NewGroupNodeLogical(name, rep, fields, l, -1)
	if err != nil {
		panic(err)
	}
	return n
}

// parquetFile returns a file of the fields, with one row group for each list of
// chunks.
func parquetFile(t testing.TB, fields []schema.Node, groups ...[]chunk) string {
	t.Helper()
	root, err := schema.NewGroupNode("schema", required, fields, -1)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := pqfile.NewParquetWriter(&out, root, pqfile.WithWriterProps(parquet.NewWriterProperties(parquet.WithVersion(parquet.V2_LATEST), parquet.WithCompression(compress.Codecs.Snappy))))
	for _, chunks := range groups {
		g, err := w.AppendRowGroupChecked()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range chunks {
			column, err := g.NextColumn()
			if err != nil {
				t.Fatal(err)
			}
			switch column := column.(type) {
			case *pqfile.BooleanColumnChunkWriter:
				_, err = column.WriteBatch(c.values.([]bool), c.def, c.rep)
			case *pqfile.Int32ColumnChunkWriter:
				_, err = column.WriteBatch(c.values.([]int32), c.def, c.rep)
			case *pqfile.Int64ColumnChunkWriter:
				_, err = column.WriteBatch(c.values.([]int64), c.def, c.rep)
			case *pqfile.Int96ColumnChunkWriter:
				_, err = column.WriteBatch(c.values.([]parquet.Int96), c.def, c.rep)
			case *pqfile.ByteArrayColumnChunkWriter:
				var values []parquet.ByteArray
				for _, v := range c.values.([]string) {
					values = append(values, parquet.ByteArray(v))
				}
				_, err = column.WriteBatch(values, c.def, c.rep)
			case *pqfile.FixedLenByteArrayColumnChunkWriter:
				var values []parquet.FixedLenByteArray
				for _, v := range c.values.([]string) {
					values = append(values, parquet.FixedLenByteArray(v))
				}
				_, err = column.WriteBatch(values, c.def, c.rep)
			default:
				t.Fatalf("no way to write %T", column)
			}
			if err == nil {
				err = column.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// int96 is a moment as Spark, Hive and Impala write it.
func int96(at time.Time) (v parquet.Int96) {
	day := at.Unix() / 86400
	if at.Unix()%86400 < 0 {
		day--
	}
	binary.LittleEndian.PutUint64(v[:], uint64(at.Unix()-day*86400)*1e9+uint64(at.Nanosecond()))
	binary.LittleEndian.PutUint32(v[8:], uint32(day+2_440_588))
	return v
}

// TestParquetValues reads one column of each kind: what it becomes, or why not.
func TestParquetValues(t *testing.T) {
	none := schema.NoLogicalType{}
	bigEndian := func(width int, n int64) string {
		b := bytes.Repeat([]byte{byte(n >> 63)}, width)
		for i := 0; i < 8 && i < width; i++ {
			b[width-1-i] = byte(n >> (8 * i))
		}
		return string(b)
	}
	clock := func(unit schema.TimeUnitType, utc bool) schema.LogicalType {
		return schema.NewTimeLogicalType(utc, unit)
	}
	moment := func(unit schema.TimeUnitType, utc bool) schema.LogicalType {
		return schema.NewTimestampLogicalType(utc, unit)
	}
	ms, us, ns := schema.TimeUnitMillis, schema.TimeUnitMicros, schema.TimeUnitNanos
	uuid := "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"
	interval := "\x0d\x00\x00\x00\x02\x00\x00\x00\xbc\x0b\x00\x00"
	for _, c := range []struct {
		name   string
		node   schema.Node
		values any
		as     string // column_types of the column
		want   string // type and rows
		err    string
	}{
		{"always NULL", leafNode("c", optional, int32s, schema.NullLogicalType{}, -1), []int32(nil), "", "json [" + formatstest.Null + "]", ""},
		{"JSON", leafNode("c", required, binaries, schema.JSONLogicalType{}, -1), []string{`{"x": 1.50, "y": []}`}, "", `json [{"x": 1.50, "y": []}]`, ""},
		{"JSON that is none", leafNode("c", required, binaries, schema.JSONLogicalType{}, -1), []string{`{}`, `{"x":`}, "", "", `row 2: column "c" (json) holds text that is not JSON; set connection_config.column_types.c to "string"`},
		{"JSON that is none as text", leafNode("c", required, binaries, schema.JSONLogicalType{}, -1), []string{`{"x":`}, "string", `string [{"x":]`, ""},
		{"beyond 8 bits as text", leafNode("c", required, int32s, schema.NewIntLogicalType(8, false), -1), []int32{300}, "string", "string [300]", ""},
		{"decimal of more digits than it says as text", leafNode("c", required, int32s, schema.NewDecimalLogicalType(3, 1), -1), []int32{1000}, "string", "string [100.0]", ""},
		{"text that is none", leafNode("c", required, binaries, schema.StringLogicalType{}, -1), []string{"x", "M\xfcller"}, "", "", `row 2: column "c" (utf8) holds text that is not UTF-8; set connection_config.column_types.c to "bytes"`},
		{"text that is none as bytes", leafNode("c", required, binaries, schema.StringLogicalType{}, -1), []string{"M\xfc"}, "bytes", "bytes [4dfc]", ""},
		{"a label", leafNode("c", required, binaries, schema.EnumLogicalType{}, -1), []string{"red"}, "", "string [red]", ""},
		{"BSON", leafNode("c", required, binaries, schema.BSONLogicalType{}, -1), []string{"\x05\x00\x00\x00\x00"}, "", "bytes [0500000000]", ""},
		{"bytes as text", leafNode("c", required, binaries, none, -1), []string{"plain"}, "string", "string [plain]", ""},
		{"UUID", leafNode("c", required, fixed, schema.UUIDLogicalType{}, 16), []string{uuid}, "", "uuid [00112233-4455-6677-8899-aabbccddeeff]", ""},
		{"UUID as text", leafNode("c", required, fixed, schema.UUIDLogicalType{}, 16), []string{uuid}, "string", "string [00112233-4455-6677-8899-aabbccddeeff]", ""},
		{"interval", leafNode("c", required, fixed, schema.IntervalLogicalType{}, 12), []string{interval, strings.Repeat("\x00", 12)}, "", "string [P1Y1M2DT3.004S] [PT0S]", ""},
		{"float of two bytes", leafNode("c", required, fixed, schema.Float16LogicalType{}, 2), []string{"\x00\x3e", "\x00\xfc"}, "", "float32 [1.5] [-Inf]", ""},
		{"unsigned 64 bits", leafNode("c", required, int64s, schema.NewIntLogicalType(64, false), -1), []int64{-1, 1}, "", "decimal(20,0) [18446744073709551615] [1]", ""},
		{"unsigned 32 bits", leafNode("c", required, int32s, schema.NewIntLogicalType(32, false), -1), []int32{-1}, "", "int64 [4294967295]", ""},
		{"beyond 8 bits", leafNode("c", required, int32s, schema.NewIntLogicalType(8, false), -1), []int32{255, 300}, "", "", "row 2"},
		{"decimal in 32 bits", leafNode("c", required, int32s, schema.NewDecimalLogicalType(9, 2), -1), []int32{-5, 110}, "", "decimal(9,2) [-0.05] [1.10]", ""},
		{"decimal in bytes", leafNode("c", required, binaries, schema.NewDecimalLogicalType(20, 3), -1), []string{"\xff", "\x00\x80", ""}, "", "decimal(20,3) [-0.001] [0.128] [0.000]", ""},
		{"decimal in more bytes than it needs", leafNode("c", required, fixed, schema.NewDecimalLogicalType(38, 1), 20), []string{bigEndian(20, -11), bigEndian(20, 11)}, "", "decimal(38,1) [-1.1] [1.1]", ""},
		{"decimal of more digits than it says", leafNode("c", required, int32s, schema.NewDecimalLogicalType(3, 1), -1), []int32{1000}, "", "", "row 1"},
		{"decimal of 50 digits", leafNode("c", required, fixed, schema.NewDecimalLogicalType(50, 5), 22), []string{bigEndian(22, 1), bigEndian(22, -150000), "\x00\x00\x01" + strings.Repeat("\x00", 19)}, "", "string [0.00001] [-1.50000] [57089907708238395242331438777979805455309.86496]", ""},
		{"time of day", leafNode("c", required, int32s, clock(ms, false), -1), []int32{0, 86_399_999}, "", "time [00:00:00.000000] [23:59:59.999000]", ""},
		{"time of day in UTC", leafNode("c", required, int64s, clock(us, true), -1), []int64{28_800_000_000}, "", "time [08:00:00.000000]", ""},
		{"nanoseconds of a day", leafNode("c", required, int64s, clock(ns, false), -1), []int64{1_000, 1_001}, "", "", "row 2"},
		{"25:00", leafNode("c", required, int32s, clock(ms, false), -1), []int32{3_600_000, 90_000_000}, "", "", `row 2: column "c" (time32[ms]) holds a time of no day`},
		{"before midnight", leafNode("c", required, int64s, clock(us, false), -1), []int64{-1}, "", "", "row 1"},
		{"25:00 as text", leafNode("c", required, int32s, clock(ms, false), -1), []int32{90_000_000, -1}, "string", "string [25:00:00] [-00:00:00.001]", ""},
		{"moment", leafNode("c", required, int64s, moment(ms, false), -1), []int64{-1, 253_402_300_800_000}, "", "timestamp [1969-12-31T23:59:59.999000] [10000-01-01T00:00:00.000000]", ""},
		{"moment in UTC", leafNode("c", required, int64s, moment(us, true), -1), []int64{1}, "", "timestamptz [1970-01-01T00:00:00.000001Z]", ""},
		{"nanoseconds", leafNode("c", required, int64s, moment(ns, true), -1), []int64{-1000, 1}, "", "", `row 2: column "c" (timestamp[ns, tz=UTC]) holds a value that timestamptz cannot hold unchanged; set connection_config.column_types.c to "string"`},
		{"nanoseconds as text", leafNode("c", required, int64s, moment(ns, true), -1), []int64{-1}, "string", "string [1969-12-31T23:59:59.999999999Z]", ""},
		{"milliseconds beyond all microseconds", leafNode("c", required, int64s, moment(ms, true), -1), []int64{1 << 62}, "", "", "row 1"},
		{"INT96", leafNode("c", required, parquet.Types.Int96, none, -1), []parquet.Int96{int96(time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)), int96(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)), int96(time.Date(1500, 1, 1, 0, 0, 0, 1000, time.UTC))}, "",
			"timestamptz [2024-05-01T12:00:00.000000Z] [9999-12-31T00:00:00.000000Z] [1500-01-01T00:00:00.000001Z]", ""},
		{"INT96 of nanoseconds", leafNode("c", required, parquet.Types.Int96, none, -1), []parquet.Int96{int96(time.Unix(0, 1))}, "", "", "row 1"},
		{"INT96 as text", leafNode("c", required, parquet.Types.Int96, none, -1), []parquet.Int96{int96(time.Date(9999, 12, 31, 0, 0, 0, 1, time.UTC))}, "string", "string [9999-12-31T00:00:00.000000001Z]", ""},
		{"float as a longer one", leafNode("c", required, fixed, schema.Float16LogicalType{}, 2), []string{"\x66\x2e"}, "float64", "float64 [0.0999755859375]", ""},
		{"nothing as a number, as it landed before", leafNode("c", optional, int32s, schema.NullLogicalType{}, -1), []int32(nil), "int64", "int64 [" + formatstest.Null + "]", ""},
		{"a number as a longer one", leafNode("c", required, int32s, none, -1), []int32{-7}, "int64", "int64 [-7]", ""},
		{"day", leafNode("c", required, int32s, schema.DateLogicalType{}, -1), []int32{-1}, "string", "string [1969-12-31]", ""},
		{"no name", leafNode("", required, int32s, none, -1), []int32{1}, "", "int32 [1]", ""},
	} {
		column := chunk{values: c.values}
		if v, ok := c.values.([]int32); ok && v == nil {
			column.def = []int16{0}
		}
		settings := `{"path":"x.parquet"}`
		if c.as != "" {
			settings = `{"path":"x.parquet","column_types":{"c":"` + c.as + `"}}`
		}
		got, rows, err := formatstest.Table(t, "x.parquet", parquetFile(t, []schema.Node{c.node}, []chunk{column}), settings, driver.Limits{})
		if c.err != "" {
			if !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "damaged") {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		text := got.Columns[0].Type.String()
		for _, row := range rows {
			text += fmt.Sprint(" ", row)
		}
		if text != c.want {
			t.Errorf("%s: %s, want %s", c.name, text, c.want)
		}
	}
}

// TestParquetNestedValues reads lists, maps and structs, of old and new forms.
func TestParquetNestedValues(t *testing.T) {
	none, list, mapping := schema.NoLogicalType{}, schema.ListLogicalType{}, schema.MapLogicalType{}
	number := func(name string, rep parquet.Repetition) schema.Node { return leafNode(name, rep, int32s, none, -1) }
	for _, c := range []struct {
		name   string
		node   schema.Node
		chunks []chunk
		want   string
		err    string
	}{
		{"text in a list that is none", groupNode("c", optional, list, groupNode("list", repeated, nil, leafNode("element", optional, binaries, schema.StringLogicalType{}, -1))),
			[]chunk{{[]string{"fine", "M\xfcller"}, []int16{3, 3}, []int16{0, 1}}}, "", `row 1: column "c" (list<element: utf8, nullable>) holds text that is not UTF-8`},
		{"fields of one name", groupNode("c", required, nil, number("x", required), number("x", required), number("x_2", required)), []chunk{{values: []int32{10}}, {values: []int32{20}}, {values: []int32{30}}}, `[{"x":10,"x_3":20,"x_2":30}]`, ""},
		{"decimals", groupNode("c", optional, list, groupNode("list", repeated, nil, leafNode("element", required, int32s, schema.NewDecimalLogicalType(9, 2), -1))),
			[]chunk{{[]int32{110, 200, 1}, []int16{2, 2, 2}, []int16{0, 1, 1}}}, `[["1.10","2.00","0.01"]]`, ""},
		{"years", groupNode("c", required, nil, leafNode("from", required, int64s, schema.NewTimestampLogicalType(false, schema.TimeUnitMicros), -1), leafNode("to", required, int64s, schema.NewTimestampLogicalType(true, schema.TimeUnitMicros), -1)),
			[]chunk{{values: []int64{-62_200_000_000_000_000}}, {values: []int64{316_516_204_800_000_000}}}, `[{"from":"-0002-12-17T14:13:20","to":"+12000-01-01T00:00:00Z"}]`, ""},
		{"lists of two levels", groupNode("c", required, list, groupNode("array", repeated, list, number("array", repeated))),
			[]chunk{{[]int32{1, 2, 3, 4}, []int16{2, 2, 2, 2}, []int16{0, 2, 1, 0}}}, `[[[1,2],[3]]] [[[4]]]`, ""},
		{"a list of a list, nothing and NULL", groupNode("c", optional, list, groupNode("list", repeated, nil, groupNode("element", optional, list, groupNode("list", repeated, nil, number("element", optional))))),
			[]chunk{{[]int32{7}, []int16{0, 1, 2, 3, 4, 5}, []int16{0, 0, 0, 0, 0, 2}}}, `[` + formatstest.Null + `] [[]] [[null]] [[[]]] [[[null,7]]]`, ""},
		{"structs called array", groupNode("c", required, list, groupNode("array", repeated, nil, number("x", required))), []chunk{{[]int32{1, 2}, []int16{1, 1}, []int16{0, 1}}}, `[[{"x":1},{"x":2}]]`, ""},
		{"a field that comes again", number("c", repeated), []chunk{{[]int32{1, 2}, []int16{1, 1, 0}, []int16{0, 1, 0}}}, `[[1,2]] [[]]`, ""},
		{"map", groupNode("c", optional, mapping, groupNode("key_value", repeated, nil, leafNode("key", required, binaries, schema.StringLogicalType{}, -1), number("value", optional))),
			[]chunk{{[]string{"a\"", "b"}, []int16{2, 2, 1, 0}, []int16{0, 1, 0, 0}}, {[]int32{1}, []int16{3, 2, 1, 0}, []int16{0, 1, 0, 0}}}, `[[{"key":"a\"","value":1},{"key":"b","value":null}]] [[]] [` + formatstest.Null + `]`, ""},
		{"map without values", groupNode("c", required, mapping, groupNode("key_value", repeated, nil, number("key", required))), []chunk{{[]int32{1, 2}, []int16{1, 1}, []int16{0, 1}}}, `[[1,2]]`, ""},
		{"JSON in a struct", groupNode("c", required, nil, leafNode("doc", required, binaries, schema.JSONLogicalType{}, -1), leafNode("raw", required, binaries, none, -1)),
			[]chunk{{values: []string{`{"x": 1.50}`}}, {values: []string{"\xff"}}}, `[{"doc":{"x": 1.50},"raw":"/w=="}]`, ""},
		{"a time of no day in a struct", groupNode("c", required, nil, leafNode("t", required, int32s, schema.NewTimeLogicalType(false, schema.TimeUnitMillis), -1)), []chunk{{values: []int32{90_000_000}}}, "", "row 1"},
	} {
		content := parquetFile(t, []schema.Node{c.node}, c.chunks)
		got, rows, err := formatstest.Table(t, "x.parquet", content, `{"path":"x.parquet"}`, driver.Limits{})
		if c.err != "" {
			if !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "column_types") {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
			continue
		}
		var text []string
		for _, row := range rows {
			text = append(text, fmt.Sprint(row))
		}
		if err != nil || strings.Join(text, " ") != c.want || got.Columns[0].Type.Kind != driver.JSON {
			t.Errorf("%s: %s, want %s (%v)", c.name, text, c.want, err)
		}
	}
}

// TestParquetVariants reads variants in one piece, and with parts of them in
// columns of their own.
func TestParquetVariants(t *testing.T) {
	var b variant.Builder
	start := b.Offset()
	fields := []variant.FieldEntry{b.NextField(start, "price")}
	b.AppendDecimal4(2, decimal.Decimal32(110))
	fields = append(fields, b.NextField(start, "tags"))
	inner := b.Offset()
	offsets := []int{b.NextElement(inner)}
	b.AppendString("a\"b")
	offsets = append(offsets, b.NextElement(inner))
	b.AppendNull()
	if err := b.FinishArray(inner, offsets); err != nil {
		t.Fatal(err)
	}
	if err := b.FinishObject(start, fields); err != nil {
		t.Fatal(err)
	}
	whole, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	names, raw := string(whole.Metadata().Bytes()), string(whole.Bytes())
	number, err := variant.Of(int8(5))
	if err != nil {
		t.Fatal(err)
	}
	five := string(number.Bytes())
	none := schema.NoLogicalType{}
	binary := func(name string, rep parquet.Repetition) schema.Node { return leafNode(name, rep, binaries, none, -1) }
	id := groupNode("id", required, nil, binary("value", optional), leafNode("typed_value", optional, int32s, none, -1))
	node := groupNode("c", optional, schema.VariantLogicalType{}, binary("metadata", required), binary("value", optional), groupNode("typed_value", optional, nil, id))
	// Rows: NULL; in one piece; a field in a column beside the others; the same
	// field as a variant; not an object, in two places.
	chunks := []chunk{
		{[]string{names, names, names, names}, []int16{0, 1, 1, 1, 1}, nil},
		{[]string{raw, raw, five}, []int16{0, 2, 2, 1, 2}, nil},
		{[]string{five}, []int16{0, 1, 2, 3, 2}, nil},
		{[]int32{7, 8}, []int16{0, 1, 3, 2, 3}, nil},
	}
	_, rows, err := formatstest.Table(t, "x.parquet", parquetFile(t, []schema.Node{node}, chunks), `{"path":"x.parquet"}`, driver.Limits{BatchRows: 4})
	want := fmt.Sprintf(`[[%s] [{"price":1.10,"tags":["a\"b",null]}] [{"id":7,"price":1.10,"tags":["a\"b",null]}] [{"id":5}]]`, formatstest.Null)
	if fmt.Sprint(rows) != want || !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "row 5") {
		t.Errorf("%v, want %s (%v)", rows, want, err)
	}
}

// TestParquetRowGroups reads rows that lie in several row groups, in batches that
// do not end where those do.
func TestParquetRowGroups(t *testing.T) {
	fields := []schema.Node{leafNode("n", optional, int64s, schema.NoLogicalType{}, -1), leafNode("u", required, fixed, schema.NoLogicalType{}, 2),
		groupNode("l", optional, schema.ListLogicalType{}, groupNode("list", repeated, nil, leafNode("element", optional, binaries, schema.StringLogicalType{}, -1)))}
	var groups [][]chunk
	var want []string
	n := 0
	for _, size := range []int{3, 0, 1, 5} {
		var numbers []int64
		var words, items []string
		var def, listDef, listRep []int16
		for range size {
			n++
			words = append(words, fmt.Sprintf("%02d", n))
			if n%3 == 0 {
				def, listDef, listRep = append(def, 0), append(listDef, 0), append(listRep, 0)
				want = append(want, fmt.Sprintf("[%s %x %s]", formatstest.Null, words[len(words)-1], formatstest.Null))
				continue
			}
			numbers, items = append(numbers, int64(n)), append(items, "x", fmt.Sprint(n))
			def, listDef, listRep = append(def, 1), append(listDef, 3, 2, 3), append(listRep, 0, 1, 1)
			want = append(want, fmt.Sprintf(`[%d %x ["x",null,"%d"]]`, n, words[len(words)-1], n))
		}
		groups = append(groups, []chunk{{numbers, def, nil}, {words, nil, nil}, {items, listDef, listRep}})
	}
	content := parquetFile(t, fields, groups...)
	for _, size := range []int{1, 2, 4, 100} {
		_, rows, err := formatstest.Table(t, "x.parquet", content, `{"path":"x.parquet"}`, driver.Limits{BatchRows: size})
		var got []string
		for _, row := range rows {
			got = append(got, fmt.Sprint(row))
		}
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("batches of %d: %q, want %q (%v)", size, got, want, err)
		}
	}
}

// TestParquetThatIsNotRead refuses by name, and calls nothing damaged that is
// not.
func TestParquetThatIsNotRead(t *testing.T) {
	plain := parquetFile(t, []schema.Node{leafNode("c", required, fixed, schema.UUIDLogicalType{}, 16)}, []chunk{{values: []string{"0123456789abcdef"}}})
	if _, _, err := formatstest.Table(t, "x.parquet", "PARE"+plain[4:len(plain)-4]+"PARE", `{"path":"x.parquet"}`, driver.Limits{}); !errors.Is(err, driver.ErrUnsupported) || !strings.Contains(err.Error(), "encrypted") {
		t.Errorf("an encrypted footer: %v", err)
	}
	if _, _, err := formatstest.Table(t, "x.parquet", plain[:len(plain)-4], `{"path":"x.parquet"}`, driver.Limits{}); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("cut off: %v", err)
	}
	// The UUID's annotation, field 14 of a union, becomes one that nobody knows.
	unknown := strings.Replace(plain, "\xec\x00\x00", "\x9c\x00\x00", 1)
	if unknown == plain {
		t.Fatal("the file has no such annotation")
	}
	got, rows, err := formatstest.Table(t, "x.parquet", unknown, `{"path":"x.parquet"}`, driver.Limits{})
	if err != nil || got.Columns[0].Type.Kind != driver.Bytes || rows[0][0] != fmt.Sprintf("%x", "0123456789abcdef") {
		t.Errorf("an unknown annotation: %v %v %v", got.Columns, rows, err)
	}
	twice := parquetFile(t, []schema.Node{leafNode("c", required, int32s, schema.NoLogicalType{}, -1), leafNode("c", required, int32s, schema.NoLogicalType{}, -1)}, []chunk{{values: []int32{1}}, {values: []int32{2}}})
	got, rows, err = formatstest.Table(t, "x.parquet", twice, `{"path":"x.parquet"}`, driver.Limits{})
	if err != nil || got.Columns[1].Name != "c_2" || fmt.Sprint(rows) != "[[1 2]]" {
		t.Errorf("two columns of one name: %v %v %v", got.Columns, rows, err)
	}
}
