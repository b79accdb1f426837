// Package landingtest reads landed tables for tests, from their files alone: it
// shares no code with what wrote them, and asks no catalog.
package landingtest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
)

// Rows yields the rows that readers of one snapshot see, in no particular order,
// with the columns of its schema: rows that a position delete names are left
// out, and a column that is younger than a file is NULL in its rows. location is
// the table's folder on this machine, as a path or a file:// URL, and snapshot
// the id, both as the API and landing.Committed tell them. Each batch is released
// when the loop asks for the next one. The error, which ends the rows, is one of
// a file that is missing or damaged, of a snapshot that is not the current one of
// any metadata file, or of a delete file that is not by position.
func Rows(ctx context.Context, location string, snapshot int64) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		if err := rows(ctx, location, snapshot, func(rec arrow.RecordBatch) bool { return yield(rec, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

func rows(ctx context.Context, location string, snapshot int64, yield func(arrow.RecordBatch) bool) error {
	root, err := localPath(location)
	if err != nil {
		return err
	}
	meta, err := metadataOf(root, snapshot)
	if err != nil {
		return err
	}
	schema := meta.CurrentSchema()
	parts, gone, err := partsOf(ctx, meta.CurrentSnapshot())
	if err != nil {
		return err
	}
	for _, p := range parts {
		more, err := readPart(ctx, p, schema, gone.in(p), yield)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(p.path), err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// metadataOf finds the metadata file in which the snapshot is the current one.
// The newest file need not be that: a commit that was cut off leaves its own.
func metadataOf(root string, snapshot int64) (table.Metadata, error) {
	found, err := filepath.Glob(filepath.Join(escapeGlob(root), "metadata", "*.metadata.json"))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b string) int { return cmp.Compare(b, a) })
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		meta, err := table.ParseMetadataBytes(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		if s := meta.CurrentSnapshot(); s != nil && s.SnapshotID == snapshot {
			return meta, nil
		}
	}
	return nil, fmt.Errorf("snapshot %d is the current one of none of %d metadata files in %s", snapshot, len(found), root)
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// Newest returns the current snapshot of the newest metadata file of a table, 0
// for a table without one. After a crash that need not be what was committed.
func Newest(location string) (snapshot int64, err error) {
	root, err := localPath(location)
	if err != nil {
		return 0, err
	}
	found, err := filepath.Glob(filepath.Join(escapeGlob(root), "metadata", "*.metadata.json"))
	if err != nil || len(found) == 0 {
		return 0, err
	}
	return Current(slices.Max(found))
}

// Current returns the current snapshot of a metadata file, named by a path or a
// file:// URL, 0 for one without.
func Current(metadata string) (snapshot int64, err error) {
	path, err := localPath(metadata)
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	meta, err := table.ParseMetadataBytes(text)
	if err != nil {
		return 0, err
	}
	if s := meta.CurrentSnapshot(); s != nil {
		snapshot = s.SnapshotID
	}
	return snapshot, nil
}

// part is a data file of a snapshot.
type part struct {
	path     string // as manifests and delete files name it
	sequence int64
	rows     int64
}

// partsOf returns what a snapshot holds: its data files, and the rows of them
// that are deleted.
func partsOf(ctx context.Context, s *table.Snapshot) ([]part, deletes, error) {
	var parts []part
	gone := deletes{}
	manifests, err := s.Manifests(files{})
	if err != nil {
		return nil, nil, err
	}
	for _, m := range manifests {
		for entry, err := range m.Entries(files{}, true) {
			if err != nil {
				return nil, nil, err
			}
			f := entry.DataFile()
			if f.FileFormat() != iceberg.ParquetFile {
				return nil, nil, fmt.Errorf("%s is %s, not Parquet", f.FilePath(), f.FileFormat())
			}
			switch f.ContentType() {
			case iceberg.EntryContentData:
				parts = append(parts, part{f.FilePath(), entry.SequenceNum(), f.Count()})
			case iceberg.EntryContentPosDeletes:
				if err := gone.read(ctx, f.FilePath(), entry.SequenceNum()); err != nil {
					return nil, nil, fmt.Errorf("%s: %w", filepath.Base(f.FilePath()), err)
				}
			default:
				return nil, nil, fmt.Errorf("%s deletes by value, which is not read here", f.FilePath())
			}
		}
	}
	return parts, gone, nil
}

// files opens the files of a lake on this machine.
type files struct{}

func (files) Open(name string) (iceio.File, error) {
	path, err := localPath(name)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// Remove refuses: a reader removes nothing.
func (files) Remove(name string) error {
	return &os.PathError{Op: "remove", Path: name, Err: os.ErrPermission}
}

func localPath(name string) (string, error) {
	if !strings.HasPrefix(name, "file:") {
		return name, nil
	}
	u, err := url.Parse(name)
	if err != nil {
		return "", err
	}
	return filepath.FromSlash(u.Path), nil
}
