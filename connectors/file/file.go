// Package file reads CSV, TSV, JSON, NDJSON and Parquet files below the files
// root, plain or compressed with gzip, zstd or bzip2. A path names one file, a folder
// or a pattern; every file is one table, named after the file.
//
// Types are found by reading: every value of a file of up to 64 MiB, and those
// of the first 64 MiB of a larger one (sample_rows says otherwise). A type is
// chosen only if it gives every value back unchanged, so "007" stays text. A
// value after the sample that does not fit is an error that names row and
// column; column_types settles it.
package file

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// Driver is the driver of files.
type Driver struct {
	rangeBytes int64 // of a range; 0 is the default
}

var (
	_ driver.Driver    = Driver{}
	_ driver.Validator = (*Settings)(nil)
	_ driver.Knower    = (*source)(nil)
)

// Spec describes the driver.
func (Driver) Spec() driver.Spec {
	return driver.Spec{
		Name: "file", Aliases: []string{"csv", "tsv", "json", "ndjson", "jsonl", "parquet"}, Class: "file", Title: "Files (CSV, TSV, JSON, NDJSON, Parquet)",
		Schemes:  []string{"file"},
		Endings:  []string{".csv", ".tsv", ".tab", ".txt", ".json", ".ndjson", ".jsonl", ".parquet", ".pq", ".gz", ".zst", ".zstd", ".bz2"},
		Settings: &Settings{},
	}
}

