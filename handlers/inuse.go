package handlers

import (
	"fmt"

	"headwater/connectors/driver"
	"headwater/handlers/syncoptions"
)

// used returns the column that the last sync of a table went by, "" for none.
func (a *attempt) used(namespace, table string) string {
	return a.inUse[driver.Table{Namespace: namespace, Name: table}.String()]
}

// cursorOf returns the column that an incremental sync of the table goes by, ""
// if there is none: the one that the options name, else the one that was in use,
// as long as it can be followed, else the source's choice. Where the last two
// differ moved says so: another choice (a column was added, renamed or may be
// NULL now) must not change in silence what syncs find.
func (a *attempt) cursorOf(t driver.Table) (column, moved string) {
	if c, ok := syncoptions.Named(a.options.CursorField, t.Namespace, t.Name); ok {
		return c, ""
	}
	choice := ""
	if c, ok := t.Column(t.Cursor); ok && c.Ordered() {
		choice = c.Name
	}
	used := a.used(t.Namespace, t.Name)
	if used == "" || used == choice || a.choice.Any(a.options.Reset, t.Namespace, t.Name) {
		return choice, ""
	}
	if c, ok := t.Column(used); ok && c.Ordered() {
		other := "none"
		if choice != "" {
			other = choice
		}
		return used, fmt.Sprintf("The cursor stays %s, which was in use; without that it would be %s now: sync_options.cursor_columns, or a reset, changes it.", used, other)
	}
	now := "it is read whole"
	if choice != "" {
		now = "it goes by " + choice
	}
	return choice, fmt.Sprintf("The cursor %s that was in use is not there any more or has no order now: %s.", used, now)
}
