package file_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/file"
)

const null = drivertest.Null

// folder writes files and returns the file system that drivers get.
func folder(t *testing.T, files map[string]string) (fs.FS, string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root.FS(), dir
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

func zstandard(s string) string {
	w, _ := zstd.NewWriter(nil)
	defer w.Close()
	return string(w.EncodeAll([]byte(s), nil))
}

func open(t *testing.T, files fs.FS, settings string, limits driver.Limits) (driver.Source, error) {
	t.Helper()
	src, err := file.Driver{}.Open(t.Context(), driver.Config{Settings: json.RawMessage(settings), Files: files, Limits: limits, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Cleanup(func() { src.Close() })
	}
	return src, err
}

// read returns a table's rows and the last place to resume.
func read(t *testing.T, src driver.Source, table driver.Table, from driver.Cursor) (rows [][]string, resume *driver.Cursor, err error) {
	t.Helper()
	for batch, err := range src.Read(t.Context(), table, from) {
		if err != nil {
			return rows, resume, err
		}
		for i := range int(batch.Record.NumRows()) {
			var row []string
			for c := range int(batch.Record.NumCols()) {
				row = append(row, drivertest.Text(batch.Record.Column(c), i))
			}
			rows = append(rows, row)
		}
		if batch.Resume != nil {
			resume = batch.Resume
		}
		batch.Record.Release()
	}
	return rows, resume, nil
}

// table opens, discovers and reads the one table of a file.
func table(t *testing.T, name, content, settings string, limits driver.Limits) (driver.Table, [][]string, error) {
	t.Helper()
	files, _ := folder(t, map[string]string{name: content})
	src, err := open(t, files, settings, limits)
	if err != nil {
		return driver.Table{}, nil, err
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		return driver.Table{}, nil, err
	}
	rows, _, err := read(t, src, tables[0], driver.Cursor{})
	return tables[0], rows, err
}

func col(name string, t driver.Type) driver.Column {
	return driver.Column{Name: name, Type: t, Nullable: true}
}

const (
	sales = "id,name,price,big,code,day,at,zoned,ok,note\n" +
		"1,Ann,1.5,12345678901234567890,007,2024-02-29,2024-02-29 10:00:00,2024-02-29T10:00:00+02:00,true,\"a, \"\"b\"\"\nc\"\r\n" +
		"2,Bö,-3,-1,010,2024-03-01,2024-03-01T10:00:00.25,2024-02-29T10:00:00Z,false,\"\"\n" +
		"\n" +
		"3,,,,,,,,,\n"
	events = `{"id":1,"user":{"name":"Ann","tags":[1,2.50]},"n":9007199254740993,"mixed":"a","maybe":null}
{"id":2,"n":2.5,"mixed":7,"at":"2024-01-01T00:00:00Z","text":"h\u00e9\n","late":true}`
)

func salesTable(name string) drivertest.Expected {
	return drivertest.Expected{
		Table: driver.Table{Name: name, Kind: "file", RowEstimate: 3, Columns: []driver.Column{
			col("id", driver.Of(driver.Int64)), col("name", driver.Of(driver.String)), col("price", driver.Of(driver.Float64)),
			col("big", driver.DecimalOf(38, 0)), col("code", driver.Of(driver.String)), col("day", driver.Of(driver.Date)),
			col("at", driver.Of(driver.Timestamp)), col("zoned", driver.Of(driver.TimestampTZ)), col("ok", driver.Of(driver.Boolean)), col("note", driver.Of(driver.String))}},
		Rows: [][]string{
			{"1", "Ann", "1.5", "12345678901234567890", "007", "2024-02-29", "2024-02-29T10:00:00.000000", "2024-02-29T08:00:00.000000Z", "true", "a, \"b\"\nc"},
			{"2", "Bö", "-3", "-1", "010", "2024-03-01", "2024-03-01T10:00:00.250000", "2024-02-29T10:00:00.000000Z", "false", ""},
			{"3", null, null, null, null, null, null, null, null, null},
		},
		Cursors: []string{"id"},
	}
}

// rewrite returns a function that puts another file in the place of a CSV file:
// with rows more at its end, and changed and fewer before when anywhere is set.
func rewrite(path string, anywhere bool) func(context.Context) error {
	var mu sync.Mutex
	n := 0
	return func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		n++
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines := strings.SplitAfter(string(content), "\n")
		if anywhere {
			at := 1 + n*997%(len(lines)-10)
			lines[at] = strings.Replace(lines[at], "row", "ROW", 1)
			lines[at+1] = ""
		}
		id := strings.Count(string(content), "\n") + 1_000_000 + n
		lines = append(lines, fmt.Sprintf("%d;\"new; %d\"\n", id, id))
		if err := os.WriteFile(path+".new", []byte(strings.Join(lines, "")), 0o600); err != nil {
			return err
		}
		return os.Rename(path+".new", path)
	}
}

func TestConformance(t *testing.T) {
	var big strings.Builder
	big.WriteString("n;text\n")
	bigRows := make([][]string, 20_000)
	for i := range bigRows {
		fmt.Fprintf(&big, "%d;\"row; %d\"\n", i, i)
		bigRows[i] = []string{fmt.Sprint(i), fmt.Sprintf("row; %d", i)}
	}
	text, integer, doc := driver.Of(driver.String), driver.Of(driver.Int64), driver.Of(driver.JSON)
	eventsTable := func(name string) drivertest.Expected {
		return drivertest.Expected{
			Table: driver.Table{Name: name, Kind: "file", RowEstimate: 2, Columns: []driver.Column{
				col("id", integer), col("user", doc), col("n", driver.DecimalOf(38, 1)), col("mixed", text), col("maybe", doc),
				col("at", driver.Of(driver.TimestampTZ)), col("text", text), col("late", driver.Of(driver.Boolean))}},
			Rows: [][]string{
				{"1", `{"name":"Ann","tags":[1,2.50]}`, "9007199254740993.0", "a", null, null, null, null},
				{"2", null, "2.5", "7", null, "2024-01-01T00:00:00.000000Z", "hé\n", "true"},
			},
			Cursors: []string{"id"},
		}
	}
	list := "[" + strings.ReplaceAll(events, "\n", ",") + "]"
	files, dir := folder(t, map[string]string{
		"data/sales.csv": "\ufeff" + sales, "data/packed.csv.gz": gzipped(sales), "data/tabs.tsv": strings.ReplaceAll("id,city\n1,Rome\n2,\n", ",", "\t"),
		"data/lines.ndjson": events, "data/list.json": list, "data/wrapped.json.zst": zstandard(`{"meta":{"n":2},"payload":{"rows":` + list + `}}`),
		"data/one.json": `{"id":7,"tags":["x"]}`, "data/big.csv": big.String(), "data/.hidden.csv": "a,b", "data/readme.md": "no data", "data/sub/x.csv": "a,b",
		"empty.csv": "", "utf16.csv": "\xff\xfea\x00,\x00b\x00", "latin.csv": "name\nM\xfcller\n", "none/readme.md": "", "bad.json": `[{"a":1},{"a":`, "x.parquet": "PAR1 no", "book.xlsx": "PK\x03\x04",
		"bare.csv": "a,b\n1,x\"y\n",
	})
	os.Symlink("/etc", filepath.Join(dir, "link"))
	writeParquet(t, filepath.Join(dir, "data", "types.parquet"))
	drivertest.Run(t, drivertest.Harness{
		Driver: file.Dividing(32 << 10), Files: files, Settings: map[string]any{"path": "data"}, Exact: true, Large: "big", LargeRows: 20_000,
		Divided: &drivertest.Divided{Table: "big", Write: rewrite(filepath.Join(dir, "data", "big.csv"), true), Changes: []drivertest.Change{
			{Name: "rows anywhere", Apply: rewrite(filepath.Join(dir, "data", "big.csv"), true)},
			{Name: "rows at the end", Apply: rewrite(filepath.Join(dir, "data", "big.csv"), false), Keep: 5},
			{Name: "nothing", Apply: func(context.Context) error { return nil }, Keep: drivertest.KeepAll},
		}},
		Bad: []drivertest.Bad{
			{Name: "no path", Settings: map[string]any{}, Kind: driver.ErrInvalidConfig},
			{Name: "unknown key", Settings: map[string]any{"path": "data", "url": "x"}, Kind: driver.ErrInvalidConfig},
			{Name: "absolute", Settings: map[string]any{"path": "/etc/passwd"}, Kind: driver.ErrInvalidConfig},
			{Name: "escape", Settings: map[string]any{"path": "../x.csv"}, Kind: driver.ErrInvalidConfig},
			{Name: "link outside", Settings: map[string]any{"path": "link/passwd"}, Kind: driver.ErrInvalidConfig},
			{Name: "missing", Settings: map[string]any{"path": "gone.csv"}, Kind: driver.ErrNotFound},
			{Name: "no match", Settings: map[string]any{"path": "data/*.xml"}, Kind: driver.ErrNotFound},
			{Name: "bad pattern", Settings: map[string]any{"path": "data/[a.csv"}, Kind: driver.ErrInvalidConfig},
			{Name: "folder without files", Settings: map[string]any{"path": "none"}, Kind: driver.ErrNotFound},
			{Name: "empty", Settings: map[string]any{"path": "empty.csv"}, Kind: driver.ErrBadData},
			{Name: "UTF-16", Settings: map[string]any{"path": "utf16.csv", "encoding": "utf-8"}, Kind: driver.ErrInvalidConfig},
			{Name: "Latin-1", Settings: map[string]any{"path": "latin.csv"}, Kind: driver.ErrBadData},
			{Name: "no Parquet", Settings: map[string]any{"path": "x.parquet"}, Kind: driver.ErrBadData},
			{Name: "workbook", Settings: map[string]any{"path": "book.xlsx"}, Kind: driver.ErrUnsupported},
			{Name: "delimiter", Settings: map[string]any{"path": "data", "delimiter": "a\nb"}, Kind: driver.ErrInvalidConfig},
			{Name: "format", Settings: map[string]any{"path": "data", "format": "xml"}, Kind: driver.ErrInvalidConfig},
			{Name: "encoding", Settings: map[string]any{"path": "data", "encoding": "latin0"}, Kind: driver.ErrInvalidConfig},
		},
		Tables: []drivertest.Expected{
			salesTable("sales"), salesTable("packed"),
			{Table: driver.Table{Name: "tabs", Kind: "file", RowEstimate: 2, Columns: []driver.Column{col("id", integer), col("city", text)}}, Rows: [][]string{{"1", "Rome"}, {"2", null}}},
			eventsTable("lines"), eventsTable("list"), eventsTable("wrapped"),
			{Table: driver.Table{Name: "one", Kind: "file", RowEstimate: 1, Columns: []driver.Column{col("id", integer), col("tags", doc)}}, Rows: [][]string{{"7", `["x"]`}}, Cursors: []string{"id"}},
			{Table: driver.Table{Name: "big", Kind: "file", RowEstimate: 20_000, Columns: []driver.Column{col("n", integer), col("text", text)}}, Rows: bigRows},
			parquetTable("types"),
		},
	})
}

func TestUnorderedCursor(t *testing.T) {
	files, _ := folder(t, map[string]string{"a.csv": "n,at,s\n5,2024-01-05T00:00:00Z,e\n,,\n9,2024-01-09T00:00:00Z,i\n1,2024-01-01T00:00:00Z,a\n"})
	src, err := open(t, files, `{"path":"a.csv","header":true}`, driver.Limits{BatchRows: 2})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for column, values := range map[string][2]string{"n": {"4", "9"}, "at": {"2024-01-04T00:00:00.000000Z", "2024-01-09T00:00:00.000000Z"}, "s": {"d", "i"}} {
		rows, resume, err := read(t, src, tables[0], driver.Cursor{Column: column})
		if err != nil || len(rows) != 4 || resume == nil || *resume.Value != values[1] {
			t.Fatalf("%s: rows %v, resume %+v, %v", column, rows, resume, err)
		}
		rows, resume, err = read(t, src, tables[0], driver.Cursor{Column: column, Value: &values[0]})
		if err != nil || len(rows) != 2 || *resume.Value != values[1] {
			t.Fatalf("%s after %s: rows %v, %v", column, values[0], rows, err)
		}
		if rows, _, err = read(t, src, tables[0], *resume); err != nil || len(rows) != 0 {
			t.Fatalf("%s at the end: rows %v, %v", column, rows, err)
		}
	}
	if _, _, err := read(t, src, tables[0], driver.Cursor{Column: "n", Value: &[]string{"soon"}[0]}); !errors.Is(err, driver.ErrInvalidConfig) {
		t.Errorf("a cursor that is no number: %v", err)
	}
}

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
		got, rows, err := table(t, "f.csv", c.content, `{"path":"f.csv"`+c.settings+`}`, driver.Limits{})
		var columns []string
		for _, c := range got.Columns {
			columns = append(columns, c.Name+":"+c.Type.String())
		}
		if text := fmt.Sprint(columns, " ", rows); err != nil || text != c.want {
			t.Errorf("%s: %q, want %q (%v)", c.name, text, c.want, err)
		}
	}
}

