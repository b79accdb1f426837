package file_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

// found opens, discovers and reads all tables of a path.
func found(t *testing.T, files fs.FS, settings string, known []driver.Table) (text string, tables []driver.Table, err error) {
	t.Helper()
	src, err := open(t, files, settings, driver.Limits{})
	if err != nil {
		return "", nil, err
	}
	src.(driver.Knower).Know(known)
	if err := src.Check(t.Context()); err != nil {
		return "", nil, err
	}
	tables, err = src.Discover(t.Context())
	var b strings.Builder
	for _, table := range tables {
		if table.LeftOut != "" {
			b.WriteString(table.Name + " is left out; ")
			continue
		}
		reader, err := open(t, files, settings, driver.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		rows, _, err := read(t, reader, table, driver.Cursor{})
		if err != nil {
			return b.String(), tables, err
		}
		b.WriteString(table.Name + " " + formatstest.Shape(table, rows) + "; ")
	}
	return strings.TrimSuffix(b.String(), "; "), tables, err
}

// Files of one shape are one table, others a table each.
func TestManyFiles(t *testing.T) {
	for _, c := range []struct {
		name     string
		files    map[string]string
		settings string
		want     string
		note     string
	}{
		{"a folder of equal files", map[string]string{"sales/b.csv": "id,n\n2,x\n", "sales/a.csv": "id,n\n1,5\n"}, `"path":"sales"`,
			"sales [id:int64 n:string _file:string] [[1 5 a.csv] [2 x b.csv]]", ""},
		{"a pattern", map[string]string{"in/sales-1.csv": "id\n1\n", "in/sales-2.csv.gz": formatstest.Gzip("id\n2.5\n"), "in/x.csv": "y\n1\n"}, `"path":"in/sales-*"`,
			"in [id:float64 _file:string] [[1 sales-1.csv] [2.5 sales-2.csv.gz]]", ""},
		{"a pattern at the root", map[string]string{"sales-1.csv": "id\n1\n", "sales-2.csv": "id\n2\n"}, `"path":"sales-*.csv"`,
			"sales [id:int64 _file:string] [[1 sales-1.csv] [2 sales-2.csv]]", ""},
		{"unlike files", map[string]string{"in/a.csv": "id\n1\n", "in/b.csv": "id,n\n2,3\n"}, `"path":"in"`, "a [id:int64] [[1]]; b [id:int64 n:int64] [[2 3]]", ""},
		{"unlike files, said", map[string]string{"in/a.csv": "id\n1\n", "in/b.csv": "n,id\n3,2\n"}, `"path":"in","files":"one_table"`,
			"in [id:int64 n:int64 _file:string] [[1 NULL a.csv] [2 3 b.csv]]", ""},
		{"equal files, said to be many", map[string]string{"in/a.csv": "id\n1\n", "in/b.csv": "id\n2\n"}, `"path":"in","files":"table_per_file"`, "a [id:int64] [[1]]; b [id:int64] [[2]]", ""},
		{"one file of a pattern", map[string]string{"in/a.csv": "id\n1\n"}, `"path":"in/*.csv"`, "a [id:int64] [[1]]", ""},
		{"files without names", map[string]string{"in/a.csv": "1,x\n", "in/b.csv": "2,y\n"}, `"path":"in","header":false`,
			"in [column_1:int64 column_2:string _file:string] [[1 x a.csv] [2 y b.csv]]", ""},
		{"files without names and unlike", map[string]string{"in/a.csv": "1,x\n", "in/b.csv": "z,3\n"}, `"path":"in","header":false`,
			"a [column_1:int64 column_2:string] [[1 x]]; b [column_1:string column_2:int64] [[z 3]]", ""},
		{"records", map[string]string{"in/a.ndjson": `{"id":1,"n":5}`, "in/b.json": `[{"id":2,"n":5.5},{"id":3,"n":1,"late":[1]}]`}, `"path":"in"`,
			"in [id:int64 n:float64 late:json _file:string] [[1 5 NULL a.ndjson] [2 5.5 NULL b.json] [3 1 [1] b.json]]", ""},
		{"partitions", map[string]string{"in/year=2023/city=New%20York/a.csv": "id\n1\n", "in/year=2024/city=Rome/a.csv": "id\n2\n", "in/year=2024/city=__HIVE_DEFAULT_PARTITION__/b.csv": "id\n3\n"}, `"path":"in"`,
			"in [id:int64 year:int64 city:string _file:string] [[1 2023 New York year=2023/city=New%20York/a.csv] [2 2024 Rome year=2024/city=Rome/a.csv] [3 2024 NULL year=2024/city=__HIVE_DEFAULT_PARTITION__/b.csv]]", ""},
		{"a partition of a name that is taken", map[string]string{"in/id=7/a.csv": "id\n1\n", "in/id=8/a.csv": "id\n2\n"}, `"path":"in/**"`,
			"in [id:int64 _file:string] [[1 id=7/a.csv] [2 id=8/a.csv]]", ""},
		{"folders in folders", map[string]string{"in/a.csv": "id\n1\n", "in/x/y/b.csv": "id\n2\n", "in/x/.hidden/c.csv": "id\n3\n"}, `"path":"in","recursive":true`,
			"in [id:int64 _file:string] [[1 a.csv] [2 x/y/b.csv]]", ""},
		{"a pattern of folders", map[string]string{"in/a.csv": "id\n1\n", "in/x/y/b.csv": "id\n2\n", "in/x/c.txt": "id\n3\n"}, `"path":"in/**/*.csv"`,
			"in [id:int64 _file:string] [[1 a.csv] [2 x/y/b.csv]]", ""},
		{"a bad file among equal ones", map[string]string{"in/a.csv": "id,n\n1,2\n", "in/b.csv": "id,n\n1,2,3\n", "in/c.csv": "id,n\n3,4\n", "in/d.csv": ""}, `"path":"in"`,
			"in [id:int64 n:int64 _file:string] [[1 2 a.csv] [3 4 c.csv]]", "b.csv"},
		{"a bad file among others", map[string]string{"in/a.csv": "id\n1\n", "in/b.csv": "id,n\n1,2,3\n", "in/c.csv": "x\n3\n"}, `"path":"in"`, "a [id:int64] [[1]]; b is left out; c [x:int64] [[3]]", ""},
		{"a header without rows", map[string]string{"in/a.csv": "id,n\n1,2\n", "in/b.csv": "id,n\n"}, `"path":"in"`, "in [id:int64 n:int64 _file:string] [[1 2 a.csv]]", ""},
		{"a column that is empty in one", map[string]string{"in/a.csv": "id,n\n1,\n", "in/b.csv": "id,n\n2,2024-01-01\n"}, `"path":"in"`,
			"in [id:int64 n:date _file:string] [[1 NULL a.csv] [2 2024-01-01 b.csv]]", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			files, _ := folder(t, c.files)
			got, tables, err := found(t, files, "{"+c.settings+"}", []driver.Table{})
			if err != nil || got != c.want {
				t.Fatalf("\n got %s\nwant %s (%v)", got, c.want, err)
			}
			if notes := strings.Join(tables[0].Notes, " "); c.note != "" && !strings.Contains(notes, c.note) {
				t.Errorf("notes %q", notes)
			}
			again, _, err := found(t, files, "{"+c.settings+"}", tables)
			if err != nil || again != got {
				t.Errorf("the second time:\n got %s\nwant %s (%v)", again, got, err)
			}
		})
	}
}

