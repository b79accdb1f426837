package landing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/landing/reading"
)

func column(name string, t driver.Type, nullable bool) driver.Column {
	return driver.Column{Name: name, Type: t, Nullable: nullable}
}

// land lands one row of JSON of a table with an id to go by.
func land(l *Lake, mode string, fence uint64, id int64, columns []driver.Column, row string) error {
	tbl := driver.Table{Name: "t", Columns: append([]driver.Column{column("id", driver.Of(driver.Int64), false)}, columns...)}
	target := Target{Address: home, Table: tbl, SyncID: fmt.Sprint("syn_", fence), Fence: fence, Mode: mode, CursorColumn: "id"}
	ctx := context.Background()
	w, err := beginEncoding(ctx, l, target)
	if err != nil {
		return err
	}
	defer w.Abort(ctx)
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(tbl))
	defer b.Release()
	if err := b.UnmarshalJSON([]byte(row)); err != nil {
		return err
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	if err := w.Write(ctx, rec); err != nil {
		return err
	}
	_, err = w.Commit(ctx, behind(id), true)
	return err
}

func TestSchemaEvolution(t *testing.T) {
	i32, i64 := driver.Of(driver.Int32), driver.Of(driver.Int64)
	f32, f64 := driver.Of(driver.Float32), driver.Of(driver.Float64)
	text, json := driver.Of(driver.String), driver.Of(driver.JSON)
	for name, c := range map[string]struct {
		before, after []driver.Column
		first, second string
		columns       []reading.Column // of the table then, without the id
		one, two      []any            // the rows then, without the id
		refused       string           // by an incremental sync: what it says
		replacedType  string           // of column x after a full refresh
		replacedValue any
	}{
		"a column more": {
			before: []driver.Column{column("x", text, false)}, after: []driver.Column{column("x", text, false), column("y", i32, false)},
			first: `{"id":1,"x":"a"}`, second: `{"id":2,"x":"b","y":5}`,
			columns: []reading.Column{{Name: "x", Type: "string"}, {Name: "y", Type: "int32"}}, one: []any{"a", nil}, two: []any{"b", int64(5)},
			replacedType: "string", replacedValue: "b",
		},
		"a column less": {
			before: []driver.Column{column("x", text, false), column("y", i32, false)}, after: []driver.Column{column("x", text, false)},
			first: `{"id":1,"x":"a","y":5}`, second: `{"id":2,"x":"b"}`,
			columns: []reading.Column{{Name: "x", Type: "string"}, {Name: "y", Type: "int32"}}, one: []any{"a", int64(5)}, two: []any{"b", nil},
			replacedType: "string", replacedValue: "b",
		},
		"another order": {
			before: []driver.Column{column("x", text, true), column("y", i32, true)}, after: []driver.Column{column("y", i32, true), column("x", text, true)},
			first: `{"id":1,"x":"a","y":5}`, second: `{"id":2,"x":"b","y":6}`,
			columns: []reading.Column{{Name: "x", Type: "string"}, {Name: "y", Type: "int32"}}, one: []any{"a", int64(5)}, two: []any{"b", int64(6)},
			replacedType: "string", replacedValue: "b",
		},
		"may be NULL now": {
			before: []driver.Column{column("x", i32, false)}, after: []driver.Column{column("x", i32, true)},
			first: `{"id":1,"x":1}`, second: `{"id":2,"x":null}`,
			columns: []reading.Column{{Name: "x", Type: "int32"}}, one: []any{int64(1)}, two: []any{nil}, replacedType: "int32",
		},
		"int32 to int64": {
			before: []driver.Column{column("x", i32, true)}, after: []driver.Column{column("x", i64, true)},
			first: `{"id":1,"x":-1}`, second: `{"id":2,"x":5000000000}`,
			columns: []reading.Column{{Name: "x", Type: "int64"}}, one: []any{int64(-1)}, two: []any{int64(5_000_000_000)},
			replacedType: "int64", replacedValue: int64(5_000_000_000),
		},
		"int64 back to int32": {
			before: []driver.Column{column("x", i64, true)}, after: []driver.Column{column("x", i32, true)},
			first: `{"id":1,"x":5000000000}`, second: `{"id":2,"x":-1}`,
			columns: []reading.Column{{Name: "x", Type: "int64"}}, one: []any{int64(5_000_000_000)}, two: []any{int64(-1)},
			replacedType: "int32", replacedValue: int64(-1),
		},
		"float32 to float64": {
			before: []driver.Column{column("x", f32, true)}, after: []driver.Column{column("x", f64, true)},
			first: `{"id":1,"x":0.5}`, second: `{"id":2,"x":0.1}`,
			columns: []reading.Column{{Name: "x", Type: "float64"}}, one: []any{0.5}, two: []any{0.1}, replacedType: "float64", replacedValue: 0.1,
		},
		"float64 back to float32": {
			before: []driver.Column{column("x", f64, true)}, after: []driver.Column{column("x", f32, true)},
			first: `{"id":1,"x":0.1}`, second: `{"id":2,"x":0.5}`,
			columns: []reading.Column{{Name: "x", Type: "float64"}}, one: []any{0.1}, two: []any{0.5}, replacedType: "float32", replacedValue: 0.5,
		},
		"more digits": {
			before: []driver.Column{column("x", driver.DecimalOf(5, 2), true)}, after: []driver.Column{column("x", driver.DecimalOf(20, 2), true)},
			first: `{"id":1,"x":"1.25"}`, second: `{"id":2,"x":"123456789012345678.25"}`,
			columns: []reading.Column{{Name: "x", Type: "decimal(20,2)"}}, one: []any{"1.25"}, two: []any{"123456789012345678.25"},
			replacedType: "decimal(20,2)", replacedValue: "123456789012345678.25",
		},
		"fewer digits again": {
			before: []driver.Column{column("x", driver.DecimalOf(20, 2), true)}, after: []driver.Column{column("x", driver.DecimalOf(5, 2), true)},
			first: `{"id":1,"x":"123456789012345678.25"}`, second: `{"id":2,"x":"1.25"}`,
			columns: []reading.Column{{Name: "x", Type: "decimal(20,2)"}}, one: []any{"123456789012345678.25"}, two: []any{"1.25"},
			replacedType: "decimal(5,2)", replacedValue: "1.25",
		},
		"text to JSON": {
			before: []driver.Column{column("x", text, true)}, after: []driver.Column{column("x", json, true)},
			first: `{"id":1,"x":"b"}`, second: `{"id":2,"x":"\"b\""}`, refused: "column \"x\" was landed as string and is json now",
			replacedType: "json", replacedValue: `"b"`,
		},
		"JSON to text": {
			before: []driver.Column{column("x", json, true)}, after: []driver.Column{column("x", text, true)},
			first: `{"id":1,"x":"{}"}`, second: `{"id":2,"x":"b"}`, refused: "column \"x\" was landed as json and is string now",
			replacedType: "string", replacedValue: "b",
		},
		"JSON stays": {
			before: []driver.Column{column("x", json, true)}, after: []driver.Column{column("x", json, true)},
			first: `{"id":1,"x":"{}"}`, second: `{"id":2,"x":"[]"}`,
			columns: []reading.Column{{Name: "x", Type: "json"}}, one: []any{"{}"}, two: []any{"[]"}, replacedType: "json", replacedValue: "[]",
		},
		"another scale": {
			before: []driver.Column{column("x", driver.DecimalOf(10, 2), true)}, after: []driver.Column{column("x", driver.DecimalOf(10, 3), true)},
			first: `{"id":1,"x":"1.25"}`, second: `{"id":2,"x":"1.255"}`, refused: "column \"x\" was landed as decimal(10,2) and is decimal(10,3) now", replacedType: "decimal(10,3)", replacedValue: "1.255",
		},
		"text to number": {
			before: []driver.Column{column("x", text, true)}, after: []driver.Column{column("x", i64, true)},
			first: `{"id":1,"x":"a"}`, second: `{"id":2,"x":7}`, refused: "column \"x\" was landed as string and is int64 now", replacedType: "int64", replacedValue: int64(7),
		},
		"timestamp gets a zone": {
			before: []driver.Column{column("x", driver.Of(driver.Timestamp), true)}, after: []driver.Column{column("x", driver.Of(driver.TimestampTZ), true)},
			first: `{"id":1,"x":"2024-01-02 03:04:05"}`, second: `{"id":2,"x":"2024-01-02 03:04:05Z"}`, refused: "column \"x\" was landed as timestamp and is timestamptz now",
			replacedType: "timestamptz", replacedValue: "2024-01-02T03:04:05Z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLake(t, kvtest.New())
			if err := land(l, Incremental, 1, 1, c.before, c.first); err != nil {
				t.Fatal(err)
			}
			err := land(l, Incremental, 2, 2, c.after, c.second)
			switch {
			case c.refused != "" && (!errors.Is(err, ErrSchemaChanged) || !strings.Contains(err.Error(), c.refused)):
				t.Fatalf("an incremental sync: %v", err)
			case c.refused == "" && err != nil:
				t.Fatal(err)
			case c.refused == "":
				columns, got, err := l.Preview(t.Context(), home, "", "t", 10)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(append([]reading.Column{{Name: "id", Type: "int64"}}, c.columns...), columns); diff != "" {
					t.Error(diff)
				}
				want := [][]any{append([]any{int64(1)}, c.one...), append([]any{int64(2)}, c.two...)}
				if len(got) == 2 && got[0][0] == int64(2) {
					got[0], got[1] = got[1], got[0]
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			}
			if err := land(l, FullRefresh, 3, 2, c.after, c.second); err != nil {
				t.Fatalf("a full refresh: %v", err)
			}
			columns, got, err := l.Preview(t.Context(), home, "", "t", 10)
			if err != nil {
				t.Fatal(err)
			}
			if len(columns) != len(c.after)+1 || len(got) != 1 {
				t.Fatalf("after a full refresh: %v %v", columns, got)
			}
			for i, found := range columns {
				if found.Name == "x" && (found.Type != c.replacedType || got[0][i] != c.replacedValue) {
					t.Errorf("after a full refresh: %s %v", found.Type, got[0][i])
				}
			}
		})
	}
}

