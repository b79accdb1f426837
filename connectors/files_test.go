package connectors

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestFilesStayInTheirRoot(t *testing.T) {
	outside := t.TempDir()
	root := filepath.Join(outside, "root")
	write := func(name string) {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("data"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "secret"))
	write(filepath.Join(root, "a", "ok.csv"))
	for link, target := range map[string]string{"up": "../secret", "absolute": filepath.Join(outside, "secret"), "inside": "a/ok.csv", "dir": "..", "null": "/dev/null"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := view(t, Options{FilesRoot: root, FilesOf: "acme"}, "acme")
	for _, name := range []string{"a/ok.csv", "inside"} {
		f, err := files.Open(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if data, err := io.ReadAll(f); string(data) != "data" || err != nil {
			t.Errorf("%s: %q, %v", name, data, err)
		}
		if _, ok := f.(io.ReadSeeker); !ok {
			t.Errorf("%s cannot seek", name)
		}
		f.Close()
	}
	for _, name := range []string{"../secret", "/etc/passwd", filepath.Join(root, "a/ok.csv"), "a/../../secret", "up", "absolute", "dir/secret", "null", "fifo", "", "a\x00b", "missing"} {
		if f, err := files.Open(name); err == nil {
			t.Errorf("%q was opened", name)
			f.Close()
		}
	}
	if list, err := fs.Glob(files, "a/*.csv"); err != nil || len(list) != 1 {
		t.Errorf("Glob = %v, %v", list, err)
	}
	if _, err := view(t, Options{}, "acme").Open("a"); err == nil {
		t.Error("a registry without a root opened a file")
	}
}

func view(t *testing.T, o Options, organization string) *files {
	t.Helper()
	v, err := registry(t, o).files.view(organization)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.close() })
	return v
}

