package landing

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
)

// layoutOf returns how batches of the named columns are laid out in the files
// of a table with the schema.
func layoutOf(schema *iceberg.Schema, columns []string) (parts.Layout, error) {
	fields := make([]iceberg.NestedField, len(columns))
	for i, name := range columns {
		field, ok := schema.FindFieldByName(name)
		if !ok {
			return parts.Layout{}, fmt.Errorf("%w: column %q is not in the table", ErrBadTable, name)
		}
		field.Doc = ""
		fields[i] = field
	}
	sc, err := table.SchemaToArrowSchema(iceberg.NewSchema(0, fields...), nil, true, false)
	if err != nil {
		return parts.Layout{}, fmt.Errorf("%w: %w", ErrBadTable, err)
	}
	return parts.Layout{Schema: sc}, nil
}

// dataFiles returns what a commit says about parts.
func (w *Writer) dataFiles(made []parts.Part) ([]iceberg.DataFile, error) {
	files := make([]iceberg.DataFile, len(made))
	for i, p := range made {
		footer, err := p.Metadata()
		if err != nil {
			return nil, storage.Wrap("read a part's footer", err)
		}
		if footer.NumRows != p.Rows {
			return nil, storage.Wrap("read a part's footer", fmt.Errorf("part %s has %d rows where %d were announced", p.Name, footer.NumRows, p.Rows))
		}
		if files[i], err = w.describe(p.Name, p.Size, footer); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// footer reads the metadata of a Parquet file.
func (l *Lake) footer(name string) (*metadata.FileMetaData, error) {
	f, err := l.files.Open(name)
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

// describe returns what a commit says about a data file.
func (w *Writer) describe(name string, size int64, footer *metadata.FileMetaData) (iceberg.DataFile, error) {
	return describe(w.schema, w.props, name, size, footer)
}

func describe(schema *iceberg.Schema, props iceberg.Properties, name string, size int64, footer *metadata.FileMetaData) (iceberg.DataFile, error) {
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

// partFiles makes parts in a store.
type partFiles struct{ storage.Store }

func (f partFiles) Create(name string) (io.WriteCloser, error) {
	w, err := f.Store.Create(name)
	if err != nil {
		return nil, err
	}
	return w, nil
}
