package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// What the files of a folder or pattern become.
const (
	oneTable     = "one_table"
	tablePerFile = "table_per_file"
)

// The columns that a table of several files has beside theirs, by their
// SourceType.
const (
	fileColumn      = "_file"
	fromFileName    = "file name"
	fromPartition   = "partition"
	manyFiles       = "files:" // begins the Identity of such a table
	hiveNull        = "__HIVE_DEFAULT_PARTITION__"
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

// told returns the name of a file as the table's rows have it.
func (g group) told(e entry) string {
	return strings.TrimPrefix(strings.TrimPrefix(e.path, g.base), "/")
}

// partitions returns what the folders of a file are called, key by key.
func (g group) partitions(e entry) (keys []string, values map[string]string) {
	values = map[string]string{}
	for _, part := range strings.Split(path.Dir(g.told(e)), "/") {
		key, value, found := strings.Cut(part, "=")
		if _, twice := values[key]; !found || key == "" || twice {
			continue
		}
		if plain, err := url.PathUnescape(value); err == nil {
			value = plain
		}
		keys = append(keys, key)
		values[key] = value
	}
	return keys, values
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
	nameless := (&known{names: namesOf(first.table.Columns)}).unnamed()
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
	var bad []string
	read := 0
	failed := emptyFile(s.settings.Path, "in every file")
	for _, f := range files {
		err := f.err
		if errors.Is(err, errEmpty) {
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
	if len(bad) > 0 {
		table.Notes = append(table.Notes, badFiles(bad))
	}
	s.addPlaces(&table, g)
	return table, s.finish(&table)
}

// badFiles says for people which files were left out.
func badFiles(bad []string) string {
	more := ""
	if n := len(bad) - mostToldOfFiles; n > 0 {
		bad, more = bad[:mostToldOfFiles], fmt.Sprintf("; and %d more", n)
	}
	return fmt.Sprintf("Files that cannot be read were left out: %s%s. Set connection_config.bad_files to \"fail\" to have none left out.", strings.Join(bad, "; "), more)
}

// union adds what a file has to the table. A column of types that have no common
// one is an ErrBadData.
func union(table *driver.Table, f looked) error {
	t := f.table
	columns := slices.Clone(table.Columns)
	for _, c := range t.Columns {
		at := slices.IndexFunc(columns, func(k driver.Column) bool { return k.Name == c.Name })
		if at < 0 {
			c.Nullable = true // in the files that lack it
			columns = append(columns, c)
			continue
		}
		typ, ok := common(columns[at], c)
		if !ok {
			return driver.E(driver.ErrBadData, nil, "%s: column %q is %s, and %s in the files before; set connection_config.column_types.%s, or files to \"table_per_file\"", f.entry.path, c.Name, c.Type, columns[at].Type, c.Name)
		}
		if columns[at].SourceType == driver.Unseen {
			columns[at].SourceType = c.SourceType
		}
		columns[at].Type, columns[at].Nullable = typ, true
	}
	table.Columns = columns
	table.Blank = table.Blank && t.Blank
	if t.RowEstimate < 0 || table.RowEstimate < 0 {
		table.RowEstimate = -1
	} else {
		table.RowEstimate += t.RowEstimate
	}
	return nil
}

// common returns the type that holds the values of a column of two files.
func common(a, b driver.Column) (driver.Type, bool) {
	kinds := func(x, y driver.Kind) bool {
		return a.Type.Kind == x && b.Type.Kind == y || a.Type.Kind == y && b.Type.Kind == x
	}
	switch {
	case a.Type == b.Type, a.Sampled && b.SourceType == driver.Unseen:
		return a.Type, true
	case b.Sampled && a.SourceType == driver.Unseen:
		return b.Type, true
	case !a.Sampled || !b.Sampled:
		return driver.Type{}, false
	case a.Type.Kind == driver.JSON || b.Type.Kind == driver.JSON:
		return driver.Of(driver.JSON), true
	case kinds(driver.Int64, driver.Float64):
		return driver.Of(driver.Float64), true
	case kinds(driver.Int64, driver.Decimal), kinds(driver.Decimal, driver.Decimal):
		return driver.DecimalOf(38, max(a.Type.Scale, b.Type.Scale)), true
	}
	return driver.Of(driver.String), true
}

// addPlaces adds the columns that say where a row comes from: the file's name,
// and the partitions that the folders are named after, where every file has
// them and no file has a column of the name.
func (s *source) addPlaces(table *driver.Table, g group) {
	keys, _ := g.partitions(g.entries[0])
	for _, key := range keys {
		var sniff records.Sniffer
		everywhere := true
		for _, e := range g.entries {
			_, values := g.partitions(e)
			value, ok := values[key]
			if everywhere = everywhere && ok; ok && value != hiveNull && value != "" {
				sniff.Text([]byte(value))
			}
		}
		if _, taken := table.Column(key); taken || !everywhere {
			continue
		}
		c := driver.Column{Name: key, Type: driver.Of(driver.String), SourceType: fromPartition, Nullable: true, Sampled: true}
		if k := sniff.Type().Kind; k == driver.Int64 || k == driver.Date {
			c.Type = sniff.Type()
		}
		table.Columns = append(table.Columns, c)
	}
	if _, taken := table.Column(fileColumn); !taken {
		table.Columns = append(table.Columns, driver.Column{Name: fileColumn, Type: driver.Of(driver.String), SourceType: fromFileName, Nullable: false, Comment: "the file that the row is in"})
	}
}

// readMany reads the files of a group, one after the other. One that cannot be
// read from its beginning is left out and told of; one that breaks later fails
// the table.
func (s *source) readMany(ctx context.Context, t driver.Table, yield func(driver.Batch) error) error {
	entries, err := s.list(ctx)
	if err != nil {
		return err
	}
	g := s.grouped(entries)
	var bad []string
	read := 0
	for _, e := range g.entries {
		began := false
		err := s.readOf(ctx, g, e, t, func(b driver.Batch) error {
			began = began || b.Record.NumRows() > 0
			return yield(b)
		})
		switch {
		case err == nil:
			read++
		case errors.Is(err, errEmpty):
		case began || errors.Is(err, errLeft) || ctx.Err() != nil || s.settings.BadFiles == "fail":
			return err
		default:
			bad = append(bad, err.Error())
		}
	}
	switch {
	case len(bad) == 0:
		return nil
	case read == 0:
		return driver.E(driver.ErrBadData, nil, "no file of %s can be read: %s", s.settings.Path, bad[0])
	}
	return yield(noted(t, badFiles(bad)))
}

// readOf reads one file of a group: the columns that it has as they are, those
// that it lacks as NULL.
func (s *source) readOf(ctx context.Context, g group, e entry, t driver.Table, yield func(driver.Batch) error) error {
	in, err := s.open(ctx, e)
	if err != nil {
		return err
	}
	defer in.Close()
	own := slices.DeleteFunc(slices.Clone(t.Columns), func(c driver.Column) bool { return place(c) })
	in.known = &known{names: namesOf(own), some: true}
	part := t
	wide := func(b driver.Batch) error { return s.widen(g, e, t, part, b, yield) }
	with := func(names []string) {
		part.Columns = slices.DeleteFunc(own, func(c driver.Column) bool { return !slices.Contains(names, c.Name) })
	}
	switch in.format {
	case "csv", "tsv":
		var f *csvFile
		if f, err = s.csvFile(in); err == nil {
			with(f.names)
			err = s.readRows(ctx, f, part, wide)
		}
	case "parquet":
		var found driver.Table
		if found, err = s.discoverParquet(ctx, in); err == nil {
			with(namesOf(found.Columns))
			err = s.readAgain(ctx, e, part, wide)
		}
	default:
		part.Columns = own
		err = s.readJSON(ctx, in, part, wide)
	}
	if err == nil {
		err = in.unchanged()
	}
	if err != nil && !errors.Is(err, errLeft) {
		return in.failed(ctx, err)
	}
	return err
}

// readAgain reads a Parquet file whose footer was looked at, which takes all of
// one that is compressed as a whole.
func (s *source) readAgain(ctx context.Context, e entry, t driver.Table, yield func(driver.Batch) error) error {
	in, err := s.open(ctx, e)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := s.readParquet(ctx, in, t, yield); err != nil {
		return err
	}
	return in.unchanged()
}

// place reports whether a column says where a row comes from.
func place(c driver.Column) bool {
	return c.SourceType == fromFileName || c.SourceType == fromPartition
}

// widen yields a batch of a file as one of the table.
func (s *source) widen(g group, e entry, t, part driver.Table, b driver.Batch, yield func(driver.Batch) error) error {
	defer b.Record.Release()
	_, values := g.partitions(e)
	columns := make([]arrow.Array, len(t.Columns))
	rows := int(b.Record.NumRows())
	for i, c := range t.Columns {
		if at := slices.IndexFunc(part.Columns, func(k driver.Column) bool { return k.Name == c.Name }); at >= 0 {
			columns[i] = b.Record.Column(at)
			continue
		}
		value, ok := values[c.Name]
		if ok = ok && c.SourceType == fromPartition && value != hiveNull && (value != "" || c.Type.Kind == driver.String); c.SourceType == fromFileName {
			value, ok = g.told(e), true
		}
		column, err := constant(c, value, ok, rows)
		if err != nil {
			return driver.E(driver.ErrBadData, nil, "%s: the partition %s holds a value that is not %s", e.path, c.Name, c.Type)
		}
		defer column.Release()
		columns[i] = column
	}
	b.Record = array.NewRecordBatch(driver.ArrowSchema(t), columns, int64(rows))
	return yield(b)
}

// constant returns a column of one value, or of NULL. The caller releases it.
func constant(c driver.Column, value string, ok bool, rows int) (arrow.Array, error) {
	b := records.NewBuilder(driver.Table{Columns: []driver.Column{c}}, driver.Limits{})
	defer b.Release()
	for range rows {
		if !ok {
			b.Null(0)
		} else if err := b.Text(0, []byte(value)); err != nil {
			return nil, err
		}
		b.EndRow(0)
	}
	return b.Array(0), nil
}
