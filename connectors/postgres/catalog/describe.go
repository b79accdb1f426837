package catalog

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
	"headwater/connectors/postgres/session"
)

// relationKinds maps relkind to Table.Kind.
var relationKinds = map[string]string{"r": "table", "p": "table", "f": "table", "v": "view", "m": "view"}

// Relation is a table with what the catalog says about it and its columns.
type Relation struct {
	driver.Table
	OID                int64
	RelKind            string // relkind
	unlogged, filled   bool
	unnamed            bool // its name is not UTF-8
	readable, Filtered bool
	extension          string
	key                []int64 // attnums
	keyIsPrimary       bool
	rule               string // hash of a view's definition
	rewritten          bool   // its heap was rewritten after it was created
	Attributes         []Attribute
	Family             family
}

// columns returns how each column of the table is read, in the order of the table's
// columns.
func (r *Relation) columns() []Mapped {
	all := make([]Mapped, 0, len(r.Attributes))
	for _, a := range r.Attributes {
		if a.readable {
			all = append(all, a.mapped)
		}
	}
	return all
}

// Description is what was found.
type Description struct {
	Server    Server
	Relations []*Relation
	children  []child
}

// Reads says what to describe, and what else to ask in the same round trip.
type Reads struct {
	Where    string                                  // further conditions on the relations
	Before   string                                  // statements ahead of the transaction, of which one returns a row
	Snapshot string                                  // the name of an exported snapshot, "" for a new one
	Further  func(c *session.Session) string         // returns statements that follow the description
	Begin    func()                                  // is called before each attempt
	First    func(row [][]byte) error                // takes the row of Before
	Take     func(statement int, row [][]byte) error // takes the rows of Further
}

// Describe reads the catalog in a new transaction. It returns the session in that
// transaction, which the caller gives back to the pool or closes.
func Describe(ctx context.Context, p *session.Pool, r Reads) (*session.Session, *Description, error) {
	for {
		d := &describing{pool: p, Reads: r, types: typeMap{}, labels: map[int64]string{}, byOID: map[int64]*Relation{}}
		if r.Begin != nil {
			r.Begin()
		}
		sql := func(c *session.Session) string {
			sql := description(!p.Uncontrolled, r.Where)
			if r.Further != nil {
				sql += ";" + r.Further(c)
			}
			return sql
		}
		c, err := p.Transaction(ctx, r.Before, r.Snapshot, sql, d.take)
		var refused *driver.Error
		switch {
		case errors.As(err, &refused) && !p.Uncontrolled && (strings.Contains(refused.Message, "pg_control_system") || strings.Contains(refused.Message, "pg_walfile_name") || strings.Contains(refused.Message, "pg_current_wal_lsn")):
			p.Uncontrolled = true // this account has no right to it, or the server has no such function
			continue
		case err != nil:
			return nil, nil, err
		}
		d.Server.ASCII = c.IsASCII()
		if err := d.Server.check(p.Settings.RowSecuritySetting()); err != nil {
			c.Close()
			return nil, nil, err
		}
		found, err := d.finish()
		if err != nil {
			p.Keep(ctx, c)
			return nil, nil, err
		}
		return c, found, nil
	}
}

// describing gathers the rows of a description.
type describing struct {
	Description
	pool *session.Pool
	Reads
	types  typeMap
	labels map[int64]string
	byOID  map[int64]*Relation
	raw    []attributeSource
}

// attributeSource is a column whose type is not resolved yet.
type attributeSource struct {
	of                    *Relation
	row                   Attribute
	typ                   attribute
	collation, expression string
}

func (d *describing) take(statement int, row [][]byte) error {
	if d.Before != "" {
		if statement == 0 {
			return d.First(row)
		}
		statement--
	}
	switch statement {
	case rowsTypes:
		d.types[session.Number(row[0])] = attribute{oid: session.Number(row[1]), mod: int32(session.Number(row[2])), kind: string(row[3]), category: string(row[4]), elem: session.Number(row[5]), name: string(row[6]), system: session.Truth(row[7])}
	case rowsLabels:
		d.labels[session.Number(row[0])] = string(row[1])
	case rowsServer:
		d.Server = serverOf(row)
	case rowsRelations:
		r := &Relation{
			Table: driver.Table{Namespace: string(row[1]), Name: string(row[2]), Kind: relationKinds[string(row[3])], RowEstimate: -1},
			OID:   session.Number(row[0]), RelKind: string(row[3]), unlogged: session.Truth(row[5]), filled: session.Truth(row[6]), readable: session.Truth(row[7]), extension: string(row[8]), Filtered: session.Truth(row[9]),
			keyIsPrimary: session.Truth(row[11]), rule: string(row[12]), rewritten: session.Truth(row[13]),
		}
		if row[4] != nil {
			r.RowEstimate = max(session.Number(row[4]), -1)
		}
		for _, n := range strings.Fields(string(row[10])) {
			r.key = append(r.key, session.Number([]byte(n)))
		}
		d.Relations, d.byOID[r.OID] = append(d.Relations, r), r
	case rowsColumns:
		return d.column(row)
	case rowsChildren:
		d.children = append(d.children, childOf(row))
	default:
		return d.Reads.Take(statement-rowsFurther, row)
	}
	return nil
}

