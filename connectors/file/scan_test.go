package file_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/file"
)

// divided opens a file whose ranges are of so many bytes, and divides it.
func divided(t *testing.T, name, content, settings string, size int64, columns []driver.Column) (driver.Source, driver.Table, driver.Scan, string, error) {
	t.Helper()
	files, dir := folder(t, map[string]string{name: content})
	src, err := file.Dividing(size).Open(t.Context(), driver.Config{Settings: json.RawMessage(settings), Files: files, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	table := driver.Table{Name: strings.TrimSuffix(name, filepath.Ext(name)), Columns: columns}
	if columns == nil {
		tables, err := src.Discover(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		table = tables[0]
	}
	scan, err := src.(driver.Scanner).Scan(t.Context(), table, nil)
	if err == nil {
		t.Cleanup(func() { scan.Close() })
	}
	return src, table, scan, filepath.Join(dir, name), err
}

func readRange(ctx context.Context, scan driver.Scan, r driver.Range) (rows [][]string, err error) {
	for batch, err := range scan.Read(ctx, r) {
		if err != nil {
			return rows, err
		}
		for i := range int(batch.Record.NumRows()) {
			var row []string
			for c := range int(batch.Record.NumCols()) {
				row = append(row, drivertest.Text(batch.Record.Column(c), i))
			}
			rows = append(rows, row)
		}
		batch.Record.Release()
	}
	return rows, nil
}

// TestRangesAreTheFile divides files into ranges of every small size and
// compares their rows, one range after the other, with those of a Read.
func TestRangesAreTheFile(t *testing.T) {
	for name, c := range map[string]struct{ file, content, settings string }{
		"quoted lines":    {"a.csv", sales, `{"path":"a.csv"}`},
		"a mark":          {"a.csv", "\ufeff" + sales, `{"path":"a.csv"}`},
		"a title":         {"a.csv", "\ufeffMy list\nn;t\n1;\"a\n\"\n2;x\n3;y\n", `{"path":"a.csv"}`},
		"no header":       {"a.csv", "1;\"a\n\"\"b\"\n2;x\r\n\r\n3;\"\n\n\"", `{"path":"a.csv","header":false}`},
		"a long header":   {"a.csv", "\"a\nheader of\nmany lines\",b\n1,2\n3,4\n", `{"path":"a.csv"}`},
		"single quotes":   {"a.csv", "n,t\n1,'a\n\"'\n2,'b''\n'\n", `{"path":"a.csv","quote":"'"}`},
		"no quotes":       {"a.csv", "n,t\n1,a\"\n2,\"b\n3,c\n", `{"path":"a.csv","quote":""}`},
		"tabs":            {"a.tsv", "n\tt\n1\ta\n2\t\"b\n\tc\"\n\n\n\n", `{"path":"a.tsv"}`},
		"lines":           {"a.ndjson", events + "\n", `{"path":"a.ndjson"}`},
		"lines and blank": {"a.ndjson", strings.ReplaceAll(events, "\n", "\r\n \n\n") + "\n \n\n\t\n", `{"path":"a.ndjson"}`},
	} {
		divisions := 0
		for size := int64(1); size*2 <= int64(len(c.content)); size++ {
			src, table, scan, _, err := divided(t, c.file, c.content, c.settings, size, nil)
			if err != nil {
				t.Fatalf("%s in ranges of %d bytes: %v", name, size, err)
			}
			want, _, err := read(t, src, table, driver.Cursor{})
			if err != nil {
				t.Fatal(err)
			}
			var got [][]string
			for _, r := range scan.Unread() {
				rows, err := readRange(t.Context(), scan, r)
				if err != nil {
					t.Fatalf("%s in ranges of %d bytes: %v", name, size, err)
				}
				got = append(got, rows...)
			}
			if divisions = max(divisions, len(scan.Unread())); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s in ranges of %d bytes: %q, want %q", name, size, got, want)
			}
		}
		if divisions < 2 {
			t.Errorf("%s was never divided", name)
		}
	}
}

func TestErrorInARangeNamesTheRowOfTheFile(t *testing.T) {
	var b strings.Builder
	b.WriteString("n,t\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "%d,\"a\nb\"\n", i+1)
	}
	columns := []driver.Column{col("n", driver.Of(driver.Int64)), col("t", driver.Of(driver.String))}
	for bad, want := range map[string]string{"x,\"a\nb\"\n": "row 1500: column \"n\" holds a value that is not int64", "1500\n": "row 1500 (after the header) has 1 fields"} {
		_, _, scan, _, err := divided(t, "a.csv", strings.Replace(b.String(), "1500,\"a\nb\"\n", bad, 1), `{"path":"a.csv"}`, 1000, columns)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, r := range scan.Unread() {
			if _, err := readRange(t.Context(), scan, r); err != nil && !found {
				found = true
				if !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		}
		if !found {
			t.Errorf("no range failed, want %q", want)
		}
	}
}

func TestFilesThatAreNotDivided(t *testing.T) {
	lines := strings.Repeat("{\"a\":\n{\"b\":1}}\n", 100)
	for name, content := range map[string]string{"a.csv.gz": gzipped(strings.Repeat("a,b\n1,2\n", 1000)), "a.json": "[" + strings.Repeat("{\"a\":1},\n", 100) + "{}]", "a.ndjson": lines, "a.csv": "a,b\n1,2\n"} {
		size := int64(16)
		if name == "a.csv" {
			size = 1000
		}
		if _, _, _, _, err := divided(t, name, content, `{"path":"`+name+`"}`, size, nil); !errors.Is(err, driver.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRangeThatIsWrittenToFails(t *testing.T) {
	_, _, scan, path, err := divided(t, "a.csv", "n,t\n"+strings.Repeat("1,abc\n", 1000), `{"path":"a.csv"}`, 1000, nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("2"), 4)
	f.Close()
	os.Chtimes(path, info.ModTime(), info.ModTime()) // as if nothing had been
	unread := scan.Unread()
	if _, err := readRange(t.Context(), scan, unread[0]); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("the changed range: %v", err)
	}
	if _, err := readRange(t.Context(), scan, unread[1]); err != nil {
		t.Errorf("another range: %v", err)
	}
}
