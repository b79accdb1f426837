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
	"headwater/connectors/formats"
	"headwater/connectors/formats/input"
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
	if errors.Is(err, input.ErrEmpty) && s.before[e.table] != nil {
		return nil // it had rows
	}
	if err != nil {
		return err
	}
	defer in.Close()
	in.Known = s.knownOf(e.table)
	if err = formats.Check(ctx, in.Input); err == nil && s.looksFurther(in.Format) {
		return s.firstRows(ctx, e)
	}
	return err
}

// looksFurther reports whether rows have to be read to see that a file can be.
func (s *source) looksFurther(format string) bool {
	return format == "parquet" || len(s.settings.ColumnTypes) > 0
}

// knownOf returns what is known of a table from before.
func (s *source) knownOf(table string) *input.Known {
	if names := s.before[table]; names != nil {
		return &input.Known{Names: names}
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
		if err := s.read(ctx, t, from, yield); err != nil && !errors.Is(err, input.ErrStopped) {
			yield(driver.Batch{}, err)
		}
	}
	return records.Unordered(ctx, t, from, batches)
}

func (s *source) read(ctx context.Context, t driver.Table, from driver.Cursor, yield func(driver.Batch, error) bool) error {
	if err := records.CheckCursor(t, from); err != nil {
		return err
	}
	meter := &input.Meter{Yield: yield, Limit: s.limits.MaxBytes, Table: t}
	in, err := s.openTable(ctx, t)
	if errors.Is(err, input.ErrEmpty) && from.Value != nil {
		return nil // a day without a row
	}
	if err != nil {
		return err
	}
	defer in.Close()
	if err = formats.Read(ctx, in.Input, t, meter.Batch); err == nil {
		err = in.Unchanged()
	}
	if err != nil && !errors.Is(err, input.ErrStopped) {
		return in.Failed(err)
	}
	return err
}

// openTable opens the file of a table. The caller closes it.
func (s *source) openTable(ctx context.Context, t driver.Table) (*opened, error) {
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
	in.Known, in.Found = &input.Known{Names: namesOf(t.Columns)}, s.known[t.Name]
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

// Close does nothing: no file stays open.
func (s *source) Close() error { return nil }
