package upkeep

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"headwater/bus/kv"
	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/parts"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/syncstate"
)

// replacement is files that became one.
type replacement struct {
	old  []iceberg.DataFile
	then datafiles.Positions // what of them is not in the new one
	made iceberg.DataFile
}

// replace writes a group of files anew, none to join files of deletes alone, and
// commits that.
func (m *maintenance) replace(ctx context.Context, now holding, group []File) error {
	made := &storage.Recorder{Store: m.files()}
	r := replacement{then: datafiles.Positions{}}
	known := map[string]iceberg.DataFile{}
	for _, f := range now.files {
		known[f.FilePath()] = f
	}
	for _, f := range group {
		r.old = append(r.old, known[f.Name])
		if set := now.gone[f.Name]; set != nil {
			r.then[f.Name] = set
		}
	}
	var err error
	if len(r.old) > 0 {
		r.made, err = m.rewrite(ctx, made, r)
	}
	if err == nil {
		m.catalog.At("rewritten")
		err = m.land(ctx, r)
	}
	if err == nil {
		m.done.Folded += r.then.Count()
		return nil
	}
	if errors.Is(err, kvcatalog.ErrUnknown) {
		return err // it may be part of the table
	}
	return errors.Join(err, made.Undo())
}

// rewrite writes the rows of files that are not deleted into one file, in their
// order, as the table's schema has them. It returns nil where there are none.
func (m *maintenance) rewrite(ctx context.Context, made storage.Store, r replacement) (iceberg.DataFile, error) {
	schema := m.at.Meta.CurrentSchema()
	names := make([]string, schema.NumFields())
	for i, f := range schema.Fields() {
		names[i] = f.Name
	}
	layout, err := datafiles.LayoutOf(schema, names)
	if err != nil {
		return nil, err
	}
	name := m.name(r.old[len(r.old)-1].FilePath())
	enc := parts.Start(parts.Config{Files: datafiles.Files{Store: made}, Layout: layout, Name: func() string { return name }, Size: 1 << 60, Log: m.log})
	want := int64(0)
	for _, f := range r.old {
		if want += f.Count(); r.then[f.FilePath()] != nil {
			want -= r.then[f.FilePath()].N
		}
		if err = m.copy(ctx, enc, layout.Schema, f, r.then[f.FilePath()]); err != nil {
			break
		}
	}
	done, failed := enc.Finish()
	if err == nil {
		err = failed
	}
	rows := int64(0)
	for _, p := range done {
		rows += p.Rows
	}
	if err == nil && (len(done) > 1 || rows != want) {
		err = storage.Wrap("write files anew", fmt.Errorf("%d rows became %d in %d files", want, rows, len(done)))
	}
	if err != nil || len(done) == 0 {
		return nil, err
	}
	m.written += done[0].Size
	footer, err := done[0].Metadata()
	if err != nil {
		return nil, storage.Wrap("read a part's footer", err)
	}
	return datafiles.Describe(schema, m.at.Meta.Properties(), done[0].Name, done[0].Size, footer)
}

// copy hands the rows of a file to an encoder.
func (m *maintenance) copy(ctx context.Context, enc *parts.Encoder, sc *arrow.Schema, f iceberg.DataFile, gone *datafiles.RowSet) error {
	fields := m.at.Meta.CurrentSchema().Fields()
	by := parquet.NewReaderProperties(nil)
	by.BufferedStreamEnabled, by.BufferSize = true, datafiles.PieceBytes
	seen := int64(0)
	put := func(columns []arrow.Array, rows int64) error {
		for i, c := range columns {
			if c == nil { // what a file lacks is NULL
				columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, sc.Field(i).Type, int(rows))
			}
		}
		rec := datafiles.RecordOf(sc, columns, rows)
		kept, err := datafiles.Without(ctx, rec, seen, gone)
		seen += rows
		if err != nil {
			return storage.Wrap("leave deleted rows out", err)
		}
		return enc.Put(ctx, kept)
	}
	err := datafiles.ColumnsBy(ctx, m.files(), f.FilePath(), fields, by, datafiles.PieceRows, func(_ int64, columns []arrow.Array) error {
		return put(columns, int64(datafiles.Rows(columns)))
	})
	for err == nil && seen < f.Count() && noneOf(fields, f) { // a file of columns that the table has not any more
		err = put(make([]arrow.Array, len(fields)), min(datafiles.PieceRows, f.Count()-seen))
	}
	if err == nil && seen != f.Count() {
		err = storage.Wrap("read a data file", fmt.Errorf("%s has %d rows where its manifest says %d", f.FilePath(), seen, f.Count()))
	}
	return err
}

// noneOf reports whether a file holds none of the fields.
func noneOf(fields []iceberg.NestedField, f iceberg.DataFile) bool {
	for _, field := range fields {
		if _, ok := f.ColumnSizes()[field.ID]; ok {
			return false
		}
	}
	return true
}

