package sqlite

import (
	"bytes"
	"context"
	sqldriver "database/sql/driver"
	"io"
	"slices"
	"strings"

	"headwater/connectors/sqlite/btree"
)

// stored reads a table's rows from the pages of the file, several times faster than
// SQLite's engine. It is not safe for concurrent use.
type stored struct {
	source   *source
	table    dbTable
	tree     *btree.Tree
	target   []int // where a stored column goes in a row, or -1
	row      []btree.Value
	alias    int   // place in a row of the column that is the row number, or -1
	reals    []int // places of REAL columns, whose whole numbers are stored as integers
	missing  map[int]btree.Value
	rowidSQL string // what the engine calls the row number, "" when columns took every name
}

// stored returns how to read the columns of a table without the engine, or nil
// where only the engine can: views, WITHOUT ROWID tables, computed columns,
// UTF-16.
func (s *source) stored(ctx context.Context, found dbTable, names []string) (*stored, error) {
	if found.kind != "table" || found.withoutRowid || found.computed || !s.file.utf8 || s.engineOnly {
		return nil, nil
	}
	d := &stored{source: s, table: found, alias: -1, row: make([]btree.Value, len(names)), missing: map[int]btree.Value{}, rowidSQL: rowidName(found)}
	root := int64(0)
	err := s.rows(ctx, "SELECT rootpage FROM main.sqlite_schema WHERE type = 'table' AND name = ?1", []sqldriver.NamedValue{{Ordinal: 1, Value: found.name}}, func(row []sqldriver.Value) error {
		root, _ = row[0].(int64)
		return nil
	})
	if err != io.EOF {
		return nil, s.failed(ctx, err, "reading the schema of "+found.name)
	}
	if root < 1 || root > int64(s.file.Count) {
		return nil, nil
	}
	d.tree = btree.NewTree(s.file, s.file.Layout, uint32(root), s.limits.MaxRowBytes)
	alias := rowidAlias(found, found.keys())
	for _, c := range found.columns {
		at := slices.Index(names, c.name)
		d.target = append(d.target, at)
		if at < 0 {
			continue
		}
		if c.name == alias {
			d.alias = at
		}
		if realAffinity(c.declared) {
			d.reals = append(d.reals, at)
		}
		if c.defaults && d.rowidSQL == "" {
			return nil, nil // what an old row lacks could not be asked for
		}
	}
	return d, nil
}

// keys returns the columns of the primary key, in its order.
func (t dbTable) keys() []dbColumn {
	keys := slices.DeleteFunc(slices.Clone(t.columns), func(c dbColumn) bool { return c.key == 0 })
	slices.SortFunc(keys, func(a, b dbColumn) int { return int(a.key - b.key) })
	return keys
}

// rowidName returns a name of the row number that no column of the table has, "" if
// there is none.
func rowidName(t dbTable) string {
	for _, name := range []string{"_rowid_", "rowid", "oid"} {
		if !slices.ContainsFunc(t.columns, func(c dbColumn) bool { return strings.EqualFold(c.name, name) }) {
			return name
		}
	}
	return ""
}

// realAffinity applies SQLite's rules of affinity, in their order.
func realAffinity(declared string) bool {
	s := strings.ToUpper(declared)
	for _, other := range []string{"INT", "CHAR", "CLOB", "TEXT", "BLOB"} {
		if strings.Contains(s, other) {
			return false
		}
	}
	return strings.Contains(s, "REAL") || strings.Contains(s, "FLOA") || strings.Contains(s, "DOUB")
}

// rows gives the rows within s to f in the order of their row numbers, until f returns
// an error, and returns io.EOF after the last. The values are valid until f returns.
func (d *stored) rows(ctx context.Context, s btree.Span, f func(row []btree.Value) error) error {
	err := d.tree.Rows(ctx, s, func(rowid int64, payload []byte) error {
		n, err := btree.DecodeRecord(payload, d.target, d.row)
		if err == nil && n < len(d.target) {
			err = d.complete(ctx, rowid, n)
		}
		if err != nil {
			return err
		}
		if d.alias >= 0 {
			d.row[d.alias] = btree.Value{Class: btree.Integer, Int: rowid}
		}
		for _, at := range d.reals {
			if v := &d.row[at]; v.Class == btree.Integer {
				*v = btree.Value{Class: btree.Real, Float: float64(v.Int)}
			}
		}
		return f(d.row)
	})
	if err == nil {
		err = io.EOF
	}
	return d.failed(err)
}

// complete fills in columns that are newer than the row, from the nth on. They have
// their default, the same in every such row, which only the engine can compute.
func (d *stored) complete(ctx context.Context, rowid int64, n int) error {
	for i := n; i < len(d.target); i++ {
		at := d.target[i]
		if at < 0 {
			continue
		}
		if c := d.table.columns[i]; c.defaults {
			v, ok := d.missing[i]
			if !ok {
				err := d.source.rows(ctx, "SELECT +"+quote(c.name)+" FROM main."+quote(d.table.name)+" WHERE "+d.rowidSQL+" = ?1", []sqldriver.NamedValue{{Ordinal: 1, Value: rowid}}, func(row []sqldriver.Value) error {
					v = btree.ValueOf(row[0])
					v.Bytes = bytes.Clone(v.Bytes)
					return nil
				})
				if err != io.EOF {
					return err
				}
				d.missing[i] = v
			}
			d.row[at] = v
		} else {
			d.row[at] = btree.Value{}
		}
	}
	return nil
}
