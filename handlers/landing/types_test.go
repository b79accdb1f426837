package landing

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/reading"
	"headwater/handlers/landing/storage"
)

func typesTable() driver.Table {
	t := driver.Table{Name: "types"}
	for _, c := range []driver.Type{
		driver.Of(driver.String), driver.Of(driver.Boolean), driver.Of(driver.Int32), driver.Of(driver.Int64),
		driver.Of(driver.Float32), driver.Of(driver.Float64), driver.DecimalOf(5, 2), driver.DecimalOf(15, 2), driver.DecimalOf(38, 10),
		driver.Of(driver.Bytes), driver.Of(driver.Date), driver.Of(driver.Time), driver.Of(driver.Timestamp), driver.Of(driver.TimestampTZ),
		driver.Of(driver.UUID), driver.Of(driver.JSON),
	} {
		t.Columns = append(t.Columns, driver.Column{Name: c.String(), Type: c, Nullable: true, SourceType: "x"})
	}
	return t
}

func decimal(text string, scale int32) decimal128.Num {
	n, err := decimal128.FromString(text, 38, scale)
	if err != nil {
		panic(err)
	}
	return n
}

// Three rows: ordinary values, extremes, and NULL in every column.
func typesBatch(t driver.Table) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(t))
	defer b.Release()
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"Grüße, \"\x00\" 🌊", ""}, nil)
	b.Field(1).(*array.BooleanBuilder).AppendValues([]bool{true, false}, nil)
	b.Field(2).(*array.Int32Builder).AppendValues([]int32{-7, math.MinInt32}, nil)
	b.Field(3).(*array.Int64Builder).AppendValues([]int64{1<<53 + 1, math.MinInt64}, nil)
	b.Field(4).(*array.Float32Builder).AppendValues([]float32{0.1, float32(math.Inf(-1))}, nil)
	b.Field(5).(*array.Float64Builder).AppendValues([]float64{0.1, math.NaN()}, nil)
	b.Field(6).(*array.Decimal128Builder).AppendValues([]decimal128.Num{decimal("1.50", 2), decimal("-999.99", 2)}, nil)
	b.Field(7).(*array.Decimal128Builder).AppendValues([]decimal128.Num{decimal("0.01", 2), decimal("-9999999999999.99", 2)}, nil)
	b.Field(8).(*array.Decimal128Builder).AppendValues([]decimal128.Num{decimal("0.0000000001", 10), decimal("-9999999999999999999999999999.9999999999", 10)}, nil)
	b.Field(9).(*array.BinaryBuilder).AppendValues([][]byte{{0, 0xff}, {}}, nil)
	b.Field(10).(*array.Date32Builder).AppendValues([]arrow.Date32{19_000, -719_162}, nil)
	b.Field(11).(*array.Time64Builder).AppendValues([]arrow.Time64{3_661_000_001, 86_399_999_999}, nil)
	b.Field(12).(*array.TimestampBuilder).AppendValues([]arrow.Timestamp{1_700_000_000_000_001, -62_135_596_800_000_000}, nil)
	b.Field(13).(*array.TimestampBuilder).AppendValues([]arrow.Timestamp{1_700_000_000_000_001, 253_402_300_799_999_999}, nil)
	b.Field(14).(*extensions.UUIDBuilder).Append(uuid.MustParse("0123abcd-0000-4000-8000-00000000ffff"))
	b.Field(14).(*extensions.UUIDBuilder).Append(uuid.Nil)
	b.Field(15).(*array.StringBuilder).AppendValues([]string{`{"b":1.0, "a":[null]}`, "null"}, nil)
	for i := range t.Columns {
		b.Field(i).AppendNull()
	}
	return b.NewRecordBatch()
}

