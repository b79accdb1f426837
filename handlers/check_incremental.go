package handlers

import (
	"fmt"
	"slices"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
)

// MaxParallelism bounds over how many connections one table is read.
const MaxParallelism = 16

// nameKey says how a table without a primary key gets one.
const nameKey = "name its columns in sync_options.key_columns"

// merge checks that rows can be told apart, and that the columns which say that
// a row is deleted can say so.
func (c *check) merge() {
	if c.o.Merge && c.incremental() {
		if without := c.withoutKey(); len(without) > 0 {
			c.add("merge", "needs a key: %s; name its columns in sync_options.key_columns, or leave the table out by sync_options.exclude", offer("there is none where the source", without, "tables"))
		}
	}
	c.fitting.Deleted = each(c, "deleted_columns", c.o.Deleted, func(field string, t event.Table, column string) {
		fits := func(typ driver.Type) bool {
			return typ.Kind == driver.Boolean || typ.Kind == driver.Timestamp || typ.Kind == driver.TimestampTZ
		}
		const what = "columns that are boolean or a timestamp"
		typ, ok := columnOf(t, column)
		switch {
		case !ok:
			c.add(field, "table %s has no column %q; %s", nameOf(t), column, offerColumns(t, what, fits))
		case !fits(typ):
			c.add(field, "column %q of %s is %s; deletes are told by a boolean or a timestamp: %s", column, nameOf(t), typ, offerColumns(t, what, fits))
		case c.o.Merge && c.incremental() && c.cursor(t) == "":
			c.add(field, "table %s has no cursor, so it is read whole each time and what it says of deletes is not looked at; name one in sync_options.cursor_columns", nameOf(t))
		}
	})
}

// keys checks that the columns which tell rows apart are there, each once.
func (c *check) keys() {
	c.fitting.KeyColumns = each(c, "key_columns", c.o.KeyColumns, func(field string, t event.Table, columns []string) {
		fits := func(typ driver.Type) bool {
			return typ.Kind != driver.JSON && typ.Kind != driver.Float32 && typ.Kind != driver.Float64
		}
		const what = "columns that tell rows apart"
		if len(columns) == 0 {
			c.add(field, "names no column; %s", offerColumns(t, what, fits))
		}
		for i, column := range columns {
			at := fmt.Sprintf("%s[%d]", field, i)
			typ, ok := columnOf(t, column)
			switch {
			case !ok:
				c.add(at, "table %s has no column %q; %s", nameOf(t), column, offerColumns(t, what, fits))
			case !fits(typ):
				c.add(at, "column %q of %s is %s, whose values cannot be told apart surely; %s", column, nameOf(t), typ, offerColumns(t, what, fits))
			case slices.Contains(columns[:i], column):
				c.add(at, "names column %q again", column)
			}
		}
	})
}

func (c *check) key(t event.Table) []string { return keyOf(c.o, t.Namespace, t.Name, t.PrimaryKey) }

// withoutKey names the chosen tables without a primary key.
func (c *check) withoutKey() (names []string) {
	for _, t := range c.chosen() {
		if len(c.key(t)) == 0 {
			names = append(names, nameOf(t))
		}
	}
	return names
}

// lookback checks that the overlap fits every cursor that it is taken from, that
// there is one, and that the rows which it reads again are told apart from new
// ones.
func (c *check) lookback() {
	l := c.o.Lookback
	if l == "" || !c.incremental() {
		return
	}
	_, isNumber := l.Number()
	_, isTime := l.Time()
	if !isNumber && !isTime {
		c.add("lookback", `is neither a length of time such as "15m" or "3d" (d, h, m and s, at most 36500d) nor a whole number above zero`)
		return
	}
	applies, elsewhere := false, false
	for _, t := range c.chosen() {
		column := c.cursor(t)
		typ, ok := columnOf(t, column)
		if !ok || !typ.Ordered() {
			continue // read whole each time, or told by cursors
		}
		if _, starts := named(c.o.StartFrom, t.Namespace, t.Name); starts {
			elsewhere = true
			continue
		}
		applies = true
		if wrong := lookbackFits(typ, l); wrong != "" {
			c.add("lookback", "does not fit the cursor %s of %s, which is %s: %s", column, nameOf(t), typ, wrong)
		} else if len(c.key(t)) == 0 {
			c.add("lookback", "needs a key, which %s lacks: rows that are read again could not be told from new ones; %s", nameOf(t), nameKey)
		}
	}
	switch {
	case applies:
	case elsewhere:
		c.add("lookback", "has no effect: every table with a cursor begins where sync_options.start_from says")
		c.problems[len(c.problems)-1].Absent = true // another source may have more tables
		c.fitting.Lookback = ""
	case len(c.chosen()) > 0:
		c.add("lookback", "no table has a cursor to look back from; name one in sync_options.cursor_columns")
	}
}

// startOver checks the tables that begin again, at their start or at an earlier
// checkpoint.
func (c *check) startOver() {
	c.fitting.StartFrom = each(c, "start_from", c.o.StartFrom, func(field string, t event.Table, text string) {
		column := c.cursor(t)
		typ, ok := columnOf(t, column)
		switch {
		case matchesAny(c.o.Reset, t.Namespace, t.Name):
			c.add(field, "table %s is also in sync_options.reset; choose one of the two", nameOf(t))
			return
		case !ok || !typ.Ordered():
			if c.incremental() {
				c.add(field, "table %s has no cursor to start from; name one in sync_options.cursor_columns", nameOf(t))
			}
			return
		}
		if len(c.key(t)) == 0 {
			c.add(field, "needs a key, which %s lacks: rows that are read again could not be told from those that landed; %s", nameOf(t), nameKey)
			return
		}
		value, err := cursorValue(typ, text)
		if err != nil {
			c.add(field, "%v", err)
			return
		}
		if c.reached == nil {
			return
		}
		at, now := c.reached(t.Namespace, t.Name)
		if at != column {
			return
		}
		if order, err := driver.CompareCursors(typ, value, now); err == nil && order > 0 {
			c.add(field, "lies after the cursor of %s, so that rows between the two would be missed; GET .../checkpoints lists what there is to start from", nameOf(t))
		}
	})
}

// exclude returns the table without the columns that the options exclude.
func exclude(columns map[string]command.Columns, t driver.Table) driver.Table {
	if len(columns) == 0 {
		return t
	}
	all := t.Columns
	t.Columns = nil
	for _, column := range all {
		if !excludes(columns, t.Namespace, t.Name, column.Name) {
			t.Columns = append(t.Columns, column)
		}
	}
	if _, ok := t.Column(t.Cursor); !ok {
		t.Cursor = ""
	}
	return t
}
