package datafiles

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headwater/handlers/landing/parts"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/tableschema"
)

// LayoutOf returns how batches of the named columns are laid out in the files
// of a table with the schema. A column that the schema lacks is
// tableschema.ErrBadTable.
func LayoutOf(schema *iceberg.Schema, columns []string) (parts.Layout, error) {
	fields := make([]iceberg.NestedField, len(columns))
	for i, name := range columns {
		field, ok := schema.FindFieldByName(name)
		if !ok {
			return parts.Layout{}, fmt.Errorf("%w: column %q is not in the table", tableschema.ErrBadTable, name)
		}
		field.Doc = ""
		fields[i] = field
	}
	sc, err := table.SchemaToArrowSchema(iceberg.NewSchema(0, fields...), nil, true, false)
	if err != nil {
		return parts.Layout{}, fmt.Errorf("%w: %w", tableschema.ErrBadTable, err)
	}
	return parts.Layout{Schema: sc}, nil
}

// Footer reads the metadata of a Parquet file. It returns parts.ErrStorage.
func Footer(files storage.Store, name string) (*metadata.FileMetaData, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, storage.Wrap("open a part", err)
	}
	r, err := file.NewParquetReader(f)
	if err != nil {
		return nil, storage.Wrap("read a part's footer", errors.Join(err, f.Close()))
	}
	footer := r.MetaData()
	return footer, storage.Wrap("close a part", r.Close())
}

// Describe returns what a commit says about a data file of size bytes. A footer that
// does not fit the schema is parts.ErrStorage.
func Describe(schema *iceberg.Schema, props iceberg.Properties, name string, size int64, footer *metadata.FileMetaData) (iceberg.DataFile, error) {
	described, err := table.DataFileFromMetadata(table.DataFileArgs{
		Schema:     schema,
		Spec:       *iceberg.UnpartitionedSpec,
		Format:     iceberg.ParquetFile,
		Metadata:   footer,
		FilePath:   name,
		FileSize:   size,
		Content:    iceberg.EntryContentData,
		Properties: props,
	})
	if err != nil {
		return nil, storage.Wrap("read a part's footer", err)
	}
	return described, nil
}

// Files makes parts in a store.
type Files struct{ storage.Store }

// Create makes a file, and returns the store's error.
func (f Files) Create(name string) (io.WriteCloser, error) {
	w, err := f.Store.Create(name)
	if err != nil {
		return nil, err
	}
	return w, nil
}
