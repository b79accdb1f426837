package datafiles

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headwater/handlers/landing/parts"
	"headwater/handlers/landing/storage"
)

// deletedRows is how many rows of position deletes are read or written at a time: each
// has the whole name of a file, so that many would be most of a merge's memory.
const deletedRows = 8 << 10

// Positions are rows of data files by the files' names.
type Positions map[string]*RowSet

func (p Positions) of(name string) *RowSet {
	set := p[name]
	if set == nil {
		set = &RowSet{}
		p[strings.Clone(name)] = set
	}
	return set
}

// Add adds a row of a file.
func (p Positions) Add(name string, row int64) { p.of(name).add(row) }

// Count returns how many rows there are, of all files.
func (p Positions) Count() (n int64) {
	for _, set := range p {
		n += set.N
	}
	return n
}

// RowSet is a set of row numbers, a bit each. A nil one is empty.
type RowSet struct {
	words []uint64
	N     int64 // how many it has
}

// Has reports whether a row is in the set.
func (s *RowSet) Has(row int64) bool {
	return s != nil && row>>6 < int64(len(s.words)) && s.words[row>>6]&(1<<(row&63)) != 0
}

func (s *RowSet) add(row int64) {
	if s.Has(row) {
		return
	}
	if need := int(row>>6) + 1; need > len(s.words) {
		s.words = append(s.words, make([]uint64, need-len(s.words))...)
	}
	s.words[row>>6] |= 1 << (row & 63)
	s.N++
}

// GoneRows returns the rows that a table's position deletes remove; other files among
// deletes are ignored. It returns parts.ErrStorage or ctx's error.
func GoneRows(ctx context.Context, files storage.Store, deletes []iceberg.DataFile) (Positions, error) {
	var names []string
	for _, f := range deletes {
		if RemovesRows(f) {
			names = append(names, f.FilePath())
		}
	}
	return GoneRowsIn(ctx, files, names...)
}

// RemovesRows reports whether a file is one of position deletes.
func RemovesRows(f iceberg.DataFile) bool {
	return f.ContentType() == iceberg.EntryContentPosDeletes && f.FileFormat() == iceberg.ParquetFile
}

// GoneRowsAhead is GoneRows with the files of a bucket opened ahead, several at a time.
func GoneRowsAhead(ctx context.Context, files storage.Store, deletes []iceberg.DataFile) (Positions, error) {
	names := make([]string, len(deletes))
	for i, f := range deletes {
		names[i] = f.FilePath()
	}
	reading, end := storage.ReadAhead(files, names)
	defer end()
	return GoneRows(ctx, reading, deletes)
}

// GoneRowsIn is GoneRows for files of position deletes by their names.
func GoneRowsIn(ctx context.Context, files storage.Store, deletes ...string) (Positions, error) {
	gone := Positions{}
	for _, name := range deletes {
		if err := EachGone(ctx, files, name, func(_ int64, file string, row int64) { gone.Add(file, row) }); err != nil {
			return nil, err
		}
	}
	return gone, nil
}

// EachGone reads a file of position deletes, and calls each with the number of each of
// its rows and the file and row that it removes. The file's name is valid until each
// returns: the names are most of what is read, and lie in buffers that are used again. It
// returns parts.ErrStorage or ctx's error.
func EachGone(ctx context.Context, files storage.Store, name string, each func(at int64, file string, row int64)) error {
	return ColumnsBy(ctx, files, name, iceberg.PositionalDeleteSchema.Fields(), parquet.NewReaderProperties(newReuse()), deletedRows, func(first int64, columns []arrow.Array) error {
		names, ok := columns[0].(*array.String)
		rows, ok2 := columns[1].(*array.Int64)
		if !ok || !ok2 {
			return storage.Wrap("read position deletes", errors.New("a file of them has other columns"))
		}
		for i := range names.Len() {
			if row := rows.Value(i); row >= 0 {
				each(first+int64(i), names.Value(i), row)
			}
		}
		return nil
	})
}

// WriteDeletes writes the positions, of which there must be one, as one file of position
// deletes, ordered by file and row. After an error the file, or its beginning, may be
// there.
func WriteDeletes(ctx context.Context, made storage.Store, name func() string, doomed Positions, log *slog.Logger) (iceberg.DataFile, error) {
	sc, err := table.SchemaToArrowSchema(iceberg.PositionalDeleteSchema, nil, true, false)
	if err != nil {
		return nil, err
	}
	enc := parts.Start(parts.Config{Files: Files{made}, Layout: parts.Layout{Schema: sc}, Name: name, Size: 1 << 40, Log: log})
	names := slices.Sorted(maps.Keys(doomed))
	err = putPositions(ctx, enc, sc, names, doomed)
	done, failed := enc.Finish()
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	footer, err := done[0].Metadata()
	if err != nil {
		return nil, storage.Wrap("read the footer of position deletes", err)
	}
	args := table.DataFileArgs{
		Schema:   iceberg.PositionalDeleteSchema,
		Spec:     *iceberg.UnpartitionedSpec,
		Format:   iceberg.ParquetFile,
		Metadata: footer,
		FilePath: done[0].Name,
		FileSize: done[0].Size,
		Content:  iceberg.EntryContentPosDeletes,
		// Whole names, so that readers see which files are concerned.
		Properties: iceberg.Properties{table.MetricsModeColumnConfPrefix + ".file_path": "full"},
	}
	if len(names) == 1 {
		args.ReferencedDataFile = &names[0]
	}
	f, err := table.DataFileFromMetadata(args)
	return f, storage.Wrap("describe position deletes", err)
}

// putPositions hands the positions to an encoder, some at a time.
func putPositions(ctx context.Context, enc *parts.Encoder, sc *arrow.Schema, names []string, doomed Positions) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, sc)
	defer b.Release()
	paths, rows := b.Field(0).(*array.StringBuilder), b.Field(1).(*array.Int64Builder)
	for _, name := range names {
		set := doomed[name]
		for at := range set.words {
			if rows.Len() == 0 {
				room := int(min(set.N, deletedRows) + 64)
				paths.Reserve(room)
				paths.ReserveData(room * len(name))
				rows.Reserve(room)
			}
			for word := set.words[at]; word != 0; word &= word - 1 {
				paths.Append(name)
				rows.Append(int64(at)<<6 + int64(bits.TrailingZeros64(word)))
			}
			if rows.Len() >= deletedRows {
				if err := enc.Put(ctx, b.NewRecordBatch()); err != nil {
					return err
				}
			}
		}
	}
	if rows.Len() == 0 {
		return nil
	}
	return enc.Put(ctx, b.NewRecordBatch())
}
