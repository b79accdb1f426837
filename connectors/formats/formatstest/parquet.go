package formatstest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
)

// parquetColumns are the columns of the test file: their Arrow type, what they
// become, and two values as JSON and as text.
var parquetColumns = []struct {
	name       string
	arrow      arrow.DataType
	want       driver.Type
	json, text [2]string
}{
	{"i8", arrow.PrimitiveTypes.Int8, driver.Of(driver.Int32), [2]string{"-128", "null"}, [2]string{"-128", Null}},
	{"u32", arrow.PrimitiveTypes.Uint32, driver.Of(driver.Int64), [2]string{"4294967295", "0"}, [2]string{"4294967295", "0"}},
	{"u64", arrow.PrimitiveTypes.Uint64, driver.DecimalOf(20, 0), [2]string{"18446744073709551615", "1"}, [2]string{"18446744073709551615", "1"}},
	{"i64", arrow.PrimitiveTypes.Int64, driver.Of(driver.Int64), [2]string{"-9223372036854775808", "9007199254740993"}, [2]string{"-9223372036854775808", "9007199254740993"}},
	{"f32", arrow.PrimitiveTypes.Float32, driver.Of(driver.Float32), [2]string{"0.1", "null"}, [2]string{"0.1", Null}},
	{"f64", arrow.PrimitiveTypes.Float64, driver.Of(driver.Float64), [2]string{"0.1", "2.5"}, [2]string{"0.1", "2.5"}},
	{"ok", arrow.FixedWidthTypes.Boolean, driver.Of(driver.Boolean), [2]string{"true", "null"}, [2]string{"true", Null}},
	{"text", arrow.BinaryTypes.String, driver.Of(driver.String), [2]string{`"hé"`, `""`}, [2]string{"hé", ""}},
	{"raw", arrow.BinaryTypes.Binary, driver.Of(driver.Bytes), [2]string{`"AP8="`, "null"}, [2]string{"00ff", Null}},
	{"fixed", &arrow.FixedSizeBinaryType{ByteWidth: 2}, driver.Of(driver.Bytes), [2]string{`"AP8="`, "null"}, [2]string{"00ff", Null}},
	{"price", &arrow.Decimal128Type{Precision: 15, Scale: 2}, driver.DecimalOf(15, 2), [2]string{`"12.50"`, `"-0.01"`}, [2]string{"12.50", "-0.01"}},
	{"wide", &arrow.Decimal256Type{Precision: 50, Scale: 2}, driver.Of(driver.String), [2]string{`"1234567890123456789012345678901234567890.12"`, "null"}, [2]string{"1234567890123456789012345678901234567890.12", Null}},
	{"day", arrow.FixedWidthTypes.Date32, driver.Of(driver.Date), [2]string{`"2024-02-29"`, "null"}, [2]string{"2024-02-29", Null}},
	{"clock", arrow.FixedWidthTypes.Time32ms, driver.Of(driver.Time), [2]string{`"10:11:12.5"`, "null"}, [2]string{"10:11:12.500000", Null}},
	{"ms", &arrow.TimestampType{Unit: arrow.Millisecond}, driver.Of(driver.Timestamp), [2]string{`"2024-02-29 10:00:00.123"`, "null"}, [2]string{"2024-02-29T10:00:00.123000", Null}},
	{"ns", &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}, driver.Of(driver.TimestampTZ), [2]string{`"2024-02-29 10:00:00.123456Z"`, "null"}, [2]string{"2024-02-29T10:00:00.123456Z", Null}},
	{"id", extensions.NewUUIDType(), driver.Of(driver.UUID), [2]string{`"00112233-4455-6677-8899-aabbccddeeff"`, "null"}, [2]string{"00112233-4455-6677-8899-aabbccddeeff", Null}},
	{"list", arrow.ListOf(arrow.PrimitiveTypes.Int64), driver.Of(driver.JSON), [2]string{"[9007199254740993,null]", "null"}, [2]string{"[9007199254740993,null]", Null}},
	{"struct", arrow.StructOf(arrow.Field{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}), driver.Of(driver.JSON), [2]string{`{"a":"<&"}`, "null"}, [2]string{`{"a":"<&"}`, Null}},
}

// ParquetTable is what becomes of Parquet.
func ParquetTable(name string) drivertest.Expected {
	e := drivertest.Expected{Table: driver.Table{Name: name, Kind: "file", RowEstimate: 2}, Rows: make([][]string, 2), Cursors: []string{"i64"}}
	for _, c := range parquetColumns {
		e.Table.Columns = append(e.Table.Columns, driver.Column{Name: c.name, Type: c.want, Nullable: true})
		for i := range e.Rows {
			e.Rows[i] = append(e.Rows[i], c.text[i])
		}
	}
	return e
}

// Parquet returns a file of every type.
func Parquet(t testing.TB) []byte {
	t.Helper()
	var fields []arrow.Field
	rows := [2][]string{}
	for _, c := range parquetColumns {
		fields = append(fields, arrow.Field{Name: c.name, Type: c.arrow, Nullable: true})
		for i := range rows {
			rows[i] = append(rows[i], `"`+c.name+`":`+c.json[i])
		}
	}
	schema := arrow.NewSchema(fields, nil)
	record, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(`[{`+strings.Join(rows[0], ",")+`},{`+strings.Join(rows[1], ",")+`}]`))
	if err != nil {
		t.Fatal(err)
	}
	defer record.Release()
	return WriteParquet(t, record, pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
}

// WriteParquet returns a record as a file.
func WriteParquet(t testing.TB, record arrow.RecordBatch, props pqarrow.ArrowWriterProperties) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(record.Schema(), &out, parquet.NewWriterProperties(parquet.WithVersion(parquet.V2_LATEST)), props)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(record); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