// Bad files can be told to fail, and nothing but bad files is a failure.
func TestBadFilesOfMany(t *testing.T) {
	files, dir := folder(t, map[string]string{"in/a.csv": "id,n\n1,2\n", "in/b.csv": "id,n\n1,2,3\n", "in/c.csv": "id,n\n3,4\n"})
	if _, _, err := found(t, files, `{"path":"in","bad_files":"fail"}`, []driver.Table{}); !errors.Is(err, driver.ErrBadData) {
		t.Errorf("bad_files: %v", err)
	}
	_, tables, err := found(t, files, `{"path":"in"}`, []driver.Table{})
	if err != nil {
		t.Fatal(err)
	}
	// One that goes bad between the look and the read is told of as well.
	if err := os.WriteFile(filepath.Join(dir, "in", "c.csv"), []byte("\x00\x01\x02\x03"), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := open(t, files, `{"path":"in"}`, driver.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var rows int64
	var notes []string
	for batch, err := range src.Read(t.Context(), tables[0], driver.Cursor{Column: "id"}) {
		if err != nil {
			t.Fatal(err)
		}
		rows += batch.Record.NumRows()
		notes = append(notes, batch.Notes...)
		batch.Record.Release()
	}
	if told := strings.Join(notes, " "); rows != 1 || !strings.Contains(told, "b.csv") || !strings.Contains(told, "c.csv") {
		t.Errorf("%d rows, notes %q", rows, told)
	}
	if err := os.WriteFile(filepath.Join(dir, "in", "a.csv"), []byte("\x00\x01\x02\x03"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(t, src, tables[0], driver.Cursor{}); !errors.Is(err, driver.ErrBadData) {
		t.Errorf("nothing but bad files: %v", err)
	}
}

// A cursor goes on past the rows of a file that could not be read: once it can be,
// all of them are taken.
func TestBadFileIsMadeUpFor(t *testing.T) {
	files, dir := folder(t, map[string]string{"in/a.csv": "id,n\n7,2\n", "in/b.csv": "id,n\n1,2,3\n", "in/c.csv": "id,n\n9,4\n"})
	_, tables, err := found(t, files, `{"path":"in"}`, []driver.Table{})
	if err != nil {
		t.Fatal(err)
	}
	from := func(at driver.Cursor) (ids string, next *driver.Cursor) {
		t.Helper()
		src, err := open(t, files, `{"path":"in"}`, driver.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		rows, next, err := read(t, src, tables[0], at)
		if err != nil || next == nil {
			t.Fatal(err, next)
		}
		for _, row := range rows {
			ids += row[0] + " "
		}
		return ids, next
	}
	if _, whole := from(driver.Cursor{}); whole.Column != "" || string(whole.Position) != `{"left_out":["in/b.csv"]}` {
		t.Errorf("a whole read notes %+v", whole)
	}
	ids, next := from(driver.Cursor{Column: "id"})
	if ids != "7 9 " || *next.Value != "9" || string(next.Position) != `{"left_out":["in/b.csv"]}` {
		t.Fatalf("%s, then %+v", ids, next)
	}
	if ids, next = from(*next); ids != "" || string(next.Position) != `{"left_out":["in/b.csv"]}` {
		t.Errorf("still bad: %s, then %+v", ids, next)
	}
	if err := os.WriteFile(filepath.Join(dir, "in", "b.csv"), []byte("id,n\n1,2\n3,4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ids, mended := from(*next)
	if ids != "1 3 " || *mended.Value != "9" || mended.Position != nil {
		t.Errorf("mended: %s, then %+v", ids, mended)
	}
	if ids, _ = from(*mended); ids != "" {
		t.Errorf("once more: %s", ids)
	}
	next.Position = []byte(`{"more":true}`) // there were more than have a place
	if ids, _ = from(*next); ids != "7 1 3 9 " {
		t.Errorf("any may be it: %s", ids)
	}
}

// What were tables of their own stay that, and one table stays one.
func TestManyFilesStayWhatTheyWere(t *testing.T) {
	files, dir := folder(t, map[string]string{"in/a.csv": "id\n1\n"})
	first, tables, err := found(t, files, `{"path":"in"}`, []driver.Table{})
	if err != nil || first != "a [id:int64] [[1]]" {
		t.Fatal(first, err)
	}
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "in", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("b.csv", "id\n2\n")
	if got, _, err := found(t, files, `{"path":"in"}`, tables); err != nil || got != "a [id:int64] [[1]]; b [id:int64] [[2]]" {
		t.Errorf("tables of their own: %s, %v", got, err)
	}
	_, tables, err = found(t, files, `{"path":"in"}`, []driver.Table{})
	if err != nil || len(tables) != 1 {
		t.Fatal(tables, err)
	}
	write("c.csv", "id,more\n3,x\n")
	write("d.csv", "") // a day without a row
	if got, _, err := found(t, files, `{"path":"in"}`, tables); err != nil || got != "in [id:int64 more:string _file:string] [[1 NULL a.csv] [2 NULL b.csv] [3 x c.csv]]" {
		t.Errorf("one table: %s, %v", got, err)
	}
}

// A file that was read and is empty today is what it was, without a row.
func TestEmptyDay(t *testing.T) {
	files, dir := folder(t, map[string]string{"a.csv": "id,n\n1,2\n"})
	_, tables, err := found(t, files, `{"path":"a.csv"}`, []driver.Table{})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"nothing": "", "a header": "id,n\n"} {
		if err := os.WriteFile(filepath.Join(dir, "a.csv"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		src, err := open(t, files, `{"path":"a.csv"}`, driver.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		src.(driver.Knower).Know(tables)
		if err := src.Check(t.Context()); err != nil {
			t.Errorf("%s: check: %v", name, err)
		}
		today, err := src.Discover(t.Context())
		if err != nil || len(today) != 1 || !today[0].Blank {
			t.Fatalf("%s: %+v, %v", name, today, err)
		}
		value := "1"
		if rows, _, err := read(t, src, tables[0], driver.Cursor{Column: "id", Value: &value}); err != nil || len(rows) != 0 {
			t.Errorf("%s: %v, %v", name, rows, err)
		}
	}
}

// What is said of the rows of a file, or left out of them, is so of one of several.
func TestDecidedByFileAmongSeveral(t *testing.T) {
	filler := strings.Repeat("3,Cid,2.5\n", 40)
	files, _ := folder(t, map[string]string{"in/a.csv": "id,name,n\n" + filler, "in/b.csv": "id,name,n\n1,Ann,1.5\nid,name,n\n" + filler})
	_, tables, err := found(t, files, `{"path":"in"}`, nil)
	if err != nil || len(tables) != 1 || tables[0].Columns[0].Type.Kind != driver.Int64 {
		t.Errorf("of several files: %+v, %v", tables, err)
	}
}

func TestSavedPagesOfSeveralFiles(t *testing.T) {
	files, _ := folder(t, map[string]string{"in/a.json": `{"items":[{"id":1}],"next_cursor":"t2"}`, "in/b.json": `{"items":[{"id":2}],"next_cursor":null}`})
	got, tables, err := found(t, files, `{"path":"in"}`, nil)
	if err != nil || got != "in [id:int64 _file:string] [[1 a.json] [2 b.json]]" || !strings.Contains(strings.Join(tables[0].Notes, " "), "in/a.json may be one page") {
		t.Errorf("%s, %+v, %v", got, tables, err)
	}
}
