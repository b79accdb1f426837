package landing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"

	"headwater/connectors/driver"
	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/mergekeys"
	"headwater/handlers/landing/parts"
	"headwater/handlers/landing/storage"
)

// keptBytes is about how much of rows that are not whole is in memory at a time.
const keptBytes = 16 << 20

// keeping makes rows whole of which a log did not repeat some values: these are taken
// from the rows that were there.
type keeping struct {
	w       *Writer
	made    storage.Store
	before  []batch // pending ones that count before the rows, whole
	live    []iceberg.DataFile
	deletes []iceberg.DataFile
	fields  []iceberg.NestedField // of the layout
	read    []iceberg.NestedField // of a part of such rows
	enc     *parts.Encoder
}

// whole returns the parts of a batch's rows that are not whole, made whole. It is
// driver.ErrReplaced where a row is not there whose values are kept.
func (k *keeping) whole(ctx context.Context, b batch) ([]iceberg.DataFile, error) {
	kept, err := k.w.layout.Kept(k.w.target.Key)
	if err != nil {
		return nil, err
	}
	k.read, k.fields = nil, nil
	for i, f := range kept.Layout.Schema.Fields() {
		field := iceberg.NestedField{ID: parts.FieldID(f), Name: f.Name}
		if i < kept.Mark {
			field, _ = k.w.schema.FindFieldByName(f.Name)
			k.fields = append(k.fields, field)
		}
		k.read = append(k.read, field)
	}
	k.enc = parts.Start(parts.Config{Files: datafiles.Files{Store: k.made}, Layout: k.w.layout, Name: k.w.NextName, Log: k.w.lake.log})
	err = k.rows(ctx, b, kept.Mark)
	done, failed := k.enc.Finish()
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	return k.w.dataFiles(done)
}

// rows reads the rows of a batch, some at a time.
func (k *keeping) rows(ctx context.Context, b batch, mark int) error {
	some := &partial{mark: mark}
	defer func() { some.release() }()
	for _, p := range b.Kept {
		err := datafiles.Columns(ctx, k.w.lake.files, p.Name, k.read, func(_ int64, columns []arrow.Array) error {
			if err := k.fits(columns, mark); err != nil {
				return err
			}
			some.add(columns)
			if some.bytes < keptBytes {
				return nil
			}
			err := k.complete(ctx, some)
			some.release()
			some = &partial{mark: mark}
			return err
		})
		if err != nil {
			return err
		}
	}
	return k.complete(ctx, some)
}

// fits refuses what no child of ours has made.
func (k *keeping) fits(columns []arrow.Array, mark int) error {
	for i, c := range columns {
		if c == nil {
			return storage.Wrap("read rows that are not whole", fmt.Errorf("a part has no column %q", k.read[i].Name))
		}
	}
	if _, ok := columns[mark].(*array.Binary); !ok || columns[mark].NullN() > 0 {
		return storage.Wrap("read rows that are not whole", errors.New("a part does not say which values are kept"))
	}
	return nil
}

// partial is some rows that are not whole.
type partial struct {
	mark    int
	batches [][]arrow.Array
	bytes   int
}

func (p *partial) add(columns []arrow.Array) {
	columns = slices.Clone(columns)
	for _, c := range columns {
		c.Retain()
		for _, b := range c.Data().Buffers() {
			if b != nil {
				p.bytes += b.Len()
			}
		}
	}
	p.batches = append(p.batches, columns)
}

func (p *partial) release() {
	for _, columns := range p.batches {
		for _, c := range columns {
			c.Release()
		}
	}
	p.batches = nil
}

// keptRow is a row of a partial, and where the one is that was there.
type keptRow struct {
	batch, row int
	file       string
	at         int64
	away       bool // it was removed by what is pending
}

// complete finds the rows that were there and puts together what lands.
func (k *keeping) complete(ctx context.Context, p *partial) error {
	keys, err := mergekeys.Of(k.w.schema, k.w.target.Table, k.w.target.Key, true)
	if err != nil {
		return err
	}
	keys.Alike = nil
	wanted := map[mergekeys.Key]*keptRow{}
	for n, columns := range p.batches {
		of := keys.Keys(columns[p.mark+1:])
		for row := range columns[p.mark].Len() {
			old, null := of(row)
			if null >= 0 {
				return fmt.Errorf("%w: column %q of the key holds NULL", ErrBadKey, keys.Fields[null].Name)
			}
			if wanted[old] != nil {
				return driver.E(driver.ErrBadData, nil, "two rows of %s keep the values of one", k.w.target.Table)
			}
			wanted[old] = &keptRow{batch: n, row: row}
		}
	}
	if err := k.find(ctx, keys, wanted); err != nil {
		return err
	}
	byFile := map[string][]*keptRow{}
	for _, r := range wanted {
		if r.file != "" {
			byFile[r.file] = append(byFile[r.file], r)
			continue
		}
		if deleted := k.deletedColumn(p, r); !deleted { // of one that is gone nothing stays
			return driver.E(driver.ErrReplaced, nil, "a row of %s changed whose former values are not in the lake: it is no longer what the log goes on from", k.w.target.Table)
		}
	}
	for file, rows := range byFile {
		slices.SortFunc(rows, func(a, b *keptRow) int { return int(a.at - b.at) })
		if err := k.compose(ctx, p, file, rows); err != nil {
			return err
		}
	}
	return nil
}

// deletedColumn reports whether a row is one that its source has deleted.
func (k *keeping) deletedColumn(p *partial, r *keptRow) bool {
	if !k.w.target.Soft {
		return false
	}
	c, ok := p.batches[r.batch][p.mark-1].(*array.Boolean)
	return ok && c.IsValid(r.row) && c.Value(r.row)
}