func TestBadFiles(t *testing.T) {
	many := "n,s\n" + strings.Repeat("1,x\n", 300_000)
	var rows strings.Builder
	for n := range 100_000 {
		fmt.Fprintf(&rows, "%d,%08x\n", n, rand.Uint32())
	}
	whole, pressed := gzipped("n,s\n"+rows.String()), zstandard("n,s\n"+rows.String())
	for _, c := range []struct {
		name, file, content, settings string
		kind                          error
		message                       string
	}{
		{"ragged", "f.csv", "a,b\n1,2\n3,4,5\n", "", driver.ErrBadData, "row 2 (after the header) has 3 fields, the first row 2"},
		{"short row", "f.csv", "a,b\n1,2\n3\n", "", driver.ErrBadData, "row 2"},
		{"text after quotes", "f.csv", many + "1,\"x\"y\n" + many[4:], "", driver.ErrBadData, "row 300001: text after"},
		{"text after quotes", "f.csv", "a,b\n1,\"x\"y\n", "", driver.ErrBadData, "row 1: text after"},
		{"open quote", "f.csv", many + "1,\"y\n1,2\n", "", driver.ErrBadData, "row 300001: a quoted field that never ends"},
		{"NUL", "f.csv", many + "1,\x00\n", "", driver.ErrBadData, "row 300001: a NUL byte"},
		{"not UTF-8", "f.csv", many + "1,\xff\n", "", driver.ErrBadData, "row 300001: column \"s\""},
		{"after the sample", "f.csv", "n\n1\n2\nthree\n", `,"sample_rows":2`, driver.ErrBadData, `row 3: column "n" holds a value that is not int64`},
		{"long row", "f.csv", "a,b\n1," + strings.Repeat("x", 3<<20) + "\n", "", driver.ErrLimit, "longer than"},
		{"long row at the end of many", "f.csv", many + "1,\"" + strings.Repeat("x\n", 5<<20) + "\"\n", "", driver.ErrLimit, "row 300001 is longer"},
		{"truncated gzip", "f.csv.gz", gzipped(many)[:500], "", driver.ErrBadData, "truncated"},
		{"gzip without its last byte", "f.csv.gz", whole[:len(whole)-1], "", driver.ErrBadData, "truncated"},
		{"gzip without its checksum", "f.csv.gz", whole[:len(whole)-8], "", driver.ErrBadData, "truncated"},
		{"gzip cut in its last row", "f.csv.gz", whole[:len(whole)-12], "", driver.ErrBadData, "truncated"},
		{"gzip with a cut second member", "f.csv.gz", whole + whole[:len(whole)/2], "", driver.ErrBadData, "truncated"},
		{"zstd without its last byte", "f.csv.zst", pressed[:len(pressed)-1], "", driver.ErrBadData, "truncated"},
		{"zstd cut in its last block", "f.csv.zst", pressed[:len(pressed)-9], "", driver.ErrBadData, "truncated"},
		{"gzip with the head of a second member", "f.csv.gz", whole + whole[:5], "", driver.ErrBadData, "truncated"},
		{"bytes behind gzip", "f.csv.gz", whole + "junk", "", driver.ErrBadData, "f.csv.gz has bytes behind its end"},
		{"bytes behind gzip and its padding", "f.csv.gz", whole + strings.Repeat("\x00", 512) + whole, "", driver.ErrBadData, "f.csv.gz has bytes behind its end"},
		{"damaged gzip", "f.csv.gz", strings.Replace(gzipped(many), gzipped(many)[200:240], strings.Repeat("?", 40), 1), "", driver.ErrBadData, "f.csv.gz"},
		{"bomb", "f.csv.gz", gzipped("a,b\n" + strings.Repeat("0,0\n", 30<<20)), "", driver.ErrLimit, "bytes after decompression"},
		{"broken JSON", "f.json", `[{"a":1},{"a":}]`, "", driver.ErrBadData, "record 2"},
		{"cut JSON", "f.json", `[{"a":1},{"a":1`, "", driver.ErrBadData, "record 2: the file ends"},
		{"cut list", "f.json", `[{"a":1},`, "", driver.ErrBadData, "ends in the middle"},
		{"more after the list", "f.json", `[{"a":1}] x`, "", driver.ErrBadData, "after the end"},
		{"list of numbers", "f.json", `[1,2]`, "", driver.ErrBadData, "record 1 is a number"},
		{"NDJSON with a number", "f.ndjson", "{\"a\":1}\n5\n", "", driver.ErrBadData, "record 2 is a number"},
		{"two lists", "f.json", `{"a":[{"x":1}],"b":[{"y":1}]}`, "", driver.ErrBadData, "records_path"},
		{"wrong path", "f.json", `{"a":[{"x":1}]}`, `,"records_path":"b.c"`, driver.ErrInvalidConfig, "records_path"},
		{"long record", "f.ndjson", `{"a":"` + strings.Repeat("x", 3<<20) + `"}`, "", driver.ErrLimit, "longer than"},
		{"record a little too long", "f.ndjson", "{\"a\":1}\n" + `{"a":"` + strings.Repeat("x", 2<<20) + `"}`, "", driver.ErrLimit, "record 2 is longer than"},
		{"later JSON value", "f.ndjson", "{\"a\":1}\n{\"a\":\"x\"}\n", `,"sample_rows":1`, driver.ErrBadData, `record 2: field "a"`},
		{"no such key", "f.csv", "a,b\n1,2\n", `,"primary_key":["c"]`, driver.ErrInvalidConfig, `column "c", which table f does not have`},
		{"too wide", "f.csv", strings.Repeat("a,", 20) + "b\n", "", driver.ErrLimit, "21 columns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			limits := driver.Limits{MaxRowBytes: 2 << 20, MaxFileSize: 64 << 20, MaxColumns: 20}
			_, _, err := table(t, c.file, c.content, `{"path":"`+c.file+`"`+c.settings+`}`, limits)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.message) {
				t.Errorf("got %v, want %v: %s", err, c.kind, c.message)
			}
		})
	}
}