// Open looks whether there are files at the path.
func (d Driver) Open(ctx context.Context, cfg driver.Config) (driver.Source, error) {
	s := &source{files: cfg.Files, rangeBytes: d.rangeBytes, limits: cfg.Limits.WithDefaults(), log: cfg.Log, known: map[string][]driver.Column{}}
	if s.rangeBytes <= 0 {
		s.rangeBytes = rangeBytes
	}
	if err := driver.Decode(cfg.Settings, &s.settings); err != nil {
		return nil, err
	}
	if err := s.settings.Validate(); err != nil {
		return nil, err
	}
	if cfg.Files == nil {
		return nil, driver.E(driver.ErrUnsupported, nil, "this server reads no local files")
	}
	if _, err := s.list(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// source is a set of files. It holds none of them open between calls.
type source struct {
	settings   Settings
	files      fs.FS
	limits     driver.Limits
	log        *slog.Logger
	known      map[string][]driver.Column // by table, what Discover found
	before     map[string][]string        // by table, the columns that were known before it was opened
	rangeBytes int64
}

// Know is told the tables as they were when the source was last looked at: which
// row has the names and what is a record is then decided like that again.
func (s *source) Know(tables []driver.Table) {
	s.before = map[string][]string{}
	for _, t := range tables {
		if len(t.Columns) > 0 {
			s.before[t.Name] = namesOf(t.Columns)
		}
	}
}

// Check reads the beginning of every file. Among others, one that cannot be read
// is no failure unless the settings say so.
func (s *source) Check(ctx context.Context) error {
	entries, err := s.list(ctx)
	if err != nil {
		return err
	}
	var failed error
	bad := 0
	for _, e := range entries {
		if err := s.check(ctx, e); err != nil {
			if bad++; failed == nil {
				failed = err
			}
		}
		if failed != nil && (ctx.Err() != nil || s.settings.BadFiles == "fail" || errors.Is(failed, driver.ErrInvalidConfig)) {
			return failed
		}
	}
	if bad == len(entries) {
		return failed
	}
	return nil
}

func (s *source) check(ctx context.Context, e entry) error {
	in, err := s.open(ctx, e)
	if errors.Is(err, errEmpty) && s.before[e.table] != nil {
		return nil // it had rows
	}
	if err != nil {
		return err
	}
	defer in.Close()
	in.known = s.knownOf(e.table)
	switch in.format {
	case "parquet":
		_, err = s.openParquet(ctx, in)
	case "csv", "tsv":
		_, err = s.dialect(in)
	default:
		for _, err = range s.values(in) {
			break // the first record is enough
		}
	}
	if err == nil && s.looksFurther(in.format) {
		return s.firstRows(ctx, e)
	}
	return err
}

// looksFurther reports whether rows have to be read to see that a file can be.
func (s *source) looksFurther(format string) bool {
	return format == "parquet" || len(s.settings.ColumnTypes) > 0
}

// knownOf returns what is known of a table from before.
func (s *source) knownOf(table string) *known {
	if names := s.before[table]; names != nil {
		return &known{names: names}
	}
	return nil
}

// Discover reads every file as far as its types need. A file that cannot be read
// among others that can is left out; if it was read before, it is told of by an
// UnreadTables.
func (s *source) Discover(ctx context.Context) ([]driver.Table, error) {
	entries, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	g := s.grouped(entries)
	mode := s.mode(g)
	files := make([]looked, len(g.entries))
	for i, e := range g.entries {
		known := s.knownOf(e.table)
		if mode == oneTable {
			if known = s.knownOf(g.name); known != nil {
				known.some = true
			}
		}
		files[i] = s.look(ctx, e, known)
		if fresh := s.before != nil && known == nil; fresh && len(files) > 1 && files[i].err == nil && s.looksFurther(files[i].format) {
			files[i].err = s.firstRows(ctx, e) // a sync would fail by it
		}
		if err := files[i].err; err != nil && ctx.Err() != nil {
			return nil, err
		}
	}
	if mode == oneTable || mode == "" && alike(files) {
		table, err := s.asOne(g, files)
		if err != nil {
			return nil, err
		}
		s.known[table.Name] = table.Columns
		return []driver.Table{table}, nil
	}
	return s.each(files)
}

// each makes a table of each file.
func (s *source) each(files []looked) ([]driver.Table, error) {
	tables := make([]driver.Table, 0, len(files))
	var unread []driver.UnreadTable
	read := 0
	var last error
	for _, f := range files {
		table, err := f.table, f.err
		table.Name, table.Kind, table.Identity = f.entry.table, "file", "file:"+f.entry.path
		if errors.Is(err, errEmpty) && s.before[table.Name] != nil {
			err, table.Blank = nil, true // what was known of it stays
		} else if err == nil {
			err = s.finish(&table)
		}
		_, was := s.before[table.Name]
		switch {
		case err == nil:
			read++
			s.known[table.Name] = table.Columns
			tables = append(tables, table)
		case s.before == nil || was || s.settings.BadFiles == "fail" || errors.Is(err, driver.ErrInvalidConfig):
			unread = append(unread, driver.UnreadTable{Name: table.Name, Err: err})
		default:
			tables = append(tables, driver.Table{Name: table.Name, Kind: "file", LeftOut: err.Error()})
			last = err
		}
	}
	slices.SortFunc(tables, func(a, b driver.Table) int { return cmp.Compare(a.Name, b.Name) })
	switch {
	case read == 0 && len(unread) > 0:
		return nil, unread[0].Err
	case read == 0:
		return nil, last
	case len(unread) == 0:
		return tables, nil
	}
	return tables, &driver.UnreadTables{Tables: unread}
}

// look finds the columns of a file.
func (s *source) look(ctx context.Context, e entry, known *known) looked {
	table, format, err := s.shape(ctx, e, known)
	return looked{entry: e, format: format, table: table, err: err}
}

func (s *source) shape(ctx context.Context, e entry, known *known) (table driver.Table, format string, err error) {
	in, err := s.open(ctx, e)
	if err != nil {
		return table, "", err
	}
	defer in.Close()
	in.known = known
	switch in.format {
	case "parquet":
		format = "parquet"
		table, err = s.discoverParquet(ctx, in)
	case "csv", "tsv":
		format = "csv"
		table, err = s.discoverCSV(ctx, in)
	default:
		format = "json"
		table, err = s.discoverJSON(ctx, in)
	}
	if err != nil {
		return table, format, in.failed(ctx, err)
	}
	return table, format, in.unchanged()
}

// maxNames bounds the names of a table's columns: the lake keeps them in a file
// whose head may have 1 MiB.
const maxNames = 1 << 20

// finish checks a table's columns and gives it their set types and its keys.
func (s *source) finish(table *driver.Table) error {
	if len(table.Columns) > s.limits.MaxColumns {
		return driver.E(driver.ErrLimit, nil, "%s has %d columns, over the limit of %d", table, len(table.Columns), s.limits.MaxColumns)
	}
	names := 0
	for _, c := range table.Columns {
		names += len(c.Name) + 56 // what is written beside each
	}
	if names > maxNames {
		return driver.E(driver.ErrLimit, nil, "%s has %d columns whose names take %d KiB, more than a table of the lake can have; shorten them, or set connection_config.header to false and skip_rows to 1 to number them", table, len(table.Columns), names>>10)
	}
	if err := records.Retype(table.Columns, s.settings.ColumnTypes); err != nil {
		return err
	}
	for i, c := range table.Columns {
		if c.Type.Kind == driver.Date {
			table.Columns[i].Grain = 24 * time.Hour
		}
	}
	return s.keys(table)
}

// keys sets the primary key and the cursor that the settings name, where the
// table has those columns.
func (s *source) keys(table *driver.Table) error {
	missing := func(name string) error {
		return driver.E(driver.ErrInvalidConfig, nil, "connection_config.primary_key or cursor names column %q, which table %s does not have", name, table)
	}
	for _, name := range s.settings.PrimaryKey {
		if _, ok := table.Column(name); !ok {
			return missing(name)
		}
	}
	table.PrimaryKey = slices.Clone(s.settings.PrimaryKey)
	if table.Cursor = s.settings.Cursor; table.Cursor == "" {
		table.Cursor, table.CursorNotes = driver.DefaultCursor(*table)
	} else if _, ok := table.Column(table.Cursor); !ok {
		return missing(table.Cursor)
	} else {
		table.CursorNotes = driver.CursorNotes(*table, table.Cursor)
	}
	return records.CheckCursor(*table, driver.Cursor{Column: table.Cursor})
}

// Read reads the table's file from its beginning to its end. Files have no
// index: an incremental read looks at every row and has one place to resume, at
// its end.
func (s *source) Read(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	batches := func(yield func(driver.Batch, error) bool) {
		if err := s.read(ctx, t, from, yield); err != nil && !errors.Is(err, errLeft) {
			yield(driver.Batch{}, err)
		}
	}
	return records.Unordered(ctx, t, from, batches)
}

// errLeft ends a read whose loop was left.
var errLeft = errors.New("left")

func (s *source) read(ctx context.Context, t driver.Table, from driver.Cursor, yield func(driver.Batch, error) bool) error {
	if err := records.CheckCursor(t, from); err != nil {
		return err
	}
	meter := &meter{yield: yield, limit: s.limits.MaxBytes, table: t}
	if strings.HasPrefix(t.Identity, manyFiles) {
		return s.readMany(ctx, t, meter.batch)
	}
	in, err := s.openTable(ctx, t)
	if errors.Is(err, errEmpty) && from.Value != nil {
		return nil // a day without a row
	}
	if err != nil {
		return err
	}
	defer in.Close()
	switch in.format {
	case "parquet":
		err = s.readParquet(ctx, in, t, meter.batch)
	case "csv", "tsv":
		err = s.readCSV(ctx, in, t, meter.batch)
	default:
		err = s.readJSON(ctx, in, t, meter.batch)
	}
	if err == nil {
		err = in.unchanged()
	}
	if err != nil && !errors.Is(err, errLeft) {
		return in.failed(ctx, err)
	}
	return err
}

// openTable opens the file of a table. The caller closes it.
func (s *source) openTable(ctx context.Context, t driver.Table) (*input, error) {
	entries, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(entries, func(e entry) bool { return e.table == t.Name })
	if at < 0 || t.Namespace != "" {
		return nil, driver.E(driver.ErrNotFound, nil, "there is no file for table %s at %s any more; discover the schema again", t, s.settings.Path)
	}
	in, err := s.open(ctx, entries[at])
	if err != nil {
		return nil, err
	}
	in.known = &known{names: namesOf(t.Columns)}
	return in, nil
}

// namesOf returns the names of columns.
func namesOf(columns []driver.Column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

// meter passes batches on while their bytes stay under the limit of a read.
type meter struct {
	yield func(driver.Batch, error) bool
	bytes int64
	limit int64
	table driver.Table
}

func (m *meter) batch(b driver.Batch) error {
	if m.bytes += b.Bytes; m.limit > 0 && m.bytes > m.limit {
		b.Record.Release()
		return driver.E(driver.ErrLimit, nil, "table %s has more than %d bytes", m.table, m.limit)
	}
	if !m.yield(b, nil) {
		return errLeft
	}
	return nil
}

// Close does nothing: no file stays open.
func (s *source) Close() error { return nil }
