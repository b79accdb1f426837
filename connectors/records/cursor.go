package records

import (
	"slices"
	"strings"

	"headwater/connectors/driver"
)

// DefaultCursor returns the column that an incremental read follows when
// nothing else is said: one named for the time of the last change, else a
// primary key of one integer column, else "".
func DefaultCursor(t driver.Table) string {
	for _, name := range []string{"updated_at", "updatedat", "modified_at", "modifiedat", "last_modified", "lastmodified", "last_updated", "lastupdated", "last_update", "updated_on", "modified_on", "updated", "modified"} {
		for _, c := range t.Columns {
			if strings.EqualFold(c.Name, name) && (c.Type.Kind == driver.Timestamp || c.Type.Kind == driver.TimestampTZ) {
				return c.Name
			}
		}
	}
	if len(t.PrimaryKey) == 1 {
		if c, ok := t.Column(t.PrimaryKey[0]); ok && slices.Contains([]driver.Kind{driver.Int32, driver.Int64}, c.Type.Kind) {
			return c.Name
		}
	}
	return ""
}
