package parts

import "headwater/connectors/driver"

// LogColumns are the columns of a table that is a log of changes, behind its own:
// what happened (insert, update, delete, truncate), where in the source's log, and
// when its transaction was committed; and, as a JSON array of names, the columns
// whose values the log does not repeat since they are as they were: those are NULL
// in that row. All are NULL in rows that were there when the log was taken up.
var LogColumns = []driver.Column{
	{Name: "_headwater_op", Type: driver.Of(driver.String), Nullable: true},
	{Name: "_headwater_position", Type: driver.Of(driver.String), Nullable: true},
	{Name: "_headwater_committed_at", Type: driver.Of(driver.TimestampTZ), Nullable: true},
	{Name: "_headwater_unchanged", Type: driver.Of(driver.JSON), Nullable: true},
}

// DeletedColumn says of a row that its source has deleted it, where deleted rows
// stay. It is false in all others.
var DeletedColumn = driver.Column{Name: "_headwater_deleted", Type: driver.Of(driver.Boolean), Nullable: true}

// Changes are collapsed changes of one table, as durable parts: no key is in two of
// their rows. First the rows that were there go, if Truncated; then those of the
// keys in Gone, Rows and Kept; Rows and Kept come in their place.
type Changes struct {
	Truncated bool   `json:"truncated,omitempty"`
	Rows      []Part `json:"rows,omitempty"`
	Gone      []Part `json:"gone,omitempty"` // of the key columns alone
	// Kept are rows with columns behind the table's that say which of their values
	// are those of the row that was there, and under which key that is.
	Kept []Part `json:"kept,omitempty"`
}
