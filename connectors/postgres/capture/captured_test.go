package capture

import (
	"errors"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/catalog"
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
