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

// match returns the files that a pattern names, and folders that it leads through and
// that cannot be read: what is in them would be missing unnoticed.
func (s *source) match(pattern string) ([]string, error) {
	parts := strings.Split(pattern, "/")
	for _, part := range parts {
		if _, err := path.Match(part, ""); err != nil {
			return nil, driver.InvalidField("path", "is no valid pattern: brackets must be closed")
		}
	}
	var found, shut []string
	if slices.Contains(parts, "**") {
		fixed := 0
		for fixed < len(parts) && !strings.ContainsAny(parts[fixed], "*?[") {
			fixed++
		}
		all, closed, err := s.walk(path.Join(append([]string{"."}, parts[:fixed]...)...))
		if err != nil {
			return nil, err
		}
		shut = closed
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
			return err == nil && !info.Mode().IsRegular()
		})
		shut = s.shut(parts)
	}
	if found = append(found, shut...); len(found) == 0 {
		return nil, driver.E(driver.ErrNotFound, nil, "no file below the files root is named like %s", pattern)
	}
	return found, nil
}

// shut returns the folders on the way of a pattern that cannot be listed, which fs.Glob
// passes over.
func (s *source) shut(parts []string) (names []string) {
	listed := false
	for i, part := range parts {
		if listed = listed || strings.ContainsAny(part, "*?["); !listed {
			continue
		}
		above := []string{"."}
		if i > 0 {
			above, _ = fs.Glob(s.files, path.Join(parts[:i]...)) // its form was checked
		}
		for _, name := range above {
			if f, err := s.files.Open(name); err == nil {
				f.Close()
			} else if info, statErr := fs.Stat(s.files, name); !errors.Is(err, fs.ErrNotExist) && (statErr != nil || info.IsDir()) {
				names = append(names, name)
			}
		}
	}
	return names
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

// walk returns the files below a folder, at any depth, without those that are hidden or
// in a hidden folder, and the folders that cannot be read. Links to files are files, also
// those that lead nowhere; links to folders are not followed.
func (s *source) walk(folder string) (found, shut []string, err error) {
	err = fs.WalkDir(s.files, folder, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && name == folder:
			return fileError(err, folder)
		case errors.Is(err, fs.ErrNotExist): // it went away
		case err != nil: // of a folder, which is not hidden
			shut = append(shut, name)
		case name != folder && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case d.Type().IsRegular() || d.Type() == fs.ModeSymlink && !s.isFolder(name):
			if found = append(found, name); len(found) > 10*maxFiles {
				return driver.E(driver.ErrLimit, nil, "%s holds more than %d files; name fewer", folder, 10*maxFiles)
			}
		}
		return nil
	})
	return found, shut, err
}

func (s *source) isFolder(name string) bool {
	info, err := fs.Stat(s.files, name)
	return err == nil && info.IsDir()
}

// folder returns the files of a folder that have a known ending. Hidden files are
// left out, and folders in it unless the settings want them, or there is no file
// beside them and they are named like partitions.
func (s *source) folder(name string) ([]string, error) {
	found, err := fs.ReadDir(s.files, name)
	if err != nil {
		return nil, fileError(err, name)
	}
	var names, shut []string
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
		if names, shut, err = s.walk(name); err != nil {
			return nil, err
		}
	}
	names = append(slices.DeleteFunc(names, func(name string) bool { return !data(name) }), shut...)
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
