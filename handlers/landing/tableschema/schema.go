// Package tableschema makes the Iceberg schema of a table from what its source says of
// its columns, and judges whether rows can be added to what landed before.
package tableschema

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/iceberg-go"

	"headwater/connectors/driver"
)

// ErrChanged means that the landed table cannot hold what the source
// has become by appending to it. A full refresh can.
var ErrChanged = errors.New("the table no longer fits what was landed before")

// ErrBadTable means that a table's columns cannot be landed at all: none,
// two of the same name, or a name that is empty or not text.
var ErrBadTable = errors.New("the table's columns cannot be landed")

// icebergType returns the Iceberg type that holds every value of a column type.
// JSON is text.
func icebergType(t driver.Type) iceberg.Type {
	switch t.Kind {
	case driver.Boolean:
		return iceberg.PrimitiveTypes.Bool
	case driver.Int32:
		return iceberg.PrimitiveTypes.Int32
	case driver.Int64:
		return iceberg.PrimitiveTypes.Int64
	case driver.Float32:
		return iceberg.PrimitiveTypes.Float32
	case driver.Float64:
		return iceberg.PrimitiveTypes.Float64
	case driver.Decimal:
		return iceberg.DecimalTypeOf(int(t.Precision), int(t.Scale))
	case driver.Bytes:
		return iceberg.PrimitiveTypes.Binary
	case driver.Date:
		return iceberg.PrimitiveTypes.Date
	case driver.Time:
		return iceberg.PrimitiveTypes.Time
	case driver.Timestamp:
		return iceberg.PrimitiveTypes.Timestamp
	case driver.TimestampTZ:
		return iceberg.PrimitiveTypes.TimestampTz
	case driver.UUID:
		return iceberg.PrimitiveTypes.UUID
	default: // String, JSON
		return iceberg.PrimitiveTypes.String
	}
}

// DriverType reverses icebergType, as far as text tells.
func DriverType(t iceberg.Type) (driver.Type, bool) {
	if d, ok := t.(iceberg.DecimalType); ok {
		return driver.DecimalOf(int32(d.Precision()), int32(d.Scale())), true
	}
	for k := driver.String; k < driver.JSON; k++ {
		if k != driver.Decimal && icebergType(driver.Of(k)).Equals(t) {
			return driver.Of(k), true
		}
	}
	return driver.Type{}, false
}