// lay puts files of which each holds its own name into a new root.
func lay(t *testing.T, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Each organization reads its own folder and the shared one, by whatever path it
// asks, and the root itself while nobody else has come.
func TestEachOrganizationHasItsFolder(t *testing.T) {
	all := []string{"old.csv", "acme/a.csv", "evil/e.csv", "shared/s.csv", "Acme/b.csv", "=2E=2E/d.csv"}
	ask := append([]string{"shared", "acme", "../old.csv", "../acme/a.csv", "acme/../old.csv", "a.csv", "e.csv", "b.csv", "d.csv", "s.csv", ".organizations", "link.csv", "folder/a.csv"}, all...)
	for _, test := range []struct {
		name         string
		options      Options
		organization string
		come         []string // those with a ! were given the first token
		may          []string
	}{
		{"a folder each", Options{}, "acme", nil, []string{"a.csv=acme/a.csv"}},
		{"another's", Options{}, "evil", nil, []string{"e.csv=evil/e.csv"}},
		{"one without a folder", Options{}, "new", nil, nil},
		{"letters of another kind", Options{}, "Acme", nil, []string{"b.csv=Acme/b.csv"}},
		{"shared beside it", Options{FilesShared: "shared"}, "acme", nil, []string{"a.csv=acme/a.csv", "shared=", "shared/s.csv=shared/s.csv"}},
		{"one called as the shared folder is", Options{FilesShared: "shared"}, "shared", nil, []string{"shared=", "shared/s.csv=shared/s.csv"}},
		{"shared with one without a folder", Options{FilesShared: "shared"}, "new", nil, []string{"shared=", "shared/s.csv=shared/s.csv"}},
		{"a shared folder that is not there", Options{FilesShared: "none"}, "evil", nil, []string{"e.csv=evil/e.csv"}},
		{"nobody", Options{}, "", nil, nil},
		{"above", Options{}, "..", nil, nil},
		{"above, as a token", Options{}, "=2E=2E", nil, []string{"d.csv==2E=2E/d.csv"}},
		{"the root", Options{}, ".", nil, nil},
		{"through a folder", Options{}, "acme/../evil", nil, nil},
		{"the organization's mark", Options{}, "_", nil, nil},
		{"all given", Options{FilesOf: "acme"}, "acme", nil, []string{"acme=", "shared=", "old.csv=old.csv", "acme/a.csv=acme/a.csv", "evil/e.csv=evil/e.csv", "shared/s.csv=shared/s.csv", "Acme/b.csv=Acme/b.csv", "=2E=2E/d.csv==2E=2E/d.csv"}},
		{"all given, and others came", Options{FilesOf: "acme"}, "acme", []string{"evil!", "new"}, []string{"acme=", "shared=", "old.csv=old.csv", "acme/a.csv=acme/a.csv", "evil/e.csv=evil/e.csv", "shared/s.csv=shared/s.csv", "Acme/b.csv=Acme/b.csv", "=2E=2E/d.csv==2E=2E/d.csv"}},
		{"all given to another", Options{FilesOf: "acme"}, "evil", nil, nil},
		{"all given to another, shared", Options{FilesOf: "acme", FilesShared: "shared"}, "evil", nil, []string{"shared=", "shared/s.csv=shared/s.csv"}},
		{"the first token's, with a folder", Options{}, "acme", []string{"acme!"}, []string{"a.csv=acme/a.csv"}},
		{"the first token's", Options{}, "new", []string{"new!"}, []string{"acme=", "shared=", "old.csv=old.csv", "acme/a.csv=acme/a.csv", "evil/e.csv=evil/e.csv", "shared/s.csv=shared/s.csv", "Acme/b.csv=Acme/b.csv", "=2E=2E/d.csv==2E=2E/d.csv"}},
		{"the first token's, and a source before it", Options{}, "new", []string{"new", "new!"}, []string{"acme=", "shared=", "old.csv=old.csv", "acme/a.csv=acme/a.csv", "evil/e.csv=evil/e.csv", "shared/s.csv=shared/s.csv", "Acme/b.csv=Acme/b.csv", "=2E=2E/d.csv==2E=2E/d.csv"}},
		{"without a token of ours", Options{}, "new", []string{"new"}, nil},
		{"each, though it came first", Options{FilesOf: Each}, "new", []string{"new!"}, nil},
		{"another came", Options{}, "new", []string{"new!", "other"}, nil},
		{"another has a token", Options{}, "new", []string{"new!", "other!"}, nil},
		{"another was there", Options{}, "new", []string{"other", "new!"}, nil},
		{"not the first", Options{}, "other", []string{"new!", "other!"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := lay(t, all...)
			for link, to := range map[string]string{"evil/link.csv": "../acme/a.csv", "evil/folder": "../acme", "acme/link.csv": filepath.Join(root, "old.csv")} {
				if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
					t.Fatal(err)
				}
			}
			for _, one := range test.come {
				organization, first := strings.CutSuffix(one, "!")
				if _, err := Introduce(root, organization, first); err != nil {
					t.Fatal(err)
				}
			}
			test.options.FilesRoot = root
			v := view(t, test.options, test.organization)
			var may []string
			for _, name := range ask {
				f, err := v.Open(name)
				if err != nil {
					continue
				}
				data, _ := io.ReadAll(f) // a folder has none
				f.Close()
				if name == organizationsFile {
					data = nil
				}
				may = append(may, name+"="+string(data))
			}
			slices.Sort(may)
			slices.Sort(test.may)
			if !slices.Equal(may, test.may) {
				t.Errorf("it reads %q, wanted %q", may, test.may)
			}
		})
	}
}

// Who looks where files lay before is told where they lie now.
func TestOldLayoutIsToldWhereToGo(t *testing.T) {
	root := lay(t, "old.csv")
	for _, test := range []struct {
		options Options
		says    string
	}{
		{Options{}, "folder acme of the files root (--files-root), which is not there"},
		{Options{FilesOf: "other"}, "--files-of"},
		{Options{FilesOf: "acme"}, "by default files in its data directory"},
	} {
		test.options.FilesRoot = root
		v := view(t, test.options, "acme")
		if got := v.told("there is no file old.csv below the files root"); !strings.Contains(got, test.says) {
			t.Errorf("%q lacks %q", got, test.says)
		}
		if got := v.told("there is no table old"); strings.Contains(got, "files") {
			t.Errorf("of something else it says %q", got)
		}
	}
}
