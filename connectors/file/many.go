package file

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/formats"
	"headwater/connectors/formats/csv"
	"headwater/connectors/formats/input"
)

// What the files of a folder or pattern become.
const (
	oneTable     = "one_table"
	tablePerFile = "table_per_file"
)

const (
	manyFiles       = "files:" // begins the Identity of a table of several files
	mostToldOfFiles = 5
)

// group are files that are one table.
type group struct {
	name    string
	base    string // the folder that names are told from
	entries []entry
}

// grouped returns the files of the path as one group.
func (s *source) grouped(entries []entry) group {
	name, err := cleanPath(s.settings.Path)
	if err != nil {
		name = s.settings.Path
	}
	g := group{base: name, entries: slices.SortedFunc(slices.Values(entries), func(a, b entry) int { return cmp.Compare(a.path, b.path) })}
	if at := strings.IndexAny(name, "*?["); at >= 0 {
		g.base = strings.TrimSuffix(name[:strings.LastIndexByte(name[:at], '/')+1], "/")
	}
	if g.name = path.Base(g.base); g.base == "" || g.base == "." {
		g.base, g.name = "", strings.Trim(name[:max(0, strings.IndexAny(name+"*", "*?["))], "-_. ")
	}
	if g.name == "" {
		g.name = "files"
	}
	return g
}

// looked is what was found of a file.
type looked struct {
	entry  entry
	format string
	table  driver.Table // without name and keys
	err    error
}

// mode returns what the settings, or what is known of the tables, say of the
// files, "" where that is to be found out.
func (s *source) mode(g group) string {
	switch _, fixed := s.several(); {
	case s.settings.Files != "":
		return s.settings.Files
	case fixed || slices.ContainsFunc(g.entries, func(e entry) bool { _, was := s.before[e.table]; return was }) && !s.wasOne(g):
		return tablePerFile
	case s.wasOne(g):
		return oneTable
	}
	return ""
}

// several returns the path, and whether it names one file.
func (s *source) several() (name string, one bool) {
	name, err := cleanPath(s.settings.Path)
	if err != nil || strings.ContainsAny(name, "*?[") {
		return name, false
	}
	info, err := fs.Stat(s.files, name)
	return name, err == nil && !info.IsDir()
}

// wasOne reports whether the group was one table when it was last looked at.
func (s *source) wasOne(g group) bool { return slices.Contains(s.before[g.name], fileColumn) }

// alike reports whether files are of one shape: of one format with the same
// columns, or records that share most of their fields.
func alike(files []looked) bool {
	var first *looked
	names := map[string]int{}
	read := 0
	for i, f := range files {
		if f.err != nil {
			continue
		}
		if read++; first == nil {
			first = &files[i]
		}
		if f.format != first.format {
			return false
		}
		for _, c := range f.table.Columns {
			names[c.Name]++
		}
	}
	if read < 2 {
		return false
	}
	nameless := csv.Unnamed(namesOf(first.table.Columns))
	for _, f := range files {
		switch {
		case f.err != nil:
		case f.format == "json":
			if 2*len(f.table.Columns) < len(names) {
				return false
			}
		case len(f.table.Columns) != len(names):
			return false
		case nameless && !slices.EqualFunc(f.table.Columns, first.table.Columns, func(a, b driver.Column) bool { _, ok := common(a, b); return ok && a.Type == b.Type }):
			return false
		}
	}
	return true
}

// asOne makes one table of files. One that cannot be read is left out and told
// of.
func (s *source) asOne(g group, files []looked) (driver.Table, error) {
	table := driver.Table{Name: g.name, Kind: "file", Identity: manyFiles + s.settings.Path, Blank: true}
	var bad, empty []string
	read := 0
	failed := input.Empty(s.settings.Path, "in every file")
	for _, f := range files {
		err := f.err
		if errors.Is(err, input.ErrEmpty) {
			empty = append(empty, f.entry.path)
			continue // a day without a row
		}
		if err == nil {
			err = union(&table, f)
		}
		if err != nil {
			if failed = err; s.settings.BadFiles == "fail" {
				return table, err
			}
			bad = append(bad, err.Error())
			continue
		}
		read++
		for _, note := range f.table.Notes {
			if len(table.Notes) < mostToldOfFiles {
				table.Notes = append(table.Notes, note)
			}
		}
	}
	if read == 0 {
		return table, failed
	}
	if len(empty) > 0 {
		table.Notes = append(table.Notes, emptyFiles(empty))
	}
	if len(bad) > 0 {
		table.Notes = append(table.Notes, badFiles(bad))
	}
	s.addPlaces(&table, g)
	return table, formats.Finish(&table, &s.settings.Settings, s.limits)
}

// emptyFiles says for people which files have no byte: of one that is being written, or
// was cut, that is not all.
func emptyFiles(empty []string) string {
	more := ""
	if n := len(empty) - mostToldOfFiles; n > 0 {
		empty, more = empty[:mostToldOfFiles], fmt.Sprintf(", and %d more", n)
	}
	return fmt.Sprintf("Files without a byte have no rows: %s%s.", strings.Join(empty, ", "), more)
}

// badFiles says for people which files were left out.
func badFiles(bad []string) string {
	more := ""
	if n := len(bad) - mostToldOfFiles; n > 0 {
		bad, more = bad[:mostToldOfFiles], fmt.Sprintf("; and %d more", n)
	}
	return fmt.Sprintf("Files that cannot be read were left out: %s%s. Set connection_config.bad_files to \"fail\" to have none left out.", strings.Join(bad, "; "), more)
}