func TestTypesComeBack(t *testing.T) {
	l := openLake(t, kvtest.New())
	tbl := typesTable()
	w, err := beginEncoding(t.Context(), l, Target{Address: home, Table: tbl, SyncID: "syn_1", Fence: 1, Mode: FullRefresh})
	if err != nil {
		t.Fatal(err)
	}
	rec := typesBatch(tbl)
	defer rec.Release()
	if err := w.Write(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	commit(t, w, nil, true)

	columns, got, err := l.Preview(t.Context(), home, "", "types", 10)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range tbl.Columns {
		if columns[i] != (reading.Column{Name: c.Name, Type: c.Type.String()}) {
			t.Errorf("column %d: %+v", i, columns[i])
		}
	}
	want := [][]any{
		{"Grüße, \"\x00\" 🌊", true, int64(-7), int64(1<<53 + 1), 0.1, 0.1, "1.50", "0.01", "0.0000000001", []byte{0, 0xff}, "2022-01-08",
			"01:01:01.000001", "2023-11-14T22:13:20.000001", "2023-11-14T22:13:20.000001Z", "0123abcd-0000-4000-8000-00000000ffff", `{"b":1.0, "a":[null]}`},
		{"", false, int64(math.MinInt32), int64(math.MinInt64), "-Infinity", "NaN", "-999.99", "-9999999999999.99", "-9999999999999999999999999999.9999999999", []byte{},
			"0001-01-01", "23:59:59.999999", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999Z", "00000000-0000-0000-0000-000000000000", "null"},
		make([]any, len(tbl.Columns)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what came back (-want +got):\n%s", diff)
	}

	// Other readers go by the files alone: types, field ids and statistics.
	at, err := l.catalog.Load(t.Context(), kvcatalog.IdentifierOf(home, "", "types"))
	if err != nil {
		t.Fatal(err)
	}
	parts, _, err := manifest.DataFiles(l.files, at.Meta.CurrentSnapshot())
	if err != nil || len(parts) != 1 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	f, err := l.files.Open(parts[0].FilePath())
	if err != nil {
		t.Fatal(err)
	}
	r, err := file.NewParquetReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wantPhysical := map[string]string{
		"decimal(5,2)": "INT32 Decimal(precision=5, scale=2)", "decimal(15,2)": "INT64 Decimal(precision=15, scale=2)",
		"decimal(38,10)": "FIXED_LEN_BYTE_ARRAY Decimal(precision=38, scale=10)", "uuid": "FIXED_LEN_BYTE_ARRAY UUID",
		"timestamp": "INT64 Timestamp(isAdjustedToUTC=false", "timestamptz": "INT64 Timestamp(isAdjustedToUTC=true",
		"date": "INT32 Date", "time": "INT64 Time(isAdjustedToUTC=false", "string": "BYTE_ARRAY String", "bytes": "BYTE_ARRAY None",
	}
	for i := range r.MetaData().Schema.NumColumns() {
		c := r.MetaData().Schema.Column(i)
		if id := c.SchemaNode().FieldID(); id != int32(i+1) {
			t.Errorf("%s: field id %d", c.Name(), id)
		}
		text := fmt.Sprintf("%s %s", c.PhysicalType(), c.LogicalType())
		if want, ok := wantPhysical[c.Name()]; ok && !strings.HasPrefix(text, want) {
			t.Errorf("%s is %s, want %s", c.Name(), text, want)
		}
		chunk, err := r.MetaData().RowGroup(0).ColumnChunk(i)
		if err != nil {
			t.Fatal(err)
		}
		if chunk.Compression().String() != "ZSTD" {
			t.Errorf("%s: %s", c.Name(), chunk.Compression())
		}
		if set, err := chunk.StatsSet(); err != nil || !set {
			t.Errorf("%s: no statistics, %v", c.Name(), err)
		}
		if parts[0].NullValueCounts()[i+1] != 1 || parts[0].ValueCounts()[i+1] != 3 {
			t.Errorf("%s: counts %d of %d", c.Name(), parts[0].NullValueCounts()[i+1], parts[0].ValueCounts()[i+1])
		}
	}
	if low := parts[0].LowerBoundValues()[3]; !bytes.Equal(low, []byte{0, 0, 0, 0x80}) {
		t.Errorf("lower bound of int32: %x", low)
	}
}

// Names are kept, whatever they look like.
func TestOddNames(t *testing.T) {
	long := strings.Repeat("ü", 300)
	names := []string{"id", "ID", "Id", "a.b", "a", "b", "a/b", " ", "select", "\"quoted\"", "_file", "_pos", "_row_id", "_deleted", "日本", "x\ny", "element", "list", "", long}
	tbl := driver.Table{Namespace: "weird.ns/../..", Name: "../" + long}
	for _, n := range names {
		if n != "" {
			tbl.Columns = append(tbl.Columns, driver.Column{Name: n, Type: driver.Of(driver.String), Nullable: true})
		}
	}
	a := home
	a.Organization, a.Workspace, a.Owner = "..", "a/b", "_"
	l := openLake(t, kvtest.New())
	w, err := beginEncoding(t.Context(), l, Target{Address: a, Table: tbl, SyncID: "../syn/1", Fence: 1, Mode: FullRefresh})
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(tbl))
	defer b.Release()
	for i, c := range tbl.Columns {
		b.Field(i).(*array.StringBuilder).Append("value of " + c.Name)
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	if err := w.Write(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	commit(t, w, nil, true)
	columns, rows, err := l.Preview(t.Context(), a, tbl.Namespace, tbl.Name, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range tbl.Columns {
		if columns[i].Name != c.Name || rows[0][i] != "value of "+c.Name {
			t.Errorf("%q came back as %q with %q", c.Name, columns[i].Name, rows[0][i])
		}
	}
	found, err := storage.List(l.files, l.root)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if strings.Contains(f.Name, "/../") {
			t.Errorf("a path that climbs: %s", f.Name)
		}
	}
	if _, err := l.Drop(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if found, err = storage.List(l.files, l.root); err != nil || len(found) != 0 {
		t.Errorf("after the drop: %v, %v", found, err)
	}
}
