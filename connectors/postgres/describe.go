package postgres

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
)

// relationKinds maps relkind to Table.Kind.
var relationKinds = map[string]string{"r": "table", "p": "table", "f": "table", "v": "view", "m": "view"}

// relationRow is a table with what the catalog says of it and its columns.
type relationRow struct {
	driver.Table
	oid                int64
	kind               string // relkind
	unlogged, filled   bool
	unnamed            bool // in bytes that are no UTF-8
	readable, filtered bool
	extension          string
	key                []int64 // attnums
	keyIsPrimary       bool
	rule               string // hash of a view's definition
	rewritten          bool   // its rows were written anew since it was made
	attributes         []attributeRow
	family             family
}

// columns returns how each of the table's columns is read, in their order.
func (r *relationRow) columns() []mapped {
	all := make([]mapped, 0, len(r.attributes))
	for _, a := range r.attributes {
		if a.readable {
			all = append(all, a.mapped)
		}
	}
	return all
}

// described is what a description found.
type described struct {
	server    server
	relations []*relationRow
	children  []child
}

// reads says what to describe, and what else to ask on the way.
type reads struct {
	where    string                                  // a further condition on the relations
	before   string                                  // statements before the transaction, of which one returns a row
	snapshot string                                  // the name of the one to read in, "" for a fresh one
	further  func(c *session) string                 // statements behind the description
	begin    func()                                  // called before each try
	first    func(row [][]byte) error                // takes what before returns
	take     func(statement int, row [][]byte) error // takes what further returns
}

// describe reads the catalog in a new transaction, whose session it returns.
func describe(ctx context.Context, p *pool, r reads) (*session, *described, error) {
	for {
		d := &describing{pool: p, reads: r, types: typeMap{}, labels: map[int64]string{}, byOID: map[int64]*relationRow{}}
		if r.begin != nil {
			r.begin()
		}
		sql := func(c *session) string {
			sql := description(!p.uncontrolled, r.where)
			if r.further != nil {
				sql += ";" + r.further(c)
			}
			return sql
		}
		c, err := p.transaction(ctx, r.before, r.snapshot, sql, d.take)
		var refused *driver.Error
		switch {
		case errors.As(err, &refused) && !p.uncontrolled && (strings.Contains(refused.Message, "pg_control_system") || strings.Contains(refused.Message, "pg_walfile_name") || strings.Contains(refused.Message, "pg_current_wal_lsn")):
			p.uncontrolled = true // this account may not ask, or this server does not know
			continue
		case err != nil:
			return nil, nil, err
		}
		d.server.ascii = c.ascii()
		if err := d.server.check(p.settings.rowSecurity()); err != nil {
			c.close()
			return nil, nil, err
		}
		found, err := d.finish()
		if err != nil {
			p.keep(ctx, c)
			return nil, nil, err
		}
		return c, found, nil
	}
}

// describing gathers the rows of a description.
type describing struct {
	described
	pool *pool
	reads
	types  typeMap
	labels map[int64]string
	byOID  map[int64]*relationRow
	raw    []attributeSource
}

// attributeSource is a column whose type is not resolved yet.
type attributeSource struct {
	of                    *relationRow
	row                   attributeRow
	typ                   attribute
	collation, expression string
}

func (d *describing) take(statement int, row [][]byte) error {
	if d.before != "" {
		if statement == 0 {
			return d.first(row)
		}
		statement--
	}
	switch statement {
	case rowsTypes:
		d.types[number(row[0])] = attribute{oid: number(row[1]), mod: int32(number(row[2])), kind: string(row[3]), category: string(row[4]), elem: number(row[5]), name: string(row[6]), system: truth(row[7])}
	case rowsLabels:
		d.labels[number(row[0])] = string(row[1])
	case rowsServer:
		d.server = serverOf(row)
	case rowsRelations:
		r := &relationRow{
			Table: driver.Table{Namespace: string(row[1]), Name: string(row[2]), Kind: relationKinds[string(row[3])], RowEstimate: -1},
			oid:   number(row[0]), kind: string(row[3]), unlogged: truth(row[5]), filled: truth(row[6]), readable: truth(row[7]), extension: string(row[8]), filtered: truth(row[9]),
			keyIsPrimary: truth(row[11]), rule: string(row[12]), rewritten: truth(row[13]),
		}
		if row[4] != nil {
			r.RowEstimate = max(number(row[4]), -1)
		}
		for _, n := range strings.Fields(string(row[10])) {
			r.key = append(r.key, number([]byte(n)))
		}
		d.relations, d.byOID[r.oid] = append(d.relations, r), r
	case rowsColumns:
		return d.column(row)
	case rowsChildren:
		d.children = append(d.children, childOf(row))
	default:
		return d.reads.take(statement-rowsFurther, row)
	}
	return nil
}

func (d *describing) column(row [][]byte) error {
	r := d.byOID[number(row[0])]
	if r == nil {
		return binarycopy.ErrMalformed
	}
	if n := len(d.raw); n >= d.pool.limits.MaxColumns && d.raw[n-d.pool.limits.MaxColumns].of == r {
		return driver.E(driver.ErrLimit, nil, "table %s has more than %d columns", r.Table, d.pool.limits.MaxColumns)
	}
	a := attributeSource{of: r, collation: string(row[14]), expression: string(row[15])}
	a.row = attributeRow{number: number(row[1]), readable: truth(row[8]), declared: number(row[4]), rewrite: number(row[5])}
	a.row.column = driver.Column{Name: string(row[2]), SourceType: string(row[3]), Nullable: !truth(row[6]), Comment: string(row[7]), Unique: truth(row[16]), Filled: r.rewritten || truth(row[18])}
	a.typ = attribute{oid: number(row[4]), mod: int32(number(row[5])), kind: string(row[9]), category: string(row[10]), elem: number(row[11]), name: string(row[12]), system: truth(row[13])}
	if f := strings.Fields(string(row[17])); len(f) == 3 {
		a.row.cache, a.row.step, a.row.cycles = number([]byte(f[0])), number([]byte(f[1])), f[2] == "t"
	}
	d.raw = append(d.raw, a)
	return nil
}