// find looks for the rows in what is pending, the last first, and then in what
// landed.
func (k *keeping) find(ctx context.Context, keys *mergekeys.Columns, wanted map[mergekeys.Key]*keptRow) error {
	left := len(wanted)
	look := func(f iceberg.DataFile, gone bool) error {
		return datafiles.Columns(ctx, k.w.lake.files, f.FilePath(), keys.Fields, func(first int64, columns []arrow.Array) error {
			of := keys.Keys(columns)
			for row := range datafiles.Rows(columns) {
				at, null := of(row)
				r := wanted[at]
				if null >= 0 || r == nil || r.file != "" || r.away {
					continue
				}
				if left--; gone {
					r.away = true
				} else {
					r.file, r.at = strings.Clone(f.FilePath()), first+int64(row)
				}
			}
			return nil
		})
	}
	for _, b := range slices.Backward(k.before) {
		for _, f := range b.rows {
			if err := look(f, false); err != nil {
				return err
			}
		}
		for _, f := range b.gone {
			if err := look(f, true); err != nil {
				return err
			}
		}
	}
	if left == 0 || len(k.live) == 0 {
		return nil
	}
	newest := make(map[mergekeys.Key]place, left)
	for at, r := range wanted {
		if r.file == "" && !r.away {
			newest[at] = place{}
		}
	}
	return k.w.landedRows(ctx, keys, newest, k.live, k.deletes, func(at mergekeys.Key, file string, row int64) {
		if r := wanted[at]; r != nil {
			r.file, r.at = strings.Clone(file), row
		}
	})
}

// compose makes whole rows of those that were there in one file.
func (k *keeping) compose(ctx context.Context, p *partial, file string, rows []*keptRow) error {
	needed := make([]bool, len(k.fields))
	for _, r := range rows {
		mark := p.batches[r.batch][p.mark].(*array.Binary).Value(r.row)
		for i := range k.fields {
			needed[i] = needed[i] || parts.Keeps(mark, i)
		}
	}
	var fields []iceberg.NestedField
	place := make([]int, len(k.fields)) // of a column among those that are read
	for i, f := range k.fields {
		if place[i] = -1; needed[i] {
			place[i] = len(fields)
			fields = append(fields, f)
		}
	}
	positions := make([]int64, len(rows))
	for i, r := range rows {
		positions[i] = r.at
	}
	done := 0
	err := datafiles.RowsAt(ctx, k.w.lake.files, file, fields, positions, func(old []arrow.Array, n int) error {
		err := k.put(ctx, p, rows[done:done+n], old, place)
		done += n
		return err
	})
	if err == nil && done != len(rows) {
		err = storage.Wrap("read a data file", fmt.Errorf("%s has %d of the %d rows that are looked for", file, done, len(rows)))
	}
	return err
}

// put puts rows together with the ones that were there, of which old has the columns
// that are needed.
func (k *keeping) put(ctx context.Context, p *partial, rows []*keptRow, old []arrow.Array, place []int) error {
	columns := make([]arrow.Array, len(k.fields))
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i := range k.fields {
		news, err := p.column(ctx, i, rows)
		if err != nil {
			return err
		}
		columns[i] = news
		if place[i] < 0 {
			continue
		}
		was := old[place[i]]
		if was == nil { // the file is older than the column
			continue
		}
		from := make([]int32, len(rows))
		for n, r := range rows {
			from[n] = int32(n)
			if parts.Keeps(p.batches[r.batch][p.mark].(*array.Binary).Value(r.row), i) {
				from[n] += int32(len(rows))
			}
		}
		if columns[i], err = chosen(ctx, news, was, from); err != nil {
			return err
		}
	}
	rec := datafiles.RecordOf(k.w.layout.Schema, columns, int64(len(rows)))
	return k.enc.Put(ctx, rec)
}

// column returns a column of some rows.
func (p *partial) column(ctx context.Context, column int, rows []*keptRow) (arrow.Array, error) {
	base, n := make([]int32, len(p.batches)), int32(0)
	all := make([]arrow.Array, len(p.batches))
	for i, columns := range p.batches {
		all[i], base[i] = columns[column], n
		n += int32(columns[column].Len())
	}
	one := all[0]
	if len(all) > 1 {
		var err error
		if one, err = array.Concatenate(all, memory.DefaultAllocator); err != nil {
			return nil, err
		}
		defer one.Release()
	}
	at := make([]int32, len(rows))
	for i, r := range rows {
		at[i] = base[r.batch] + int32(r.row)
	}
	return datafiles.Taken(ctx, one, at)
}

// chosen returns values of two columns, the second behind the first, as from says. It
// lets go of the first.
func chosen(ctx context.Context, news, was arrow.Array, from []int32) (arrow.Array, error) {
	defer news.Release()
	was, err := widened(ctx, was, news.DataType())
	if err != nil {
		return nil, err
	}
	defer was.Release()
	both, err := array.Concatenate([]arrow.Array{news, was}, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	defer both.Release()
	return datafiles.Taken(ctx, both, from)
}

// widened returns a column as one of a type that it landed as before it got wider.
func widened(ctx context.Context, column arrow.Array, to arrow.DataType) (arrow.Array, error) {
	if arrow.TypeEqual(column.DataType(), to) {
		column.Retain()
		return column, nil
	}
	if _, ok := column.(*array.Decimal128); ok && to.ID() == arrow.DECIMAL128 {
		d := column.Data()
		data := array.NewData(to, d.Len(), d.Buffers(), nil, d.NullN(), d.Offset())
		defer data.Release()
		return array.NewDecimal128Data(data), nil
	}
	return compute.CastArray(ctx, column, compute.SafeCastOptions(to))
}
