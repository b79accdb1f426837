package syncoptions

import (
	"reflect"
	"slices"

	"headwater/bus/command"
	"headwater/bus/event"
)

// Effective returns the options of a sync that is asked for with some, of a source
// that keeps others: asked.Over(kept), where the tables are those that both mean,
// and without what the source keeps of tables and columns that this sync does not
// take or that are not there. That is not refused: it was right once.
func Effective(asked, kept command.SyncOptions, tables []event.Table) command.SyncOptions {
	o := asked.Over(kept)
	if asked.Always {
		return o
	}
	if len(asked.Tables) > 0 && len(kept.Tables) > 0 {
		o.Tables = both(asked, kept, tables)
	}
	choice := NewChoice(o, tables)
	taken := slices.DeleteFunc(slices.Clone(tables), func(t event.Table) bool { return !choice.Takes(t.Namespace, t.Name) })
	reaches := func(pattern string) bool {
		return slices.ContainsFunc(taken, func(t event.Table) bool { return choice.Means(pattern, t.Namespace, t.Name) })
	}
	o.Exclude = slices.DeleteFunc(o.Exclude, func(p string) bool {
		return !slices.Contains(asked.Exclude, p) && !slices.ContainsFunc(tables, func(t event.Table) bool { return choice.Means(p, t.Namespace, t.Name) })
	})
	prune(o.CursorField, asked.CursorField, reaches)
	prune(o.KeyColumns, asked.KeyColumns, reaches)
	prune(o.Deleted, asked.Deleted, reaches)
	prune(o.Columns, asked.Columns, reaches)
	for pattern, c := range o.Columns {
		own := asked.Columns[pattern].Exclude
		c.Exclude = slices.DeleteFunc(c.Exclude, func(p string) bool {
			return !slices.Contains(own, p) && !slices.ContainsFunc(taken, func(t event.Table) bool {
				return choice.Means(pattern, t.Namespace, t.Name) && len(choice.ofColumns(p, columnNames(t))) > 0
			})
		})
		if o.Columns[pattern] = c; len(c.Exclude) == 0 {
			delete(o.Columns, pattern)
		}
	}
	return o
}

// CheckCall is CheckOptions for a source that keeps options: what the call names
// and is not there is found in the call alone, the rest in what both come to.
func CheckCall(asked, kept command.SyncOptions, tables []event.Table, reached Reached) (fitting command.SyncOptions, problems []Problem) {
	fitting, problems = Check(asked, tables, reached)
	if reflect.ValueOf(kept).IsZero() || asked.Always {
		return fitting, problems
	}
	problems = slices.DeleteFunc(problems, func(p Problem) bool { return !p.Absent })
	_, together := Check(Effective(asked, kept, tables), tables, reached)
	for _, p := range together {
		if !p.Absent {
			problems = append(problems, p)
		}
	}
	return fitting, problems
}

// both returns the names of the tables that two choices take, and what of the
// first means no table at all, to be looked for and told of.
func both(asked, kept command.SyncOptions, tables []event.Table) (names []string) {
	one := NewChoice(command.SyncOptions{Tables: asked.Tables}, tables)
	other := NewChoice(command.SyncOptions{Tables: kept.Tables}, tables)
	for _, t := range tables {
		if one.Takes(t.Namespace, t.Name) && other.Takes(t.Namespace, t.Name) {
			names = append(names, nameIn(t))
		}
	}
	for _, p := range asked.Tables {
		if !slices.ContainsFunc(tables, func(t event.Table) bool { return one.Means(p, t.Namespace, t.Name) }) {
			names = append(names, p)
		}
	}
	if names == nil { // none in common, which must not mean all
		return []string{""}
	}
	return names
}

// prune takes out what is not the call's own and names nothing that it takes.
func prune[V any](m, own map[string]V, reaches func(string) bool) {
	for name := range m {
		if _, asked := own[name]; !asked && !reaches(name) {
			delete(m, name)
		}
	}
}
