package views

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	iceio "github.com/apache/iceberg-go/io"
)

// maxFooter bounds the footer of a Parquet file.
const maxFooter = 64 << 20

// isDeletes reports whether a Parquet file holds position deletes: a column has
// the id of the names of files.
func isDeletes(f iceio.File) (bool, error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	var end [8]byte
	if info.Size() < 12 {
		return false, errShort
	}
	if _, err := f.ReadAt(end[:], info.Size()-8); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	size := int64(binary.LittleEndian.Uint32(end[:4]))
	if string(end[4:]) != "PAR1" || size > min(info.Size()-8, maxFooter) {
		return false, errors.New("it is no Parquet file")
	}
	footer := make([]byte, size)
	if _, err := f.ReadAt(footer, info.Size()-8-size); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if !bytes.Contains(footer, []byte("file_path")) {
		return false, nil // nearly always, and without decoding it
	}
	r, err := file.NewParquetReader(f)
	if err != nil {
		return false, err
	}
	s := r.MetaData().Schema
	for i := range s.NumColumns() {
		if s.Column(i).SchemaNode().FieldID() == deletedFileID {
			return true, nil
		}
	}
	return false, nil
}

// positionDeletes returns a file of position deletes with the names in it as they
// are shown, in the same order: all begin with the same root.
func (v *Views) positionDeletes(ctx context.Context, content []byte) ([]byte, error) {
	r, err := file.NewParquetReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	ar, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: 16 << 10}, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	sc, err := ar.Schema()
	if err != nil {
		return nil, err
	}
	column := -1
	s := r.MetaData().Schema
	for i := range s.NumColumns() {
		if s.Column(i).SchemaNode().FieldID() == deletedFileID && s.Root().NumFields() == s.NumColumns() {
			column = i
		}
	}
	if column < 0 {
		return nil, errors.New("its columns are not those of position deletes")
	}
	records, err := ar.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return nil, err
	}
	defer records.Release()
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(sc, &out, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy)), pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, err
	}
	for records.Next() {
		if err := v.renamed(w, sc, records.RecordBatch(), column); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	if err := records.Err(); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (v *Views) renamed(w *pqarrow.FileWriter, sc *arrow.Schema, batch arrow.RecordBatch, column int) error {
	names, ok := batch.Column(column).(*array.String)
	if !ok {
		return errors.New("its names are no text")
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range names.Len() {
		b.Append(v.Named(names.Value(i)))
	}
	shown := b.NewArray()
	defer shown.Release()
	columns := append([]arrow.Array{}, batch.Columns()...)
	columns[column] = shown
	made := array.NewRecordBatch(sc, columns, batch.NumRows())
	defer made.Release()
	return w.Write(made)
}
