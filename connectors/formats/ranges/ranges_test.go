package ranges_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
	"headwater/connectors/formats/input"
	"headwater/connectors/formats/ranges"
)

const (
	sales = "id,name,price,big,code,day,at,zoned,ok,note\n" +
		"1,Ann,1.5,12345678901234567890,007,2024-02-29,2024-02-29 10:00:00,2024-02-29T10:00:00+02:00,true,\"a, \"\"b\"\"\nc\"\r\n" +
		"2,Bö,-3,-1,010,2024-03-01,2024-03-01T10:00:00.25,2024-02-29T10:00:00Z,false,\"\"\n" +
		"\n" +
		"3,,,,,,,,,\n"
	events = `{"id":1,"user":{"name":"Ann","tags":[1,2.50]},"n":9007199254740993,"mixed":"a","maybe":null}
{"id":2,"n":2.5,"mixed":7,"at":"2024-01-01T00:00:00Z","text":"h\u00e9\n","late":true}`
)

// divided opens a content whose ranges are of so many bytes, and divides it. rows
// are those that come of reading it from its beginning.
func divided(t *testing.T, name, content, settings string, size int64, columns []driver.Column) (rows [][]string, scan driver.Scan, err error) {
	t.Helper()
	src := formatstest.Random(name, content)
	table := driver.Table{Name: src.Table, Columns: columns}
	if columns == nil {
		whole := formatstest.DecodeFrom(t.Context(), formatstest.Kinds[0], name, content, settings, driver.Limits{})
		if whole.Err != nil {
			t.Fatal(whole.Err)
		}
		rows, table = whole.Rows, whole.Table
	}
	scan, err = divide(t, src, table, settings, size)
	return rows, scan, err
}

// divide divides a source into ranges of so many bytes.
func divide(t *testing.T, src input.Source, table driver.Table, settings string, size int64) (driver.Scan, error) {
	t.Helper()
	var s input.Settings
	if err := json.Unmarshal([]byte(settings), &s); err != nil {
		t.Fatal(err)
	}
	in, err := input.Open(t.Context(), src, s, driver.Limits{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	in.Known = &input.Known{}
	for _, c := range table.Columns {
		in.Known.Names = append(in.Known.Names, c.Name)
	}
	scan, err := ranges.Divide(t.Context(), in, table, size, src.Size, nil)
	if err == nil {
		t.Cleanup(func() { scan.Close() })
	}
	return scan, err
}

func readRange(ctx context.Context, scan driver.Scan, r driver.Range) (rows [][]string, err error) {
	for batch, err := range scan.Read(ctx, r) {
		if err != nil {
			return rows, err
		}
		rows = append(rows, formatstest.Rows(batch)...)
		batch.Record.Release()
	}
	return rows, nil
}

// TestRangesAreTheFile divides files into ranges of every small size and
// compares their rows, one range after the other, with those of a Read.
func TestRangesAreTheFile(t *testing.T) {
	for name, c := range map[string]struct{ file, content, settings string }{
		"quoted lines":    {"a.csv", sales, `{}`},
		"a mark":          {"a.csv", "\ufeff" + sales, `{}`},
		"a title":         {"a.csv", "\ufeffMy list\nn;t\n1;\"a\n\"\n2;x\n3;y\n", `{}`},
		"no header":       {"a.csv", "1;\"a\n\"\"b\"\n2;x\r\n\r\n3;\"\n\n\"", `{"header":false}`},
		"a long header":   {"a.csv", "\"a\nheader of\nmany lines\",b\n1,2\n3,4\n", `{}`},
		"single quotes":   {"a.csv", "n,t\n1,'a\n\"'\n2,'b''\n'\n", `{"quote":"'"}`},
		"no quotes":       {"a.csv", "n,t\n1,a\"\n2,\"b\n3,c\n", `{"quote":""}`},
		"tabs":            {"a.tsv", "n\tt\n1\ta\n2\t\"b\n\tc\"\n\n\n\n", `{}`},
		"lines":           {"a.ndjson", events + "\n", `{}`},
		"lines and blank": {"a.ndjson", strings.ReplaceAll(events, "\n", "\r\n \n\n") + "\n \n\n\t\n", `{}`},
	} {
		divisions := 0
		for size := int64(1); size*2 <= int64(len(c.content)); size++ {
			want, scan, err := divided(t, c.file, c.content, c.settings, size, nil)
			if err != nil {
				t.Fatalf("%s in ranges of %d bytes: %v", name, size, err)
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
	columns := []driver.Column{{Name: "n", Type: driver.Of(driver.Int64), Nullable: true}, {Name: "t", Type: driver.Of(driver.String), Nullable: true}}
	for bad, want := range map[string]string{"x,\"a\nb\"\n": "row 1500: column \"n\" holds a value that is not int64", "1500\n": "row 1500 (after the header) has 1 field,"} {
		_, scan, err := divided(t, "a.csv", strings.Replace(b.String(), "1500,\"a\nb\"\n", bad, 1), `{}`, 1000, columns)
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
	for name, content := range map[string]string{"a.csv.gz": formatstest.Gzip(strings.Repeat("a,b\n1,2\n", 1000)), "a.json": "[" + strings.Repeat("{\"a\":1},\n", 100) + "{}]", "a.ndjson": lines, "a.csv": "a,b\n1,2\n"} {
		size := int64(16)
		if name == "a.csv" {
			size = 1000
		}
		if _, _, err := divided(t, name, content, `{}`, size, nil); !errors.Is(err, driver.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRangeThatIsWrittenToFails(t *testing.T) {
	content := []byte("n,t\n" + strings.Repeat("1,abc\n", 1000))
	src := formatstest.Random("a.csv", string(content))
	src.At = bytes.NewReader(content) // which changes with it
	scan, err := divide(t, src, driver.Table{Name: "a", Columns: []driver.Column{{Name: "n", Type: driver.Of(driver.Int64)}, {Name: "t", Type: driver.Of(driver.String)}}}, `{}`, 1000)
	if err != nil {
		t.Fatal(err)
	}
	content[4] = '2'
	unread := scan.Unread()
	if _, err := readRange(t.Context(), scan, unread[0]); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("the changed range: %v", err)
	}
	if _, err := readRange(t.Context(), scan, unread[1]); err != nil {
		t.Errorf("another range: %v", err)
	}
}

// What stands behind a quote amid a field is found by reading from the beginning.
func TestQuotesAmidFieldsAreNotDivided(t *testing.T) {
	content := "n,s\n" + strings.Repeat("1,plain\n", 5000) + "2,5\" pipe\n" + strings.Repeat("3,\"a\nb\"\n", 5000)
	// The head, by which the dialect is found, ends before the quote.
	content = "n,s\n" + strings.Repeat("1,plain text\n", 100_000) + content[4:]
	if _, _, err := divided(t, "f.csv", content, `{}`, 1<<16, nil); !errors.Is(err, driver.ErrUnsupported) {
		t.Errorf("it is divided: %v", err)
	}
}

// A stream has no parts that could be read apart from each other.
func TestStreamIsNotDivided(t *testing.T) {
	src := formatstest.Once("a.csv", "n,t\n"+strings.Repeat("1,abc\n", 1000))
	if _, err := divide(t, src, driver.Table{Name: "a"}, `{}`, 1000); !errors.Is(err, driver.ErrUnsupported) {
		t.Errorf("it is divided: %v", err)
	}
}