// finish puts together what the statements told.
func (d *describing) finish() (*described, error) {
	for _, raw := range d.raw {
		typ := d.types.resolve(raw.typ)
		row := raw.row
		row.mapped = mapType(typ, d.server.moneyScale)
		col := &row.column
		if err := override(&d.pool.settings, raw.of.Table, col.Name, typ, &row.mapped); err != nil {
			return nil, err
		}
		col.Unordered = !row.mapped.ordered
		col.Type, col.Grain, col.Equality = row.mapped.typ, grainOf(typ), equalityOf(typ, raw.collation)
		col.Identity = row.identity(cmp.Or(d.labels[typ.oid], d.labels[typ.elem]), raw.expression)
		raw.of.attributes = append(raw.of.attributes, row)
	}
	d.families()
	for _, r := range d.relations {
		if !utf8.ValidString(r.Namespace) || !utf8.ValidString(r.Name) {
			r.unnamed = true
			r.Namespace, r.Name = strings.ToValidUTF8(r.Namespace, "?"), strings.ToValidUTF8(r.Name, "?")
		}
		r.complete(d.server, &d.pool.settings)
	}
	return &d.described, nil
}

// complete fills in the relation's Table.
func (r *relationRow) complete(on server, settings *Settings) {
	r.Identity = on.identity(r)
	var hidden []string
	for i := range r.attributes {
		a := &r.attributes[i]
		a.readable = a.readable && utf8.ValidString(a.column.Name)
		a.column.Comment, a.column.SourceType = strings.ToValidUTF8(a.column.Comment, "?"), strings.ToValidUTF8(a.column.SourceType, "?")
		if !a.readable {
			hidden = append(hidden, strings.ToValidUTF8(a.column.Name, "?"))
			continue
		}
		a.column.Nullable = a.column.Nullable || slices.Contains(r.family.nullable, a.column.Name)
		a.column.Unique = a.column.Unique && !r.family.mixed()
		if settings.nulls() && uncertain(a.column.Type) && !slices.Contains(r.key, a.number) {
			a.column.Nullable = true
		}
		r.Columns = append(r.Columns, a.column)
	}
	r.LeftOut = r.leftOut(on)
	r.PrimaryKey = r.keyNames()
	r.chooseCursor()
	r.Notes = r.notes(settings, hidden)
}

// chooseCursor sets the default cursor. Numbers that a sequence counts down, or
// gives out again, are none.
func (r *relationRow) chooseCursor() {
	t := r.Table
	for _, a := range r.attributes {
		if len(t.PrimaryKey) == 1 && a.column.Name == t.PrimaryKey[0] && (a.step < 0 || a.cycles) {
			t.PrimaryKey = nil
		}
	}
	r.Cursor, r.CursorNotes = driver.DefaultCursor(t)
}

// keyNames returns the columns of the key, none if one may not be read or the
// rows of other tables are among those of this one.
func (r *relationRow) keyNames() []string {
	if r.family.mixed() {
		return nil
	}
	var names []string
	for _, number := range r.key {
		at := slices.IndexFunc(r.attributes, func(a attributeRow) bool { return a.number == number && a.readable })
		if at < 0 {
			return nil
		}
		names = append(names, r.attributes[at].column.Name)
	}
	return names
}

// typeMap leads from a domain to the type it is made of.
type typeMap map[int64]attribute

// resolve follows domains of domains. A server that answers with a circle is
// stopped by the count.
func (m typeMap) resolve(a attribute) attribute {
	for range 32 {
		base, ok := m[a.oid]
		if !ok {
			return a
		}
		if base.mod < 0 {
			base.mod = a.mod
		}
		a = base
	}
	return attribute{}
}

// match compares a table with what the catalog has under its name, nil for nothing, and
// returns how each of the table's columns is read. It fails with ErrNotFound or
// ErrBadData where the schema has to be discovered again.
func (r *relationRow) match(t driver.Table) ([]mapped, error) {
	if r == nil || !r.readable || r.Namespace != t.Namespace || r.Name != t.Name {
		return nil, driver.E(driver.ErrNotFound, nil, "table %s is not there, or this account may not read it", t)
	}
	columns := make([]mapped, len(t.Columns))
	all := r.columns()
	for i, want := range t.Columns {
		at := slices.IndexFunc(r.Columns, func(have driver.Column) bool { return have.Name == want.Name })
		if at < 0 {
			return nil, driver.E(driver.ErrNotFound, nil, "table %s has no column %s any more, or this account may not read it: discover the schema again", t, want.Name)
		}
		if have := r.Columns[at]; have.Type != want.Type {
			return nil, driver.E(driver.ErrBadData, nil, "table %s, column %s is %s now, not %s: discover the schema again", t, want.Name, have.Type, want.Type)
		}
		columns[i] = all[at]
	}
	if len(columns) == 0 {
		return nil, driver.E(driver.ErrUnsupported, nil, "table %s has no columns to read", t)
	}
	return columns, nil
}
