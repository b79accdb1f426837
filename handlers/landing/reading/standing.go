package reading

import (
	"context"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/digest"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/syncstate"
	"headwater/handlers/landing/tableschema"
)

// Standing is a landed table at one snapshot, ready to be compared with its
// source.
type Standing struct {
	SnapshotID int64
	At         time.Time // of the commit
	Rows       int64
	Cursor     driver.Cursor
	Versions   bool // several rows of a key may have landed: they were appended
	Follows    bool // it is complete up to a position in its source's log of changes
	// Table is the source's table as it is to be read, so that its values are as
	// they landed.
	Table driver.Table
	Spec  digest.Spec // what can be compared
	// Apart are columns that the source has and that are not compared: they were
	// never read, or older rows lack them.
	Apart []string

	at kvcatalog.Loaded
}

// Has reports whether the landed table has a column.
func (s Standing) Has(column string) bool {
	_, has := s.at.Meta.CurrentSchema().FindFieldByName(column)
	return has
}

// Standing returns how a table stands now, by what it is at its source; key are
// the columns that tell its rows apart, if it has any. It returns ErrNoTable for one that never
// landed, ErrStorage or the store's error.
func (l *Reader) Standing(ctx context.Context, a event.Address, t driver.Table, key []string) (Standing, error) {
	at, err := l.within(ctx).current(ctx, a, t.Namespace, t.Name)
	if err != nil {
		return Standing{}, err
	}
	s, err := syncstate.Of(at.Meta)
	if err != nil {
		return Standing{}, err
	}
	if s.SnapshotID == 0 {
		return Standing{}, ErrNoTable
	}
	if len(key) == 0 {
		key = s.Key
	}
	schema := at.Meta.CurrentSchema()
	as := tableschema.AsLanded(t, key, s.Cursor.Column, schema, s.JSON)
	st := Standing{SnapshotID: s.SnapshotID, Rows: s.Total, Cursor: s.Cursor, Follows: s.Position != "", Table: as, at: at}
	st.At = time.UnixMilli(at.Meta.CurrentSnapshot().TimestampMs).UTC()
	var read []driver.Column
	for _, c := range as.Columns {
		_, landed := schema.FindFieldByName(c.Name)
		_, wanted := s.Origin.Columns[c.Name]
		if !landed || s.Origin.Columns != nil && !wanted || slices.Contains(s.Origin.Lacking, c.Name) {
			st.Apart = append(st.Apart, c.Name)
			continue
		}
		read = append(read, c)
		st.Spec.Columns = append(st.Spec.Columns, c.Name)
	}
	st.Table.Columns = read
	if !slices.ContainsFunc(key, func(name string) bool { return !slices.Contains(st.Spec.Columns, name) }) {
		st.Spec.Key = key
	}
	if c, ok := st.Table.Column(s.Cursor.Column); ok && s.Cursor.Value != nil && c.Type.Ordered() {
		st.Spec.Cursor, st.Spec.Type, st.Spec.After = c.Name, c.Type, s.Cursor.Value
	}
	st.Versions = len(s.Key) == 0 && len(key) > 0 && s.Mode == syncstate.Incremental
	return st, nil
}

// Digest sums up the rows of a table that stands so, but for those of the keys
// that the source has in a newer form. It returns ErrStorage.
func (l *Reader) Digest(ctx context.Context, st Standing, spec digest.Spec, newer []digest.Hash) (digest.Sums, error) {
	l = l.within(ctx)
	// What landed is at or before the cursor.
	spec.After = nil
	side := digest.New(spec, newer)
	live, deletes, err := manifest.DataFiles(l.files, st.at.Meta.CurrentSnapshot())
	if err != nil {
		return digest.Sums{}, err
	}
	gone, err := datafiles.GoneRows(ctx, l.files, deletes)
	if err != nil {
		return digest.Sums{}, err
	}
	schema := st.at.Meta.CurrentSchema()
	fields := make([]iceberg.NestedField, len(spec.Columns))
	for i, name := range spec.Columns {
		fields[i], _ = schema.FindFieldByName(name)
	}
	for _, f := range live {
		away := gone[f.FilePath()]
		seen := int64(0)
		err := datafiles.AllColumns(ctx, l.files, f.FilePath(), fields, func(first int64, columns []arrow.Array) error {
			rows := datafiles.Rows(columns)
			seen += int64(rows)
			return side.Add(columns, rows, func(row int) bool { return away.Has(first + int64(row)) })
		})
		if err != nil {
			return digest.Sums{}, err
		}
		if rest := f.Count() - seen; rest > 0 && len(fields) > 0 { // a file without any of the columns
			if err := side.Add(make([]arrow.Array, len(fields)), int(rest), func(row int) bool { return away.Has(int64(row)) }); err != nil {
				return digest.Sums{}, err
			}
		}
	}
	return side.Sums(), nil
}
