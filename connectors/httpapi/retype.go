package httpapi

import (
	"errors"
	"slices"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// lookFor bounds how long a read that cannot go on looks for other values that do not
// fit. The next read meets those that it does not see.
const lookFor = time.Minute

// retyping is a read that met a value which does not fit its column. It reads on to find
// types for all records; then the read begins again with them.
type retyping struct {
	s     *source
	e     endpoint
	table driver.Table
	why   error
	m     *sampled
	begun time.Time
}

// misfit begins to find types again, from the sample and the pages from here on. It
// returns nil if the value is an error: the settings name the column's type, or the
// record is not a record.
func (s *source) misfit(e endpoint, t driver.Table, why error) *retyping {
	var wrong *records.Misfit
	if !errors.As(why, &wrong) || s.settings.ColumnTypes[wrong.Column] != "" {
		return nil
	}
	m := s.samples[e.Name]
	if m == nil {
		m = newSampled()
		m.shape.As(t.Columns)
	}
	return &retyping{s: s, e: e, table: t, why: why, m: m, begun: time.Now()}
}

// look adds a page, and reports whether enough was seen.
func (r *retyping) look(pg *page) (enough bool, err error) {
	if err := r.m.look(r.s, r.e, pg); err != nil {
		return true, err
	}
	return time.Since(r.begun) > lookFor, nil
}

// end remembers the types for Discover, and returns the ErrRetyped by which a reader
// reads again. Whole numbers become fractions if there is a fraction, and text if there
// are other values.
func (r *retyping) end() error {
	columns, err := r.m.shape.Columns(r.s.settings.ColumnTypes, true)
	if err != nil {
		return err
	}
	found, ok := r.s.tables[r.e.Name]
	if !ok {
		found = r.table
	}
	found.Columns = slices.Clone(found.Columns)
	changed := false
	for i, c := range found.Columns {
		at := slices.IndexFunc(columns, func(n driver.Column) bool { return n.Name == c.Name })
		if at < 0 || !c.Sampled || columns[at].Type == c.Type {
			continue
		}
		found.Columns[i].Type, found.Columns[i].SourceType = columns[at].Type, columns[at].SourceType
		if old, ok := r.table.Column(c.Name); ok && old.Type != columns[at].Type {
			changed = true
		}
	}
	if !changed {
		return r.why
	}
	r.s.tables[r.e.Name], r.s.known[r.e.Name] = found, found.Columns
	r.s.retyped = append(slices.DeleteFunc(r.s.retyped, func(t driver.Table) bool { return t.Name == found.Name }), found)
	return driver.E(driver.ErrRetyped, nil, "%v; the types were found anew: sync again", r.why)
}
