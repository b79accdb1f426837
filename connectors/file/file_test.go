package file_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/file"
	"headwater/connectors/formats/formatstest"
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
		"data/sales.csv": "\ufeff" + sales, "data/packed.csv.gz": formatstest.Gzip(sales), "data/tabs.tsv": strings.ReplaceAll("id,city\n1,Rome\n2,\n", ",", "\t"),
		"data/lines.ndjson": events, "data/list.json": list, "data/wrapped.json.zst": formatstest.Zstd(`{"meta":{"n":2},"payload":{"rows":` + list + `}}`),
		"data/one.json": `{"id":7,"tags":["x"]}`, "data/big.csv": big.String(), "data/.hidden.csv": "a,b", "data/readme.md": "no data", "data/sub/x.csv": "a,b",
		"empty.csv": "", "utf16.csv": "\xff\xfea\x00,\x00b\x00", "latin.csv": "name\nM\xfcller\n", "none/readme.md": "", "bad.json": `[{"a":1},{"a":`, "x.parquet": "PAR1 no", "book.xlsx": "PK\x03\x04",
		"bare.csv": "a,b\n1,x\"y\n",
	})
	os.Symlink("/etc", filepath.Join(dir, "link"))
	if err := os.WriteFile(filepath.Join(dir, "data", "types.parquet"), formatstest.Parquet(t), 0o600); err != nil {
		t.Fatal(err)
	}
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
			formatstest.ParquetTable("types"),
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

func TestNames(t *testing.T) {
	files, _ := folder(t, map[string]string{"in/a.csv": "x,y\n1,2\n", "in/a.json": "[]", "in/b.csv.gz": formatstest.Gzip("x,y\n1,2\n"), "in/noending": "x,y\n1,2\n"})
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
