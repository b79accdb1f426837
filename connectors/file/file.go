// Package file reads CSV, TSV, JSON, NDJSON and Parquet files below the files
// root, plain or compressed with gzip, zstd or bzip2. A path names one file, a folder
// or a pattern; every file is one table, named after the file, unless the files are
// alike, which are one.
//
// Types are found by reading: every value of a file of up to 64 MiB, and those
// of the first 64 MiB of a larger one (sample_rows says otherwise). A type is
// chosen only if it gives every value back unchanged, so "007" stays text. A
// value after the sample that does not fit is an error that names row and
// column; column_types settles it.
package file

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"slices"
	"strings"

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

// Read reads the table's file from its beginning to its end. Files have no
// index: an incremental read looks at every row and has one place to resume, at
// its end.
func (s *source) Read(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	if strings.HasPrefix(t.Identity, manyFiles) {
		if err := records.CheckCursor(t, from); err != nil {
			return func(yield func(driver.Batch, error) bool) { yield(driver.Batch{}, err) }
		}
		return s.readMany(ctx, t, from)
	}
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
