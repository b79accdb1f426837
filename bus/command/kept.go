package command

import (
	"cmp"
	"maps"
	"slices"
)

// Kept returns what a source keeps of options that are given once and for all:
// nothing that starts a table over, which would do so every time.
func (o SyncOptions) Kept() SyncOptions {
	o.Always, o.Reset, o.StartFrom = false, nil, nil
	return o
}

// Over returns the options of a sync that gives o, of a source that keeps others.
// A call says more and narrows: what it gives takes the place of the same of the
// source's, table by table; but what either excludes is excluded, and Tables are
// the call's, of which only those count that the source's mean as well. With
// Always the call's are the source's own from now on, and nothing is merged.
func (o SyncOptions) Over(kept SyncOptions) SyncOptions {
	if o.Always {
		return o
	}
	m := o
	or := func(to *string, other string) {
		if *to == "" {
			*to = other
		}
	}
	or(&m.Mode, kept.Mode)
	or(&m.OnReplaced, kept.OnReplaced)
	or(&m.Maintenance, kept.Maintenance)
	or(&m.OnColumnsChanged, kept.OnColumnsChanged)
	or((*string)(&m.Timeout), string(kept.Timeout))
	or((*string)(&m.TableLimit), string(kept.TableLimit))
	or((*string)(&m.IdleTimeout), string(kept.IdleTimeout))
	if m.BatchSize == 0 {
		m.BatchSize = kept.BatchSize
	}
	if m.Parallelism == 0 {
		m.Parallelism = kept.Parallelism
	}
	if m.Mode == kept.Mode { // what goes with a mode stays with it
		or((*string)(&m.Lookback), string(kept.Lookback))
		m.Merge = m.Merge || kept.Merge
		m.Deleted = over(o.Deleted, kept.Deleted)
		or((*string)(&m.MaxDelay), string(kept.MaxDelay))
		or(&m.Changes, kept.Changes)
		m.SoftDelete = m.SoftDelete || kept.SoftDelete
		m.LagWarn, m.LagLimit = cmp.Or(m.LagWarn, kept.LagWarn), cmp.Or(m.LagLimit, kept.LagLimit)
	}
	m.AllowEmpty = m.AllowEmpty || kept.AllowEmpty
	if len(m.Tables) == 0 {
		m.Tables = kept.Tables
	}
	m.Exclude = slices.Concat(kept.Exclude, o.Exclude)
	m.CursorField = over(o.CursorField, kept.CursorField)
	m.KeyColumns = over(o.KeyColumns, kept.KeyColumns)
	m.Columns = over(kept.Columns, nil)
	for pattern, c := range o.Columns {
		if m.Columns == nil {
			m.Columns = map[string]Columns{}
		}
		m.Columns[pattern] = Columns{Exclude: slices.Concat(m.Columns[pattern].Exclude, c.Exclude)}
	}
	return m
}

// over returns the entries of both, those of the first where both have one.
func over[V any](first, second map[string]V) map[string]V {
	if len(first)+len(second) == 0 {
		return nil
	}
	m := maps.Clone(second)
	if m == nil {
		m = map[string]V{}
	}
	maps.Copy(m, first)
	return m
}
