package driver

import (
	"strings"
	"testing"
	"time"
)

func TestDefaultCursor(t *testing.T) {
	at := func(name string) Column { return Column{Name: name, Type: Of(TimestampTZ)} }
	id := Column{Name: "id", Type: Of(Int64)}
	keyed := func(columns ...Column) Table {
		return Table{Name: "orders", PrimaryKey: []string{"id"}, Columns: append([]Column{id}, columns...)}
	}
	with := func(c Column, change func(*Column)) Column { change(&c); return c }
	nullable := func(c *Column) { c.Nullable = true }
	local := func(c *Column) { c.Type = Of(Timestamp) }
	for _, c := range []struct {
		name  string
		table Table
		want  string
		notes string // a word of each note, in order
	}{
		{"by name, not by place", keyed(at("last_update"), at("updated_at")), "updated_at", "last_update"},
		{"two that qualify equally", keyed(at("modified_at"), at("updated_at"), at("changed_on")), "updated_at", "modified_at, changed_on"},
		{"a nullable one", keyed(with(at("updated_at"), nullable)), "updated_at", "NULL"},
		{"one without a zone", keyed(with(at("updated_at"), local)), "updated_at", "time zone"},
		{"with the zone before without", keyed(with(at("modified"), local), at("modified_gmt")), "modified_gmt", "modified"},
		{"creation is none", keyed(at("created_at")), "id", "new rows only"},
		{"a time of creation without a key", Table{Columns: []Column{at("created_at")}}, "", ""},
		{"a date is none", keyed(Column{Name: "updated_on", Type: Of(Date)}), "id", "new rows only"},
		{"nor is a time of whole days", keyed(with(at("updated_at"), func(c *Column) { c.Grain = 24 * time.Hour })), "id", "new rows only"},
		{"nor is text", keyed(Column{Name: "updated_at", Type: Of(String)}), "id", "new rows only"},
		{"one of a part of the row", keyed(at("password_updated_at")), "id", "new rows only"},
		{"one that is the table's", keyed(at("order_updated_at"), at("item_updated_at")), "order_updated_at", ""},
		{"the table's by all of its columns", Table{Name: "lineitem", Columns: []Column{{Name: "l_id", Type: Of(Int64)}, {Name: "l_tax", Type: Of(Int64)}, at("l_updated_at")}}, "l_updated_at", ""},
		{"a version that is unique", keyed(Column{Name: "row_version", Type: Of(Int64), Unique: true}), "row_version", ""},
		{"a version of each row", keyed(Column{Name: "row_version", Type: Of(Int64)}), "id", "new rows only"},
		{"a key of two columns", Table{PrimaryKey: []string{"id", "n"}, Columns: []Column{id, {Name: "n", Type: Of(Int32)}}}, "", ""},
		{"an unsigned key", Table{PrimaryKey: []string{"n"}, Columns: []Column{{Name: "n", Type: DecimalOf(20, 0)}}}, "n", "new rows only"},
		{"a key of text", Table{PrimaryKey: []string{"n"}, Columns: []Column{{Name: "n", Type: Of(UUID)}}}, "", ""},
		{"nothing", Table{Columns: []Column{{Name: "v", Type: Of(Int32)}}}, "", ""},
	} {
		got, notes := DefaultCursor(c.table)
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if c.notes == "" && len(notes) > 0 || c.notes != "" && (len(notes) != 1 || !strings.Contains(notes[0], c.notes)) {
			t.Errorf("%s: notes %q, want one with %q", c.name, notes, c.notes)
		}
	}
}

// Names of a last change as databases, APIs and exports of them have it.
func TestNamesOfAChange(t *testing.T) {
	for _, name := range []string{
		"updated_at", "UPDATED_AT", "updatedAt", "UpdatedAt", "updatedat", "_updated_at", "updated_on", "updated", "update_time", "updateTimestamp", "updated_ts",
		"modified_at", "last_modified", "LastModified", "lastModifiedDateTime", "LastModifiedDate", "hs_lastmodifieddate", "date_modified", "ModifiedDate", "modification_time",
		"changed_at", "last_changed", "last_update", "last_updated_at", "dt_update", "date_upd", "UpdatedAtUTC", "mtime", "sys_updated_on", "SystemModstamp", "system_modstamp",
		"write_date", "last_edited_time", "row_updated_at",
	} {
		if !parse(name).changed {
			t.Errorf("%s is no name of a last change", name)
		}
	}
	for _, name := range []string{"created_at", "CreatedDate", "date_created", "inserted_at", "creation_time", "added_on"} {
		if s := parse(name); s.changed || !s.created {
			t.Errorf("%s reads as %+v, want a creation", name, s)
		}
	}
	for _, name := range []string{"", "at", "_", "deleted_at", "last_login", "update_count_reset_at", "updates", "updated_by", "model", "due_date", "up to date"} {
		if s := parse(name); s.changed || s.created {
			t.Errorf("%s reads as %+v, want neither", name, s)
		}
	}
}
