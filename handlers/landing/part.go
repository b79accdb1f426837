package landing

import (
	"fmt"
	"io"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headwater/handlers/landing/parts"
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

// dataFile returns what a commit says about a part.
func (w *Writer) dataFile(p parts.Part) (iceberg.DataFile, error) {
	footer, err := p.Metadata()
	if err != nil {
		return nil, storage("read a part's footer", err)
	}
	file, err := table.DataFileFromMetadata(table.DataFileArgs{
		Schema:     w.schema,
		Spec:       *iceberg.UnpartitionedSpec,
		Format:     iceberg.ParquetFile,
		Metadata:   footer,
		FilePath:   p.Name,
		FileSize:   p.Size,
		Content:    iceberg.EntryContentData,
		Properties: w.base.meta.Properties(),
	})
	if err != nil {
		return nil, storage("read a part's footer", err)
	}
	return file, nil
}

// partFiles makes parts in a store.
type partFiles struct{ store }

func (f partFiles) Create(name string) (io.WriteCloser, error) {
	w, err := f.store.Create(name)
	if err != nil {
		return nil, err
	}
	return w, nil
}
