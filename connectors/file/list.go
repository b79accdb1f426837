package file

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
)

// maxFiles bounds the tables of one source.
const maxFiles = 10_000

// entry is one file and the table made of it.
type entry struct {
	path  string
	table string
}

// list resolves the configured path to files, sorted by table name.
func (s *source) list(ctx context.Context) ([]entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, driver.E(driver.ErrTimeout, err, "%s: stopped", s.settings.Path)
	}
	name, err := cleanPath(s.settings.Path)
	if err != nil {
		return nil, err
	}
	var paths []string
	if strings.ContainsAny(name, "*?[") {
		if paths, err = s.match(name); err != nil {
			return nil, err
		}
	} else {
		info, err := fs.Stat(s.files, name)
		if err != nil {
			return nil, fileError(err, name)
		}
		paths = []string{name}
		if info.IsDir() {
			if paths, err = s.folder(name); err != nil {
				return nil, err
			}
		}
	}
	if len(paths) > maxFiles {
		return nil, driver.E(driver.ErrLimit, nil, "%s holds more than %d files; name fewer", name, maxFiles)
	}
	return named(paths), nil
}

// cleanPath returns a path below the root, or an ErrInvalidConfig.
func cleanPath(name string) (string, error) {
	clean := path.Clean(name)
	if name == "" || strings.HasPrefix(name, "/") || strings.ContainsAny(name, "\x00\\") || !fs.ValidPath(clean) {
		return "", driver.InvalidField("path", "must be a relative path below the files root, without \"..\"")
	}
	return clean, nil
}

// match returns the regular files that a pattern names.
func (s *source) match(pattern string) ([]string, error) {
	parts := strings.Split(pattern, "/")
	for _, part := range parts {
		if _, err := path.Match(part, ""); err != nil {
			return nil, driver.InvalidField("path", "is no valid pattern: brackets must be closed")
		}
	}
	var found []string
	if slices.Contains(parts, "**") {
		fixed := 0
		for fixed < len(parts) && !strings.ContainsAny(parts[fixed], "*?[") {
			fixed++
		}
		all, err := s.walk(path.Join(append([]string{"."}, parts[:fixed]...)...))
		if err != nil {
			return nil, err
		}
		for _, name := range all {
			if matches(parts, strings.Split(name, "/")) {
				found = append(found, name)
			}
		}
	} else {
		var err error
		if found, err = fs.Glob(s.files, pattern); err != nil {
			return nil, fileError(err, pattern)
		}
		found = slices.DeleteFunc(found, func(name string) bool {
			info, err := fs.Stat(s.files, name)
			return err != nil || !info.Mode().IsRegular()
		})
	}
	if len(found) == 0 {
		return nil, driver.E(driver.ErrNotFound, nil, "no file below the files root is named like %s", pattern)
	}
	return found, nil
}

// matches reports whether the parts of a path are as a pattern has them, of
// which ** is any number.
func matches(pattern, name []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for i := range len(name) + 1 {
				if matches(pattern[1:], name[i:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], name[0]); err != nil || !ok {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0
}

// walk returns the regular files below a folder, at any depth, without those
// that are hidden or in a hidden folder.
func (s *source) walk(folder string) ([]string, error) {
	var found []string
	err := fs.WalkDir(s.files, folder, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && name == folder:
			return fileError(err, folder)
		case err != nil:
			return nil // a folder that went away or may not be read
		case name != folder && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case d.Type().IsRegular():
			if found = append(found, name); len(found) > 10*maxFiles {
				return driver.E(driver.ErrLimit, nil, "%s holds more than %d files; name fewer", folder, 10*maxFiles)
			}
		}
		return nil
	})
	return found, err
}

// folder returns the files of a folder that have a known ending. Hidden files are
// left out, and folders in it unless the settings want them, or there is no file
// beside them and they are named like partitions.
func (s *source) folder(name string) ([]string, error) {
	found, err := fs.ReadDir(s.files, name)
	if err != nil {
		return nil, fileError(err, name)
	}
	var names []string
	deeper := s.settings.Recursive
	for _, f := range found {
		switch {
		case strings.HasPrefix(f.Name(), "."):
		case f.IsDir():
			deeper = deeper || strings.Contains(f.Name(), "=")
		default:
			names = append(names, path.Join(name, f.Name()))
		}
	}
	data := func(name string) bool {
		base, _ := input.WithoutCompression(path.Base(name))
		return input.FormatOf(base) != ""
	}
	if deeper && (s.settings.Recursive || !slices.ContainsFunc(names, data)) {
		if names, err = s.walk(name); err != nil {
			return nil, err
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !data(name) })
	if len(names) == 0 {
		return nil, driver.E(driver.ErrNotFound, nil, "folder %s holds no .csv, .tsv, .json, .ndjson or .parquet file", name)
	}
	return names, nil
}

// named gives each file its table name: the file's name without endings, or
// with them where two files would share it, or the whole path.
func named(paths []string) []entry {
	forms := []func(string) string{
		func(p string) string {
			base, _ := input.WithoutCompression(path.Base(p))
			if input.FormatOf(base) != "" {
				base = strings.TrimSuffix(base, path.Ext(base))
			}
			return base
		},
		path.Base,
		func(p string) string { return p },
	}
	entries := make([]entry, len(paths))
	for _, form := range forms {
		uses := map[string]int{}
		for i, p := range paths {
			entries[i] = entry{path: p, table: form(p)}
			uses[entries[i].table]++
		}
		if len(uses) == len(paths) {
			break
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.table, b.table) })
	return entries
}

func fileError(err error, name string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return driver.E(driver.ErrNotFound, nil, "there is no file %s below the files root", name)
	case errors.Is(err, fs.ErrPermission):
		return driver.E(driver.ErrPermission, nil, "the server may not read %s", name)
	}
	return driver.E(driver.ErrInvalidConfig, nil, "%s cannot be opened: it must lie below the files root, also through links", name)
}
