package syncoptions

import (
	"fmt"
	"slices"

	"headwater/bus/event"
	"headwater/connectors/driver"
)

// MaxParallelism bounds over how many connections one table is read.
const MaxParallelism = 16

// NameKey says how a table without a primary key gets one.
const NameKey = "name its columns in sync_options.key_columns"

// merge checks that the columns which say that a row is deleted can say so. What
// has no key is read whole.
func (c *check) merge() {
	c.fitting.Deleted = each(c, "deleted_columns", c.o.Deleted, func(field string, t event.Table, column string) {
		typ, ok := columnOf(t, column)
		switch {
		case !ok:
			c.add(field, "table %s has no column %q; %s", nameIn(t), column, offerColumns(t, marks, tellsDeleted))
		case !tellsDeleted(typ):
			c.add(field, "column %q of %s is %s; deletes are told by a boolean, a whole number or a timestamp: %s", column, nameIn(t), typ, offerColumns(t, marks, tellsDeleted))
		case isTime(typ) && !nullable(t, column):
			c.add(field, "column %q of %s is never NULL, so that every row would count as deleted; deletes are told by a time that is NULL until then, a boolean or a whole number", column, nameIn(t))
		case c.o.Merge && c.incremental() && c.cursor(t) == "":
			c.add(field, "table %s has no cursor, so it is read whole each time and what it says of deletes is not looked at; name one in sync_options.cursor_columns", nameIn(t))
		case c.o.Merge && c.incremental() && len(c.key(t)) == 0:
			c.add(field, "table %s has no key, so it is read whole each time and what it says of deletes is not looked at; %s", nameIn(t), NameKey)
		}
	})
}

const marks = "columns that are boolean, a whole number or a timestamp"

func tellsDeleted(t driver.Type) bool {
	return t.Kind == driver.Boolean || t.Kind == driver.Int32 || t.Kind == driver.Int64 || isTime(t)
}

func isTime(t driver.Type) bool { return t.Kind == driver.Timestamp || t.Kind == driver.TimestampTZ }

func nullable(t event.Table, name string) bool {
	return slices.ContainsFunc(t.Columns, func(c event.Column) bool { return c.Name == name && c.Nullable })
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
				c.add(at, "table %s has no column %q; %s", nameIn(t), column, offerColumns(t, what, fits))
			case !fits(typ):
				c.add(at, "column %q of %s is %s, whose values cannot be told apart surely; %s", column, nameIn(t), typ, offerColumns(t, what, fits))
			case slices.Contains(columns[:i], column):
				c.add(at, "names column %q again", column)
			}
		}
	})
}

func (c *check) key(t event.Table) []string { return KeyOf(c.o, t.Namespace, t.Name, t.PrimaryKey) }

// lookback checks that the overlap fits every cursor that it is taken from, and
// that there is one.
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
		if _, starts := Named(c.o.StartFrom, t.Namespace, t.Name); starts {
			elsewhere = true
			continue
		}
		applies = true
		if wrong := lookbackFits(typ, l); wrong != "" {
			c.add("lookback", "does not fit the cursor %s of %s, which is %s: %s", column, nameIn(t), typ, wrong)
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
		case c.choice.Any(c.o.Reset, t.Namespace, t.Name):
			c.add(field, "table %s is also in sync_options.reset; choose one of the two", nameIn(t))
			return
		case !ok || !typ.Ordered():
			if c.incremental() {
				c.add(field, "table %s has no cursor to start from; name one in sync_options.cursor_columns", nameIn(t))
			}
			return
		}
		value, err := CursorValue(typ, text)
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
			c.add(field, "lies after the cursor of %s, so that rows between the two would be missed; GET .../checkpoints lists what there is to start from", nameIn(t))
		}
	})
}
