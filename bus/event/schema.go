package event

// Table is one table, view, file or endpoint of a source.
type Table struct {
	Name        string   `json:"name"`
	Namespace   string   `json:"namespace,omitempty"` // database schema; "" if the source has none
	Kind        string   `json:"kind"`                // table, view, file, endpoint
	RowEstimate *int64   `json:"row_estimate,omitempty"`
	PrimaryKey  []string `json:"primary_key"`
	Cursor      string   `json:"cursor_column,omitempty"` // default cursor column of an incremental sync
	Columns     []Column `json:"columns"`
	Notes       []string `json:"notes,omitempty"`        // what a sync of the table cannot see or preserve, in sentences
	NotSeen     string   `json:"not_seen,omitempty"`     // what an incremental sync by the cursor column cannot see, in one sentence
	CursorNotes []string `json:"cursor_notes,omitempty"` // what an incremental sync by the cursor column cannot see, in sentences
}

// LeftOut is something that a source has and does not offer, with the reason.
type LeftOut struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Reason    string `json:"reason"` // for people
}

// Column is one column of a Table.
type Column struct {
	Name       string `json:"name"`
	Type       string `json:"type"`        // boolean, int32, int64, float32, float64, decimal(p,s), string, bytes, date, time, timestamp, timestamptz, uuid, json
	SourceType string `json:"source_type"` // the source's own name of the type
	Nullable   bool   `json:"nullable"`
	Comment    string `json:"comment,omitempty"`
	Unordered  bool   `json:"unordered,omitempty"` // it cannot be a cursor, though its type has an order
}

// SchemaDiff is the difference between two versions of a source's schema. Names
// are "namespace.table" or "namespace.table.column" (without the first part if
// there is no namespace), sorted.
type SchemaDiff struct {
	Added    []string       `json:"added,omitempty"`
	Removed  []string       `json:"removed,omitempty"`
	Changed  []ColumnChange `json:"changed,omitempty"`
	Breaking bool           `json:"breaking"` // a reader of the old version may fail on the new one
}

// Empty reports whether the two versions are equal.
func (d SchemaDiff) Empty() bool { return len(d.Added)+len(d.Removed)+len(d.Changed) == 0 }

// ColumnChange is a change of a column, or of a property of its table.
type ColumnChange struct {
	Name string `json:"name"`
	What string `json:"what"` // type, nullable, primary_key, cursor, kind
	From string `json:"from"`
	To   string `json:"to"`
}