func (d *describing) column(row [][]byte) error {
	r := d.byOID[session.Number(row[0])]
	if r == nil {
		return binarycopy.ErrMalformed
	}
	if n := len(d.raw); n >= d.pool.Limits.MaxColumns && d.raw[n-d.pool.Limits.MaxColumns].of == r {
		return driver.E(driver.ErrLimit, nil, "table %s has more than %d columns", r.Table, d.pool.Limits.MaxColumns)
	}
	a := attributeSource{of: r, collation: string(row[14]), expression: string(row[15])}
	a.row = Attribute{Number: session.Number(row[1]), readable: session.Truth(row[8]), Declared: session.Number(row[4]), Rewrite: session.Number(row[5])}
	a.row.Column = driver.Column{Name: string(row[2]), SourceType: string(row[3]), Nullable: !session.Truth(row[6]), Comment: string(row[7]), Unique: session.Truth(row[16]), Filled: r.rewritten || session.Truth(row[18])}
	a.typ = attribute{oid: session.Number(row[4]), mod: int32(session.Number(row[5])), kind: string(row[9]), category: string(row[10]), elem: session.Number(row[11]), name: string(row[12]), system: session.Truth(row[13])}
	if f := strings.Fields(string(row[17])); len(f) == 3 {
		a.row.Cache, a.row.Step, a.row.cycles = session.Number([]byte(f[0])), session.Number([]byte(f[1])), f[2] == "t"
	}
	d.raw = append(d.raw, a)
	return nil
}

// finish builds the description from the rows.
func (d *describing) finish() (*Description, error) {
	for _, raw := range d.raw {
		typ := d.types.resolve(raw.typ)
		row := raw.row
		row.mapped = mapType(typ, d.Server.MoneyScale)
		col := &row.Column
		if err := override(&d.pool.Settings, raw.of.Table, col.Name, typ, &row.mapped); err != nil {
			return nil, err
		}
		col.Unordered = !row.mapped.Ordered
		col.Type, col.Grain, col.Equality = row.mapped.Type, grainOf(typ), equalityOf(typ, raw.collation)
		col.Identity = row.identity(cmp.Or(d.labels[typ.oid], d.labels[typ.elem]), raw.expression)
		raw.of.Attributes = append(raw.of.Attributes, row)
	}
	d.families()
	for _, r := range d.Relations {
		if !utf8.ValidString(r.Namespace) || !utf8.ValidString(r.Name) {
			r.unnamed = true
			r.Namespace, r.Name = strings.ToValidUTF8(r.Namespace, "?"), strings.ToValidUTF8(r.Name, "?")
		}
		r.complete(d.Server, &d.pool.Settings)
	}
	return &d.Description, nil
}

// complete fills in the relation's Table.
func (r *Relation) complete(on Server, settings *session.Settings) {
	r.Identity = on.identity(r)
	var hidden []string
	for i := range r.Attributes {
		a := &r.Attributes[i]
		a.readable = a.readable && utf8.ValidString(a.Column.Name)
		a.Column.Comment, a.Column.SourceType = strings.ToValidUTF8(a.Column.Comment, "?"), strings.ToValidUTF8(a.Column.SourceType, "?")
		if !a.readable {
			hidden = append(hidden, strings.ToValidUTF8(a.Column.Name, "?"))
			continue
		}
		a.Column.Nullable = a.Column.Nullable || slices.Contains(r.Family.nullable, a.Column.Name)
		a.Column.Unique = a.Column.Unique && !r.Family.mixed()
		if settings.Nulls() && uncertain(a.Column.Type) && !slices.Contains(r.key, a.Number) {
			a.Column.Nullable = true
		}
		r.Columns = append(r.Columns, a.Column)
	}
	r.LeftOut = r.leftOut(on)
	r.PrimaryKey = r.keyNames()
	r.chooseCursor()
	r.Notes = r.notes(settings, hidden)
}

// chooseCursor sets the default cursor. Numbers of a sequence that counts down or cycles
// are not used.
func (r *Relation) chooseCursor() {
	t := r.Table
	for _, a := range r.Attributes {
		if len(t.PrimaryKey) == 1 && a.Column.Name == t.PrimaryKey[0] && (a.Step < 0 || a.cycles) {
			t.PrimaryKey = nil
		}
	}
	r.Cursor, r.CursorNotes = driver.DefaultCursor(t)
}

// keyNames returns the columns of the key. It returns nil if one of them may not be
// read, or if rows of other tables are among those of this one.
func (r *Relation) keyNames() []string {
	if r.Family.mixed() {
		return nil
	}
	var names []string
	for _, number := range r.key {
		at := slices.IndexFunc(r.Attributes, func(a Attribute) bool { return a.Number == number && a.readable })
		if at < 0 {
			return nil
		}
		names = append(names, r.Attributes[at].Column.Name)
	}
	return names
}

// typeMap maps a domain to the type it is made of.
type typeMap map[int64]attribute

// resolve follows domains of domains. The count ends it if a server answers with a
// circle.
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

// Match compares a table with the catalog's row of that name, which is nil if there is
// none. It returns how each of the table's columns is read. ErrNotFound and ErrBadData
// say that the schema has to be discovered again.
func (r *Relation) Match(t driver.Table) ([]Mapped, error) {
	if r == nil || !r.readable || r.Namespace != t.Namespace || r.Name != t.Name {
		return nil, driver.E(driver.ErrNotFound, nil, "table %s is not there, or this account may not read it", t)
	}
	columns := make([]Mapped, len(t.Columns))
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
