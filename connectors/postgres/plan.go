package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/moment"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// plan is a table that is about to be read, as its transaction shows it.
type plan struct {
	table   driver.Table
	row     *catalog.Relation
	columns []catalog.Mapped // in the order of the table's columns
	server  catalog.Server
	moment  moment.Moment
	by      string // the column of a Place, "" for a Read or Scan
}

// plan begins a transaction and compares the table with the catalog in it: at the moment
// of the sync if possible, or at one of its own.
func (s *source) plan(ctx context.Context, t driver.Table) (*session.Session, *plan, error) {
	if at := s.joined; at != nil {
		c, p, why, err := s.planAt(ctx, t, at)
		if s.apart = why; why == "" || ctx.Err() != nil {
			return c, p, err
		}
	}
	return s.planAlone(ctx, t)
}

// planAlone is plan in a snapshot of its own.
func (s *source) planAlone(ctx context.Context, t driver.Table) (*session.Session, *plan, error) {
	namespace, name := session.Literal(t.Namespace), session.Literal(t.Name)
	p := &plan{table: t}
	c, found, err := catalog.Describe(ctx, s.Pool, catalog.Reads{
		Before: fmt.Sprintf(moment.OfActivity, namespace, name),
		Where:  fmt.Sprintf(catalog.OfTable, namespace, name),
		Further: func(c *session.Session) string {
			return fmt.Sprintf(moment.OfMoment, moment.SnapshotFunction(c), namespace, name, moment.TimelineFunction(c))
		},
		Begin: func() { p.moment = moment.Moment{} },
		First: p.moment.TakeActivity,
		Take:  p.moment.Take,
	})
	if err != nil {
		return nil, nil, err
	}
	if err := p.found(found); err != nil {
		s.Keep(ctx, c)
		return nil, nil, err
	}
	return c, p, nil
}

// found takes a description of the table and compares the table with it.
func (p *plan) found(d *catalog.Description) error {
	p.server = d.Server
	if len(d.Relations) > 0 {
		p.row = d.Relations[0]
		p.moment.Only(p.row)
	}
	return p.match()
}

// match compares the table with the catalog's row.
func (p *plan) match() (err error) {
	p.columns, err = p.row.Match(p.table)
	return err
}

// source returns what to select from: the table, with ONLY if tables that inherit from
// it are read on their own.
func (p *plan) source() string {
	if p.row.RelKind == "r" && len(p.row.Family.Apart) > 0 && len(p.row.Family.Below) == 0 {
		return "ONLY " + session.Relation(p.table)
	}
	return session.Relation(p.table)
}

// own returns the condition that leaves out the rows of tables which are read on their
// own, "" if it is not needed.
func (p *plan) own() string {
	if len(p.row.Family.Apart) == 0 || len(p.row.Family.Below) == 0 {
		return ""
	}
	return "tableoid OPERATOR(pg_catalog.=) ANY (" + session.OIDList(append([]int64{p.row.OID}, p.row.Family.Below...)) + ")"
}

// order returns the expression by which a cursor column is compared and sorted.
func (p *plan) order(column string) string {
	by := session.Quote(column)
	if at := slices.IndexFunc(p.table.Columns, func(c driver.Column) bool { return c.Name == column }); at >= 0 && p.columns[at].Collate {
		by += ` COLLATE pg_catalog."C"` // the order of bytes
	}
	return by
}

// selection builds the statement. It contains no SQL of the caller: identifiers and the
// cursor's value are quoted here. Names are qualified, because the account's own search
// path is in force.
func (p *plan) selection(from driver.Cursor, r resumption) (string, error) {
	t := p.table
	query := "SELECT " + list(t, p.columns) + " FROM " + p.source()
	var all []string
	if own := p.own(); own != "" {
		all = append(all, own)
	}
	if from.Column == "" {
		return query + whereAll(all), nil
	}
	at := slices.IndexFunc(t.Columns, func(c driver.Column) bool { return c.Name == from.Column })
	if at < 0 {
		return "", driver.E(driver.ErrNotFound, nil, "table %s has no cursor column %s", t, from.Column)
	}
	if !p.columns[at].Ordered {
		return "", driver.E(driver.ErrUnsupported, nil, "table %s, column %s (%s) has no order that a cursor can follow", t, from.Column, t.Columns[at].SourceType)
	}
	by := p.order(from.Column)
	nullable := t.Columns[at].Nullable && (from.Value == nil || from.Nulls)
	if from.Value != nil {
		if _, err := sqldb.CheckCursor(t, t.Columns[at], *from.Value); err != nil {
			return "", err
		}
		wanted := p.wanted(by, from, r)
		if nullable {
			wanted = append(wanted, session.Quote(from.Column)+" IS NULL")
		}
		all = append(all, "("+strings.Join(wanted, " OR ")+")")
	}
	query += whereAll(all) + " ORDER BY " + by
	if nullable { // NULLS FIRST would keep the server from using an index
		query += " NULLS FIRST"
	}
	return query, nil
}

// wanted returns conditions of which a row has to meet one. Rows without a cursor value
// are not among them.
func (p *plan) wanted(by string, from driver.Cursor, r resumption) []string {
	than := ">"
	if from.Inclusive {
		than = ">="
	}
	wanted := []string{fmt.Sprintf("%s OPERATOR(pg_catalog.%s) %s", by, than, session.Literal(*from.Value))}
	behind := func(condition string) {
		wanted = append(wanted, fmt.Sprintf("%s IS NOT NULL AND %s", session.Quote(from.Column), condition))
	}
	if r.late != "" {
		behind(r.late)
	}
	if len(r.fresh) > 0 {
		behind("tableoid OPERATOR(pg_catalog.=) ANY (" + session.OIDList(r.fresh) + ")")
	}
	return wanted
}

func whereAll(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(all, " AND ")
}
