package catalog

import (
	"fmt"
	"slices"
	"time"

	"headwater/connectors/driver"
)

// Attribute is one column of a relation as the catalog has it.
type Attribute struct {
	Number            int64
	Column            driver.Column
	mapped            Mapped
	readable          bool
	Cache, Step       int64 // of the sequence of its values, 0 if there is none
	cycles            bool
	Declared, Rewrite int64 // the oid and the modifier of the declared type
}

// Lengths are types whose modifier is a length: changing it leaves stored values as they
// are.
var Lengths = []int64{1043 /* varchar */, 1562 /* varbit */}

// identity returns text that changes when stored values are no longer those of the
// column. labels are those of its enumeration.
func (a *Attribute) identity(labels, expression string) string {
	mod := a.Rewrite
	if slices.Contains(Lengths, a.Declared) {
		mod = -1
	}
	id := fmt.Sprintf("%d %d %d", a.Number, a.Declared, mod)
	if labels != "" {
		id += " labels " + labels
	}
	if expression != "" {
		id += " generated " + expression
	}
	return id
}

// grainOf returns the step between the values of a time column, 0 for microseconds and
// other types.
func grainOf(a attribute) time.Duration {
	switch a.oid {
	case OIDDate:
		return 24 * time.Hour
	case OIDTimestamp, OIDTimestampZ:
		if a.mod >= 0 && a.mod < 6 {
			grain := time.Second
			for range a.mod {
				grain /= 10
			}
			return grain
		}
	}
	return 0
}

// plainly are types of which equal values land as equal bytes.
var plainly = []int64{
	OIDBool, OIDBytea, OIDName, OIDInt8, OIDInt2, OIDInt4, OIDText, OIDVarchar, OIDDate, OIDTime, OIDTimestamp, OIDTimestampZ, OIDUUID, OIDChar, OIDMoney,
	26 /* oid */, 28 /* xid */, 650 /* cidr */, 774 /* macaddr8 */, 829 /* macaddr */, 869 /* inet */, 1266 /* timetz */, 1560 /* bit */, 1562 /* varbit */, 3220 /* pg_lsn */, 5069, /* xid8 */
}

// plainNames are types of extensions for which that holds.
var plainNames = []string{"ltree", "hstore", "uint8", "uint4", "ulid"}

// equalityOf returns how the source compares values of a type. collation names a
// nondeterministic collation, for which different text may be equal; it is "" for all
// others.
func equalityOf(a attribute, collation string) driver.Equality {
	switch {
	case a.name == "citext" && !a.system:
		return driver.EqualFolded
	case collation != "":
		return driver.NotComparable + driver.Equality(fmt.Sprintf("its collation %q holds different text for equal", collation))
	case a.oid == OIDNumeric:
		if _, _, fixed := numericMod(a.mod); fixed {
			return ""
		}
		return driver.EqualNumbers
	case a.oid == OIDInterval:
		return driver.EqualIntervals
	case a.oid == OIDBpchar:
		return driver.EqualPadded
	case a.kind == "e" || slices.Contains(plainly, a.oid) || !a.system && slices.Contains(plainNames, a.name):
		return ""
	case a.oid == OIDFloat4 || a.oid == OIDFloat8:
		return driver.NotComparable + "0 and -0 are equal for the source and different bytes"
	}
	return driver.NotComparable + driver.Equality(fmt.Sprintf("values of type %s that the source holds for equal may have different text", a.name))
}

// uncertain reports whether a type has values that its driver.Kind cannot hold.
func uncertain(t driver.Type) bool {
	return slices.Contains([]driver.Kind{driver.Decimal, driver.Date, driver.Time, driver.Timestamp, driver.TimestampTZ}, t.Kind)
}
