package file_test

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headwater/connectors/driver"
)

// closed is a files root with a folder, or a file, that cannot be read.
type closed struct {
	fs.FS
	folder string
	err    error // why not, nil if it is not allowed
}

func (c closed) Open(name string) (fs.File, error) {
	if name == c.folder {
		return nil, &fs.PathError{Op: "open", Path: name, Err: cmp.Or(c.err, fs.ErrPermission)}
	}
	return c.FS.Open(name)
}

// Stat tells of the folder nevertheless, as a system does.
func (c closed) Stat(name string) (fs.FileInfo, error) { return fs.Stat(c.FS, name) }

// What a path leads to and cannot be read is told of: rows would be missing unnoticed.
func TestWhatCannotBeReadIsTold(t *testing.T) {
	files, dir := folder(t, map[string]string{"in/a/x.csv": "id\n1\n", "in/b/x.csv": "id\n2\n", "in/c/.hidden/x.csv": "id\n9\n", "links/x.csv": "id\n1\n", "out/x.csv": "id\n1\n", "dirs/x.csv": "id\n1\n", "away/a/x.csv": "id\n1\n", "in/z.txt": ""})
	_, outside := folder(t, map[string]string{"z.csv": "id\n3\n"})
	for link, to := range map[string]string{"links/y.csv": "gone.csv", "out/y.csv": filepath.Join(outside, "z.csv"), "dirs/y.csv": ".", "away/b": outside} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		settings, folder, says string
		err                    error
	}{
		"a folder below a pattern":            {`{"path":"in/*/x.csv"}`, "in/b", "in/b", nil},
		"a folder below **":                   {`{"path":"in/**/x.csv"}`, "in/b", "in/b", nil},
		"a folder below a folder":             {`{"path":"in","recursive":true}`, "in/b", "in/b", nil},
		"a link to nowhere":                   {`{"path":"links/*.csv"}`, "", "links/y.csv", nil},
		"a link to nowhere below **":          {`{"path":"links/**/*.csv"}`, "", "links/y.csv", nil},
		"a link out of the root":              {`{"path":"out"}`, "", "out/y.csv", nil},
		"a link out of it by a pattern":       {`{"path":"out/*.csv"}`, "", "out/y.csv", nil},
		"a link out of it below **":           {`{"path":"out/**/*.csv"}`, "", "out/y.csv", nil},
		"a folder before the pattern":         {`{"path":"in/a/x*.csv"}`, "in", "", nil},
		"a folder that is not on the way":     {`{"path":"in/a/x*.csv"}`, "in/b", "", nil},
		"a hidden folder":                     {`{"path":"in/**/x.csv"}`, "in/c/.hidden", "", nil},
		"a link to a folder below **":         {`{"path":"dirs/**/*.csv"}`, "", "", nil},
		"a link to a folder out of the root":  {`{"path":"away/*/x.csv"}`, "", "away/b", nil},
		"a file in place of a folder":         {`{"path":"in/*/x.csv"}`, "in/z.txt", "", nil},
		"a folder that goes, below a pattern": {`{"path":"in/*/x.csv"}`, "in/b", "", fs.ErrNotExist},
		"a folder that goes, below **":        {`{"path":"in/**/x.csv"}`, "in/b", "", fs.ErrNotExist},
		"all below **":                        {`{"path":"**/a/x.csv"}`, "", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := open(t, closed{files, c.folder, c.err}, c.settings, driver.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if err := src.Check(t.Context()); err != nil {
				t.Errorf("Check = %v", err)
			}
			tables, err := src.Discover(t.Context())
			if len(tables) == 0 {
				t.Fatal(err)
			}
			var told []string
			if err != nil {
				told = append(told, err.Error())
			}
			for _, table := range tables {
				told = append(append(told, table.Notes...), table.LeftOut)
			}
			if text := strings.Trim(strings.Join(told, "\n"), "\n"); c.says == "" && text != "" || !strings.Contains(text, c.says) {
				t.Errorf("told %q, want %q", text, c.says)
			}
		})
	}
}

// A link to a file is read by every form of path; one to a folder is not followed by **.
func TestLinksAreRead(t *testing.T) {
	files, dir := folder(t, map[string]string{"in/a.csv": "id\n1\n", "kept/b.csv": "id\n2\n"})
	for link, to := range map[string]string{"in/b.csv": "../kept/b.csv", "in/again": "."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{`"in"`, `"in/*.csv"`, `"in/**/*.csv"`, `"in","recursive":true`} {
		src, err := open(t, files, `{"path":`+path+`}`, driver.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		tables, err := src.Discover(t.Context())
		if err != nil || len(tables) != 1 {
			t.Fatalf("%s: %+v, %v", path, tables, err)
		}
		if rows, _, err := read(t, src, tables[0], driver.Cursor{}); err != nil || len(rows) != 2 {
			t.Errorf("%s: %v, %v; want two rows", path, rows, err)
		}
	}
}
