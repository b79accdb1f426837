package capture

import (
	"errors"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/pgoutput"
)

// A column that is dropped after the table was looked at, and before its types are, is an
// altered table, which is looked for again, and no type that nobody knows.
func TestAColumnIsDroppedWhileItsTableIsExamined(t *testing.T) {
	columns := []driver.Column{{Name: "id"}, {Name: "note"}}
	table := &captured{table: driver.Table{Namespace: "public", Name: "orders", Columns: columns}, identity: "f", row: &catalog.Relation{}, columns: make([]catalog.Mapped, 2)}
	for i, c := range columns {
		table.row.Attributes = append(table.row.Attributes, catalog.Attribute{Column: c, Number: int64(i + 1)})
	}
	table.types = map[int64]typeFacts{1: {oid: 20, name: "int8", system: true}}
	l := &changeLog{source: &Capturer{}, refused: map[int]error{}}
	l.checkTypes(table)
	if why := l.refused[0]; !errors.Is(why, driver.ErrRetyped) || !strings.Contains(why.Error(), "no column note now") {
		t.Errorf("%v", why)
	}
}

// What the columns of a relation tell of names that were lent. Of a table with the columns
// id and a, a third one was dropped.
func TestNamesThatWereLent(t *testing.T) {
	table := &captured{row: &catalog.Relation{}, dropped: []int64{3}}
	for i, name := range []string{"id", "a"} {
		table.row.Attributes = append(table.row.Attributes, catalog.Attribute{Column: driver.Column{Name: name}, Number: int64(i + 1)})
	}
	for names, want := range map[string]bool{"id a": false, "id": false, "id a d": false, "id x": false, "id a d e": true, "id x a": true, "a": true, "x a": false} {
		r := &pgoutput.Relation{}
		for name := range strings.FieldsSeq(names) {
			r.Columns = append(r.Columns, pgoutput.Column{Name: name})
		}
		if got := table.renamed(r); got != want {
			t.Errorf("%s: %v, want %v", names, got, want)
		}
	}
}
