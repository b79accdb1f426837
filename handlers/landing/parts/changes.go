package parts

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