// A column that the source lost for a while is still what it was landed as.
func TestJSONIsRememberedWhileItIsAway(t *testing.T) {
	l := openLake(t, kvtest.New())
	x := func(k driver.Kind) []driver.Column { return []driver.Column{column("x", driver.Of(k), true)} }
	for i, step := range []struct {
		columns []driver.Column
		row     string
	}{{x(driver.JSON), `{"id":1,"x":"{}"}`}, {nil, `{"id":2}`}} {
		if err := land(l, Incremental, uint64(i+1), int64(i+1), step.columns, step.row); err != nil {
			t.Fatal(err)
		}
	}
	if err := land(l, Incremental, 3, 3, x(driver.String), `{"id":3,"x":"b"}`); !errors.Is(err, ErrSchemaChanged) {
		t.Errorf("text behind JSON: %v", err)
	}
	if err := land(l, Incremental, 4, 3, x(driver.JSON), `{"id":3,"x":"[]"}`); err != nil {
		t.Error(err)
	}
}

// What a sample found stays what it was landed as where it can be read as that.
func TestSampledTypesStay(t *testing.T) {
	x := func(k driver.Kind, source string) []driver.Column {
		return []driver.Column{{Name: "x", Type: driver.Of(k), SourceType: source, Nullable: true, Sampled: true}}
	}
	for name, c := range map[string]struct {
		before, after []driver.Column
		first, second string
		read          string // the type that the second is read as, "" for a refusal
	}{
		"text becomes nothing":   {x(driver.String, "string"), x(driver.JSON, driver.Unseen), `{"id":1,"x":"a"}`, `{"id":2,"x":null}`, "string"},
		"a number, then nothing": {x(driver.Int64, "number"), x(driver.JSON, driver.Unseen), `{"id":1,"x":1}`, `{"id":2,"x":null}`, "int64"},
		"nothing becomes text":   {x(driver.JSON, driver.Unseen), x(driver.String, "string"), `{"id":1,"x":null}`, `{"id":2,"x":"\"a\""}`, "json"},
		"JSON becomes a number":  {x(driver.JSON, "object or array"), x(driver.Int64, "number"), `{"id":1,"x":"{}"}`, `{"id":2,"x":"7"}`, "json"},
		"text becomes a number":  {x(driver.String, "text"), x(driver.Int64, "text"), `{"id":1,"x":"A1"}`, `{"id":2,"x":"300"}`, "string"},
		"text becomes a day":     {x(driver.String, "text"), x(driver.Date, "text"), `{"id":1,"x":"A1"}`, `{"id":2,"x":"2024-01-01"}`, "string"},
		"a number, then no text": {x(driver.Int64, "text"), x(driver.String, driver.Unseen), `{"id":1,"x":1}`, `{"id":2,"x":null}`, "int64"},
		"a day, then no text":    {x(driver.Date, "text"), x(driver.String, driver.Unseen), `{"id":1,"x":"2024-01-01"}`, `{"id":2,"x":null}`, "date"},
		"a fraction, then none":  {x(driver.Float64, "text"), x(driver.Int64, "text"), `{"id":1,"x":1.5}`, `{"id":2,"x":2}`, "float64"},
		"a number, then text":    {x(driver.Int64, "text"), x(driver.String, "text"), `{"id":1,"x":1}`, `{"id":2,"x":"a"}`, ""},
		"a number of fractions":  {x(driver.Int64, "text"), x(driver.Float64, "text"), `{"id":1,"x":1}`, `{"id":2,"x":1.5}`, ""},
		"a day, then a time":     {x(driver.Date, "text"), x(driver.Timestamp, "text"), `{"id":1,"x":"2024-01-01"}`, `{"id":2,"x":"2024-01-01 10:00:00"}`, ""},
		"text becomes JSON":      {x(driver.String, "string"), x(driver.JSON, "object or array, string"), `{"id":1,"x":"a"}`, `{"id":2,"x":"{}"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLake(t, kvtest.New())
			if err := land(l, Incremental, 1, 1, c.before, c.first); err != nil {
				t.Fatal(err)
			}
			tbl := driver.Table{Name: "t", Columns: append([]driver.Column{column("id", driver.Of(driver.Int64), false)}, c.after...)}
			w, err := l.Begin(t.Context(), Target{Address: home, Table: tbl, SyncID: "syn_2", Fence: 2, Mode: Incremental, CursorColumn: "id"})
			if c.read == "" {
				if !errors.Is(err, ErrSchemaChanged) {
					t.Fatal(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			as := w.Table()
			if err := w.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := as.Columns[1].Type.String(); got != c.read {
				t.Fatalf("it is read as %s", got)
			}
			if err := land(l, Incremental, 3, 2, as.Columns[1:], c.second); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestNullWhereNoneWasAnnounced(t *testing.T) {
	l := openLake(t, kvtest.New())
	err := land(l, FullRefresh, 1, 1, []driver.Column{column("x", driver.Of(driver.String), false)}, `{"id":1,"x":null}`)
	if !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), `row 1: column "x"`) {
		t.Errorf("%v", err)
	}
}

// Tables of thousands of columns land, within memory.
func TestThousandsOfColumns(t *testing.T) {
	const width = 4000
	tbl := driver.Table{Name: "broad"}
	for i := range width {
		kind := []driver.Kind{driver.String, driver.Int64, driver.Float64, driver.TimestampTZ}[i%4]
		tbl.Columns = append(tbl.Columns, column(fmt.Sprintf("c%04d", i), driver.Of(kind), i%3 > 0))
	}
	l := openLake(t, kvtest.New())
	w, err := beginEncoding(t.Context(), l, Target{Address: home, Table: tbl, SyncID: "syn_1", Fence: 1, Mode: FullRefresh})
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(tbl))
	defer b.Release()
	for range 100 {
		for i := range width {
			if err := b.Field(i).AppendValueFromString([]string{"text", "7", "0.5", "2024-01-02T03:04:05Z"}[i%4]); err != nil {
				t.Fatal(err)
			}
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	for range 3 {
		if err := w.Write(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	if c := commit(t, w, nil, true); c.Records != 300 {
		t.Errorf("%+v", c)
	}
	columns, got, err := l.reader().Taking(5*time.Minute).Preview(t.Context(), home, "", "broad", 2) // it is a matter of seconds, and of the machine
	if err != nil || len(columns) != width || len(got) != 2 || got[1][width-1] != "2024-01-02T03:04:05Z" {
		t.Errorf("%d columns, %d rows, %v", len(columns), len(got), err)
	}
}
