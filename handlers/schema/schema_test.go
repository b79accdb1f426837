package schema

import (
	"fmt"
	"strings"
	"testing"

	"headwater/bus/event"
	"headwater/connectors/driver"
)

func TestSchemaDiff(t *testing.T) {
	table := func(name string, columns ...event.Column) event.Table {
		return event.Table{Namespace: "s", Name: name, Kind: "table", PrimaryKey: []string{"id"}, Columns: columns}
	}
	id := event.Column{Name: "id", Type: "int64"}
	text := event.Column{Name: "note", Type: "string", Nullable: true}
	for _, c := range []struct {
		name     string
		from, to []event.Table
		want     string
	}{
		{"same", []event.Table{table("a", id)}, []event.Table{table("a", id)}, "[] [] [] false"},
		{"table added", []event.Table{table("a", id)}, []event.Table{table("a", id), table("b", id)}, "[s.b] [] [] false"},
		{"table removed", []event.Table{table("a", id), table("b", id)}, []event.Table{table("a", id)}, "[] [s.b] [] true"},
		{"column added", []event.Table{table("a", id)}, []event.Table{table("a", id, text)}, "[s.a.note] [] [] false"},
		{"column removed", []event.Table{table("a", id, text)}, []event.Table{table("a", id)}, "[] [s.a.note] [] true"},
		{"type", []event.Table{table("a", id)}, []event.Table{table("a", event.Column{Name: "id", Type: "string"})}, "[] [] [{s.a.id type int64 string}] true"},
		{"may be null now", []event.Table{table("a", id)}, []event.Table{table("a", event.Column{Name: "id", Type: "int64", Nullable: true})}, "[] [] [{s.a.id nullable false true}] true"},
		{"never null now", []event.Table{table("a", text)}, []event.Table{table("a", event.Column{Name: "note", Type: "string"})}, "[] [] [{s.a.note nullable true false}] false"},
		{"namespaces are no prefixes", []event.Table{{Namespace: "a.b", Name: "c"}}, []event.Table{{Namespace: "a", Name: "b.c"}}, "[a.b.c] [a.b.c] [] true"},
	} {
		d := Diff(c.from, c.to)
		if got := fmt.Sprint(d.Added, d.Removed, d.Changed, d.Breaking); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestWhatIsNotSeen(t *testing.T) {
	at := driver.Column{Name: "updated_at", Type: driver.Of(driver.TimestampTZ)}
	for cursor, want := range map[string]string{
		"": "", "note": "", "id": "deleted or changed, and new ones with a lower id", "updated_at": "deleted, and changes that leave updated_at",
	} {
		table := driver.Table{Name: "orders", Cursor: cursor, Columns: []driver.Column{{Name: "id", Type: driver.Of(driver.Int64)}, at, {Name: "note", Unordered: true}}}
		if got := NotSeen(table); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%q: %q", cursor, got)
		}
	}
}
