package landing

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"

	"headwater/handlers/landing/content"
	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/mergekeys"
)

// repeats finds the pending rows that have landed just as they are, each as often
// as it is in the table: what tells rows apart that have no key.
type repeats struct {
	w      *Writer
	lake   *Lake // that reads the files
	fields []iceberg.NestedField
	parts  int
}

// unrepeated returns the pending files whose rows are to be added to the live
// ones, the positions in them that are not, and the names of those that hold no
// new row at all.
func (w *Writer) unrepeated(ctx context.Context, live []iceberg.DataFile, gone datafiles.Positions) (fresh []iceberg.DataFile, doomed datafiles.Positions, dropped []string, err error) {
	r := &repeats{w: w}
	for _, name := range w.comparable {
		if field, ok := w.schema.FindFieldByName(name); ok {
			r.fields = append(r.fields, field)
		}
	}
	pending := w.pending()
	live = r.near(pending, live)
	lake, end := w.lake.readingAhead(slices.Concat(pending, live)...)
	defer end()
	r.lake = lake
	r.parts = int(rowsIn(pending)/w.lake.passKeys) + 1
	doomed = datafiles.Positions{}
	for part := range r.parts {
		if err := r.pass(ctx, part, pending, live, gone, doomed); err != nil {
			return nil, nil, nil, err
		}
	}
	for _, f := range pending {
		name := f.FilePath()
		if set := doomed[name]; set != nil && set.N == f.Count() {
			delete(doomed, name)
			dropped = append(dropped, name)
			continue
		}
		fresh = append(fresh, f)
	}
	return fresh, doomed, dropped, nil
}

// near returns the live files that may hold rows of the cursors of the pending
// ones.
func (r *repeats) near(pending, live []iceberg.DataFile) (near []iceberg.DataFile) {
	field, ok := r.w.schema.FindFieldByName(r.w.target.CursorColumn)
	if !ok {
		return live
	}
	cursor := []iceberg.NestedField{field}
	within, nulls := mergekeys.SpansOf(pending, cursor), false
	for _, f := range pending {
		nulls = nulls || mayHoldNull(f, field)
	}
	for _, f := range live {
		if !within.Apart(f, cursor) || nulls && mayHoldNull(f, field) {
			near = append(near, f)
		}
	}
	return near
}

func mayHoldNull(f iceberg.DataFile, field iceberg.NestedField) bool {
	n, known := f.NullValueCounts()[field.ID]
	return !field.Required && (!known || n > 0)
}

// pass looks at those rows whose content belongs to a part.
func (r *repeats) pass(ctx context.Context, part int, pending, live []iceberg.DataFile, gone, doomed datafiles.Positions) error {
	landed := map[mergekeys.Key]int{}
	for _, f := range pending {
		err := r.each(ctx, part, f, func(k mergekeys.Key, _ int64) { landed[k] = 0 })
		if err != nil {
			return err
		}
	}
	for _, f := range live {
		away := gone[f.FilePath()]
		err := r.each(ctx, part, f, func(k mergekeys.Key, row int64) {
			if n, ok := landed[k]; ok && !away.Has(row) {
				landed[k] = n + 1
			}
		})
		if err != nil {
			return err
		}
	}
	for _, f := range pending {
		name := f.FilePath()
		err := r.each(ctx, part, f, func(k mergekeys.Key, row int64) {
			if landed[k] > 0 {
				landed[k]--
				doomed.Add(name, row)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// each calls use for the rows of a file that belong to a part.
func (r *repeats) each(ctx context.Context, part int, f iceberg.DataFile, use func(k mergekeys.Key, row int64)) error {
	return datafiles.AllColumns(ctx, r.lake.files, f.FilePath(), r.fields, func(first int64, columns []arrow.Array) error {
		rows := content.RowsOf(columns)
		for row := range datafiles.Rows(columns) {
			if k := mergekeys.Key(rows.Hash(row)); r.parts == 1 || int((k.Mixed()>>32)%uint64(r.parts)) == part {
				use(k, first+int64(row))
			}
		}
		return nil
	})
}