// Check returns ErrBadTable for what no Iceberg table can hold. Names that differ only
// by case, that hold dots, or that are words of SQL are kept as they are.
func Check(t driver.Table) error {
	if len(t.Columns) == 0 {
		return fmt.Errorf("%w: %s has no columns", ErrBadTable, t)
	}
	seen := make(map[string]bool, len(t.Columns))
	for i, c := range t.Columns {
		switch {
		case c.Name == "":
			return fmt.Errorf("%w: column %d of %s has no name", ErrBadTable, i+1, t)
		case !utf8.ValidString(c.Name) || strings.ContainsRune(c.Name, 0):
			return fmt.Errorf("%w: column %d of %s has a name that is not text: %q", ErrBadTable, i+1, t, c.Name)
		case seen[c.Name]:
			return fmt.Errorf("%w: %s has two columns named %q", ErrBadTable, t, c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}

func fieldOf(c driver.Column, id int) iceberg.NestedField {
	doc := c.Comment
	if doc == "" {
		doc = c.SourceType
	}
	return iceberg.NestedField{ID: id, Name: c.Name, Type: icebergType(c.Type), Required: !c.Nullable, Doc: doc}
}

// Fresh is the schema of a new table.
func Fresh(t driver.Table) *iceberg.Schema {
	fields := make([]iceberg.NestedField, len(t.Columns))
	for i, c := range t.Columns {
		fields[i] = fieldOf(c, i+1)
	}
	return iceberg.NewSchema(0, fields...)
}

// Replaced is the schema of a table whose rows are all replaced: exactly that
// of the source. A column keeps its id as long as its old values could be read
// as its new type; otherwise it is another column of the same name.
func Replaced(current *iceberg.Schema, lastID int, t driver.Table) *iceberg.Schema {
	fields := make([]iceberg.NestedField, len(t.Columns))
	for i, c := range t.Columns {
		old, ok := current.FindFieldByName(c.Name)
		if ok && widens(old.Type, icebergType(c.Type)) {
			fields[i] = fieldOf(c, old.ID)
			continue
		}
		lastID++
		fields[i] = fieldOf(c, lastID)
	}
	return iceberg.NewSchema(0, fields...)
}

// Evolved is the schema of a table that is appended to. Columns the source has
// gained are added and read NULL in older rows, those it has lost stay and read
// NULL in newer ones, and a type may get wider. A column that is narrower now
// keeps the wider type. Everything else is ErrChanged, which names the
// columns. json are the ids of the columns that were landed as JSON, nil where
// that is not known.
func Evolved(current *iceberg.Schema, lastID int, json []int, t driver.Table) (*iceberg.Schema, error) {
	fields := current.Fields()
	var changed []string
	for i, old := range fields {
		c, ok := t.Column(old.Name)
		if !ok {
			fields[i].Required = false
			continue
		}
		fields[i].Required = old.Required && !c.Nullable
		now, landed := icebergType(c.Type), landedType(old, json)
		// Both are text, but what is plain in one column is quoted in the other.
		reads := json == nil || (landed.Kind == driver.JSON) == (c.Type.Kind == driver.JSON)
		switch {
		case reads && widens(old.Type, now):
			fields[i].Type = now
		case !reads || !widens(now, old.Type):
			changed = append(changed, fmt.Sprintf("column %q was landed as %s and is %s now", c.Name, landed, c.Type))
		}
	}
	if len(changed) > 0 {
		return nil, schemaChanged(changed)
	}
	for _, c := range t.Columns {
		if _, ok := current.FindFieldByName(c.Name); ok {
			continue
		}
		lastID++
		added := fieldOf(c, lastID)
		added.Required = false // older rows have no value
		fields = append(fields, added)
	}
	return iceberg.NewSchema(0, fields...), nil
}

// AsLanded returns a table with the types that its sampled columns
// were landed as before, where they can be read as those: a type that was found
// in values is no more than what these values allowed. Rows are told apart by key
// and ordered by cursor, none of which need be.
func AsLanded(t driver.Table, key []string, cursor string, current *iceberg.Schema, json []int) driver.Table {
	as := t
	if json == nil {
		return as
	}
	as.Columns = slices.Clone(as.Columns)
	for i, c := range as.Columns {
		old, ok := current.FindFieldByName(c.Name)
		if !ok || !c.Sampled {
			continue
		}
		if landed := landedType(old, json); readAs(key, cursor, c, landed) {
			as.Columns[i].Type = landed
		}
	}
	return as
}

// readAs reports whether a sampled column can be read as the type it was landed
// as: what held nothing this time as anything, numbers as wider numbers, and
// anything but JSON as text. What landed as JSON stays JSON. A column that rows
// are told apart by is never JSON, and one that they are ordered by keeps its
// order: numbers do not follow each other as their texts do.
func readAs(keys []string, cursor string, c driver.Column, landed driver.Type) bool {
	ordered := c.Name == cursor
	key := ordered || slices.Contains(keys, c.Name)
	switch {
	case landed.Kind == driver.JSON || key && c.Type.Kind == driver.JSON:
		return !key && landed.Kind == driver.JSON
	case c.SourceType == driver.Unseen:
		return true
	case c.Type.Kind == driver.JSON:
		return false
	case landed.Kind == driver.String:
		return !ordered
	}
	return widerNumber(landed, c.Type)
}

// widerNumber reports whether a type holds the numbers that a sample of another
// type lets expect. One that it does not hold is an error when it is read.
func widerNumber(wide, narrow driver.Type) bool {
	switch wide.Kind {
	case driver.Int64:
		return narrow.Kind == driver.Int32
	case driver.Float64:
		return narrow.Kind == driver.Int32 || narrow.Kind == driver.Int64 || narrow.Kind == driver.Float32
	case driver.Decimal:
		whole := narrow.Kind == driver.Int32 || narrow.Kind == driver.Int64
		return whole || narrow.Kind == driver.Decimal && narrow.Scale <= wide.Scale && narrow.Precision <= wide.Precision
	}
	return false
}

// schemaChanged names the first few columns that no longer fit.
func schemaChanged(columns []string) error {
	const most = 3
	more := ""
	if n := len(columns) - most; n > 0 {
		columns, more = columns[:most], fmt.Sprintf(", and %d more columns changed", n)
	}
	return fmt.Errorf("%w: %s%s; run a full refresh", ErrChanged, strings.Join(columns, ", "), more)
}

// landedType is the type of a column of the lake, as far as it is known.
func landedType(f iceberg.NestedField, json []int) driver.Type {
	if slices.Contains(json, f.ID) {
		return driver.Of(driver.JSON)
	}
	t, _ := DriverType(f.Type) // String for what no sync lands
	return t
}

// JSONFields returns the ids of the columns whose text is JSON, in the schema
// that a sync writes the source's table by. A column that the source lacks is
// what it was before.
func JSONFields(s *iceberg.Schema, t driver.Table, before []int) []int {
	ids := []int{}
	for _, f := range s.Fields() {
		c, ok := t.Column(f.Name)
		if ok && c.Type.Kind == driver.JSON || !ok && slices.Contains(before, f.ID) {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

// widens reports whether every value of from is one of to, by the promotions
// that Iceberg knows.
func widens(from, to iceberg.Type) bool {
	if from.Equals(to) {
		return true
	}
	if a, ok := from.(iceberg.DecimalType); ok {
		b, ok := to.(iceberg.DecimalType)
		return ok && a.Scale() == b.Scale() && a.Precision() <= b.Precision()
	}
	return from.Equals(iceberg.PrimitiveTypes.Int32) && to.Equals(iceberg.PrimitiveTypes.Int64) ||
		from.Equals(iceberg.PrimitiveTypes.Float32) && to.Equals(iceberg.PrimitiveTypes.Float64)
}

// Same reports whether two schemas mean the same to a reader. Comments
// do not count.
func Same(a, b *iceberg.Schema) bool {
	if a.NumFields() != b.NumFields() {
		return false
	}
	for i := range a.NumFields() {
		x, y := a.Field(i), b.Field(i)
		if x.ID != y.ID || x.Name != y.Name || x.Required != y.Required || !x.Type.Equals(y.Type) {
			return false
		}
	}
	return true
}
