package catalog

import (
	"fmt"
	"strings"

	"headwater/connectors/postgres/session"
)

// leftOut returns why a relation is not offered, "" if it is.
func (r *Relation) leftOut(on Server) string {
	switch {
	case r.unnamed:
		return "its name is not UTF-8, which the database's encoding SQL_ASCII does not rule out: rename it"
	case r.extension != "":
		return fmt.Sprintf("it belongs to the extension %s", r.extension)
	case !r.readable:
		return "this account may not read it: GRANT USAGE ON its schema and SELECT ON it"
	case r.unlogged && on.Standby:
		return "it is an unlogged table, of which a standby has no rows: read it from the primary"
	case r.Family.within != "":
		return fmt.Sprintf("its rows land with those of %s, from which it inherits without columns of its own", r.Family.within)
	case len(r.Columns) == 0:
		return "it has no columns"
	}
	return ""
}

// notes returns, for people, what a sync of the table cannot see or keep.
func (r *Relation) notes(settings *session.Settings, hidden []string) []string {
	if r.LeftOut != "" {
		return nil
	}
	var notes []string
	say := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if r.Filtered {
		if settings.RowSecurity == "filter" {
			say("Row security of %s hides rows from this account: what lands are the rows that its policies let through.", r.Table)
		} else {
			say("Row security of %s would hide rows from this account, so a sync of it fails: give the account BYPASSRLS, or set connection_config.row_security to filter to land the rows that its policies let through.", r.Table)
		}
	}
	if !r.filled {
		say("%s is a materialized view that holds no data: it cannot be read before REFRESH MATERIALIZED VIEW.", r.Table)
	}
	if len(hidden) > 0 {
		say("This account may not read %s of %s: they are left out.", Some(hidden), r.Table)
	}
	if len(r.Family.Apart) > 0 {
		say("Rows of %s inherit from %s and have columns of their own: they land in their own tables, not in this one.", Some(r.Family.Apart), r.Table)
	}
	if r.Family.mixed() {
		say("The rows of %s, which inherit from %s, land with it: its key is not unique over them, so it is not offered as a key to merge by (sync_options.key_columns names one).", Some(r.Family.names), r.Table)
	} else if len(r.key) > 0 && !r.keyIsPrimary && len(r.PrimaryKey) > 0 {
		say("%s has no primary key: its unique columns %s serve as the key.", r.Table, Some(r.PrimaryKey))
	}
	return notes
}

// Some lists names, at most eight of them, and counts the others.
func Some(names []string) string {
	const most = 8
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}
