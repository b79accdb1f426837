package command

import (
	"cmp"
	"maps"
	"slices"
)

// Kept returns the options that a source stores when options are given
// permanently. It drops those that start a table over, which would do so in
// every sync.
func (o SyncOptions) Kept() SyncOptions {
	o.Always, o.Reset, o.StartFrom = false, nil, nil
	return o
}

// Over returns the options of a sync that gives o, for a source that stores
// kept. What the sync gives replaces the same option of the source, table by
// table. Tables excluded by either are excluded. Tables are those of the sync
// that the source's Tables also include. With Always the given options become
// the source's, and nothing is merged.
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
	if m.Mode == kept.Mode { // options that belong to the mode stay with it
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
	if m.Mode == Capture { // which follows no column
		m.CursorField = o.CursorField
	}
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

// over returns the entries of both maps; those of the first take precedence.
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
