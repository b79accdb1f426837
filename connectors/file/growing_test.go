package file_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/connectors/driver"
)

// writtenTo is a file system of files that something happens to once they are
// being read.
type writtenTo struct {
	fs.FS
	happens func()
}

func (w writtenTo) Open(name string) (fs.File, error) {
	f, err := w.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return &beingRead{File: f.(*os.File), happens: sync.OnceFunc(w.happens)}, nil
}

type beingRead struct {
	*os.File
	happens func()
}

func (f *beingRead) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.happens()
	return n, err
}

// A file that is appended to is read as it was when it was opened, without the
// line that was being written then; anything else that is written to it fails.
func TestFilesThatGrow(t *testing.T) {
	lines := func(from, to int) string {
		var b strings.Builder
		for n := from; n < to; n++ {
			fmt.Fprintf(&b, "{\"id\":%d,\"msg\":\"line %d\"}\n", n, n)
		}
		return b.String()
	}
	rows := func(from, to int) string {
		var b strings.Builder
		for n := from; n < to; n++ {
			fmt.Fprintf(&b, "%d,line %d\n", n, n)
		}
		return b.String()
	}
	later := time.Now().Add(time.Hour)
	for _, c := range []struct {
		what, name, begin string
		change            func(path string) error
		rows              int // -1 for a refusal
	}{
		{"records come", "f.ndjson", lines(0, 90_000), appends(lines(90_000, 90_010)), 90_000},
		{"rows come", "f.csv", "id,msg\n" + rows(0, 90_000), appends(rows(90_000, 90_010)), 90_000},
		{"rows come to a short file", "f.csv", "id,msg\n1,a\n2,b\n", appends("3,c\n"), 2},
		{"a record is finished", "f.ndjson", lines(0, 5) + `{"id":5,"ms`, appends("g\":\"x\"}\n"), 5},
		{"a row is finished", "f.csv", "id,msg\n1,a\n2,b", appends("cd\n"), 1},
		{"a row of many lines is finished", "f.csv", "id,msg\n1,a\n2,\"b\nc", appends("d\"\n"), 1},
		{"a row without an end stays", "f.csv", "id,msg\n1,a\n2,b", func(string) error { return nil }, 2},
		{"it is touched", "f.csv", "id,msg\n1,a\n", func(path string) error { return os.Chtimes(path, later, later) }, 1},
		{"it is written anew", "f.csv", "id,msg\n" + rows(0, 1000), func(path string) error {
			return os.WriteFile(path, []byte("id,msg\n"+strings.Replace(rows(0, 2000), "line 7\n", "lime 7\n", 1)), 0o600)
		}, -1},
		{"it is cut", "f.csv", "id,msg\n" + rows(0, 1000), func(path string) error { return os.Truncate(path, 100) }, -1},
		{"it is replaced", "f.csv", "id,msg\n" + rows(0, 1000), func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte("id,msg\n9,x\n"), 0o600), os.Rename(path+".new", path))
		}, 1000},
	} {
		t.Run(c.what, func(t *testing.T) {
			files, dir := folder(t, map[string]string{c.name: c.begin})
			path := filepath.Join(dir, c.name)
			table := driver.Table{Name: "f", Columns: []driver.Column{{Name: "id", Type: driver.Of(driver.Int64), Nullable: true}, {Name: "msg", Type: driver.Of(driver.String), Nullable: true}}}
			src, err := open(t, writtenTo{files, func() {
				if err := c.change(path); err != nil {
					t.Error(err)
				}
			}}, `{"path":"`+c.name+`"}`, driver.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := read(t, src, table, driver.Cursor{})
			if c.rows < 0 {
				if !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "changed while it was read") {
					t.Errorf("%d rows, %v", len(got), err)
				}
				return
			}
			if err != nil || len(got) != c.rows {
				t.Errorf("%d rows, want %d, %v", len(got), c.rows, err)
			}
		})
	}
}

// appends returns a change that adds to a file.
func appends(text string) func(string) error {
	return func(path string) error {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = io.WriteString(f, text)
		return errors.Join(err, f.Close())
	}
}