// land commits a replacement to the table as it is by now: syncs may have come
// meanwhile, and have deleted rows of what is replaced.
func (m *maintenance) land(ctx context.Context, r replacement) error {
	for try := range kvcatalog.Tries {
		m.hurried = try > 0
		at, err := m.quiet(ctx)
		if m.hurried && errors.Is(err, errYielded) && at.Pointer.Upkeep == m.epoch {
			err = nil // syncs come all the time: this commits beside one, which looks again
		}
		if err != nil {
			return err
		}
		made := manifest.New(m.files())
		next, err := m.landOn(ctx, at, made, r)
		if err == nil {
			m.at, m.hurried = next, false
			return nil
		}
		if errors.Is(err, kvcatalog.ErrUnknown) {
			return err
		}
		if undone := made.Undo(); !errors.Is(err, kv.ErrConflict) {
			return errors.Join(err, undone)
		}
	}
	return errYielded
}

func (m *maintenance) landOn(ctx context.Context, at kvcatalog.Loaded, made *manifest.Draft, r replacement) (kvcatalog.Loaded, error) {
	if err := made.Over(at.Meta); err != nil {
		return at, err
	}
	now, err := m.look(ctx, at)
	if err != nil {
		return at, err
	}
	left, ok := r.over(now)
	if !ok || now.foreign {
		return at, errYielded
	}
	props, err := stateIn(at.Meta)
	if err != nil {
		return at, err
	}
	txn := m.catalog.Open(at, made).NewTransaction()
	rewrite := txn.NewRewrite(props)
	rewrite.ApplyResult(table.CompactionGroupResult{OldDataFiles: slices.Concat(r.old, now.deletes), NewDataFiles: r.files()})
	first, last := int64(0), int64(0)
	for _, f := range r.old {
		first = max(first, now.sequence[f.FilePath()])
	}
	if r.made != nil {
		rewrite.DataSequenceNumber(first)
	}
	if left.Count() > 0 {
		for _, f := range now.deletes {
			last = max(last, now.sequence[f.FilePath()])
		}
		prefix := fmt.Sprintf("%020d-upkeep-%s", at.Pointer.Fence, uuid.NewString()[:8])
		deletes, err := datafiles.WriteDeletes(ctx, made, func() string { return m.name(prefix) }, left, m.log)
		if err != nil {
			return at, err
		}
		rewrite.AddDeleteFileWithDataSequenceNumber(deletes, last)
	}
	if err := rewrite.Commit(ctx); err != nil {
		return at, storage.Wrap("write the snapshot", err)
	}
	commit, err := txn.TableCommit()
	if err != nil {
		return at, err
	}
	var updates []table.Update
	for _, u := range commit.Updates {
		if u.Action() != table.UpdateSetProperties {
			updates = append(updates, u)
		}
	}
	retired, err := retain.Retire(at.Meta, made, m.now())
	if err != nil {
		return at, err
	}
	m.catalog.At("deletes")
	return m.catalog.Commit(ctx, at, made, append(updates, retired...), func(*kvcatalog.Pointer) {})
}

func (r replacement) files() []iceberg.DataFile {
	if r.made == nil {
		return nil
	}
	return []iceberg.DataFile{r.made}
}

// over returns what is deleted of the table once the replacement is made, with
// what was deleted of the old files meanwhile. It is not ok where one of those is
// not part of the table any more.
func (r replacement) over(now holding) (left datafiles.Positions, ok bool) {
	left = maps.Clone(now.gone)
	live := map[string]bool{}
	for _, f := range now.files {
		live[f.FilePath()] = true
	}
	before := int64(0) // rows of the new file
	for _, f := range r.old {
		name := f.FilePath()
		if !live[name] {
			return nil, false
		}
		delete(left, name)
		then, later, kept := r.then[name], now.gone[name], int64(0)
		if later == nil || then != nil && then.N == later.N { // nothing meanwhile
			if before += f.Count(); then != nil {
				before -= then.N
			}
			continue
		}
		for row := range f.Count() {
			if then.Has(row) {
				continue
			}
			if later.Has(row) {
				left.Add(r.made.FilePath(), before+kept)
			}
			kept++
		}
		before += kept
	}
	return left, true
}

// stateIn returns what the snapshot of a maintenance says: all that the snapshot says
// from which the next sync goes on.
func stateIn(meta table.Metadata) (iceberg.Properties, error) {
	props := iceberg.Properties{}
	made := syncstate.SnapshotOf(meta)
	if made == nil {
		return props, nil
	}
	s, err := syncstate.In(made)
	if err != nil {
		return nil, err
	}
	for name, value := range made.Summary.Properties {
		if strings.HasPrefix(name, "headwater.") {
			props[name] = value
		}
	}
	props[syncstate.PropStateOf] = fmt.Sprint(s.SnapshotID)
	return props, nil
}