// A file that cannot be read leaves the others readable, and is told of; one that
// is alone is the source's failure.
func TestBadFilesAmongOthers(t *testing.T) {
	files, _ := folder(t, map[string]string{"a.csv": "id,at\n1,2026-01-01\n", "b.csv": "", "c.csv": "id,at\n1,2,3\n4\n", "d.csv": "id,at\n1,2026-01-01\n", "e.csv": "nope\n1\n"})
	src, err := open(t, files, `{"path":"*.csv","cursor":"at"}`, driver.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	var unread *driver.UnreadTables
	if len(tables) != 2 || tables[0].Name != "a" || tables[1].Name != "d" || !errors.As(err, &unread) {
		t.Fatalf("%+v, %v", tables, err)
	}
	want := []driver.UnreadTable{{Name: "b", Err: driver.ErrBadData}, {Name: "c", Err: driver.ErrBadData}, {Name: "e", Err: driver.ErrInvalidConfig}}
	for i, u := range unread.Tables {
		if i >= len(want) || u.Name != want[i].Name || !errors.Is(u.Err, want[i].Err) {
			t.Errorf("%s: %v", u.Name, u.Err)
		}
	}
	if rows, _, err := read(t, src, tables[1], driver.Cursor{}); err != nil || len(rows) != 1 {
		t.Errorf("%v, %v", rows, err)
	}
	if err := src.Check(t.Context()); err != nil {
		t.Errorf("the check said %v", err)
	}
	if src, err = open(t, files, `{"path":"*.csv","bad_files":"fail"}`, driver.Limits{}); err != nil {
		t.Fatal(err)
	}
	if err := src.Check(t.Context()); !errors.Is(err, driver.ErrBadData) {
		t.Errorf("the check of files that may not be bad said %v", err)
	}
	if src, err = open(t, files, `{"path":"[bc].csv"}`, driver.Limits{}); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Discover(t.Context()); err == nil || errors.As(err, &unread) {
		t.Errorf("bad files alone: %v", err)
	}
}

func TestFieldsAfterTheSampleAreKept(t *testing.T) {
	got, rows, err := table(t, "f.ndjson", "{\"a\":1}\n{\"a\":2,\"b\":\"x\",\"c\":[1]}\n{\"a\":3}\n", `{"path":"f.ndjson","sample_rows":1}`, driver.Limits{})
	if want := `[[1 ` + null + `] [2 {"b":"x","c":[1]}] [3 ` + null + `]]`; err != nil || fmt.Sprint(rows) != want || got.Columns[1].Name != "_extra" {
		t.Errorf("%v %q, want %q (%v)", got.Columns, fmt.Sprint(rows), want, err)
	}
}

// Members follow each other, also empty ones, and zeros fill the last block up.
func TestGzipMembersAndPadding(t *testing.T) {
	text := "n,s\n" + strings.Repeat("1,x\n", 300_000)
	for name, content := range map[string]string{
		"one": gzipped(text), "many": gzipped(text[:100]) + gzipped("") + gzipped(text[100:]), "padded": gzipped(text) + strings.Repeat("\x00", 512),
		"a zero": gzipped(text) + "\x00", "padded beyond what is read at once": gzipped(text) + strings.Repeat("\x00", 100_000),
	} {
		if _, rows, err := table(t, "f.csv.gz", content, `{"path":"f.csv.gz"}`, driver.Limits{}); err != nil || len(rows) != 300_000 {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
	}
}

func TestRatioLimit(t *testing.T) {
	bomb := zstandard(strings.Repeat("0,0\n", 20<<20))
	_, _, err := table(t, "f.csv.zst", bomb, `{"path":"f.csv.zst"}`, driver.Limits{})
	if !errors.Is(err, driver.ErrLimit) || !strings.Contains(err.Error(), "grows by more than") {
		t.Errorf("got %v", err)
	}
}

func TestNames(t *testing.T) {
	files, _ := folder(t, map[string]string{"in/a.csv": "x,y\n1,2\n", "in/a.json": "[]", "in/b.csv.gz": gzipped("x,y\n1,2\n"), "in/noending": "x,y\n1,2\n"})
	for path, want := range map[string]string{"in": "a.csv a.json b.csv.gz", "in/*.csv": "a", "in/b*": "b", "in/noending": "noending", "in/*": "a.csv a.json b.csv.gz noending"} {
		src, err := open(t, files, `{"path":"`+path+`"}`, driver.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		tables, err := src.Discover(t.Context())
		var names []string
		for _, table := range tables {
			names = append(names, table.Name)
		}
		if got := strings.Join(names, " "); got != want || err != nil {
			t.Errorf("%s: %s, want %s (%v)", path, got, want, err)
		}
	}
}
