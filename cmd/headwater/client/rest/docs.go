package rest

import (
	"encoding/json"
	"time"
)

// SourceDoc is a source as the API shows it.
type SourceDoc struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Type      string          `json:"type"`
	Connector string          `json:"connector"`
	Scope     string          `json:"scope"`
	Status    string          `json:"status"`
	Tables    int             `json:"tables"`
	Records   int64           `json:"records"`
	LastSync  *LastSync       `json:"last_sync"`
	Metadata  json.RawMessage `json:"metadata"`
	Sync      json.RawMessage `json:"sync_options,omitempty"` // stored with the source
	Schedule  *ScheduleDoc    `json:"schedule"`
	Changes   *ChangesDoc     `json:"changes,omitempty"`

	RemovedAt      *time.Time `json:"removed_at"`      // of a removed source
	DestroyedAfter *time.Time `json:"destroyed_after"` // of a removed source

	LeftOut []LeftOutDoc `json:"left_out,omitempty"` // of a source that was just connected
	Notes   []string     `json:"notes,omitempty"`    // of a source that was just connected
}

// ChangesDoc is the position of a source's syncs in its log of changes.
type ChangesDoc struct {
	Position      string     `json:"position"`
	CommittedAt   *time.Time `json:"committed_at"`
	FreshUntil    *time.Time `json:"fresh_until"`
	At            *time.Time `json:"at"` // when the source said how far it is behind
	BehindBytes   *int64     `json:"behind_bytes"`
	BehindSeconds *int64     `json:"behind_seconds"`
	RetainedBytes *int64     `json:"retained_bytes"`
	SlotState     string     `json:"slot_state"`
	Lagging       bool       `json:"lagging"`
	Message       string     `json:"message"`
}

// LeftOutDoc is something that a source has and does not offer.
type LeftOutDoc struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"`
	Reason    string `json:"reason"`
}

// LastSync is the last sync of a source.
type LastSync struct {
	SyncID     string     `json:"sync_id"`
	Status     string     `json:"status"`
	Records    int64      `json:"records_processed"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

// ConnectDoc is the outcome of a connect request.
type ConnectDoc struct {
	Connected []SourceDoc `json:"connected_sources"`
	OutcomeDoc
}

// TestDoc is the outcome of a connection test, up to the step that failed.
type TestDoc struct {
	Connector string     `json:"connector"`
	Steps     []TestStep `json:"steps"`
}

// TestStep is one step of a connection test.
type TestStep struct {
	Name       string `json:"name"`
	Status     string `json:"status"`
	DurationMS int64  `json:"duration_ms"`
	Message    string `json:"message"`
}

// SchemaDoc is the schema of a source: what it offers, and what it has and does
// not offer.
type SchemaDoc struct {
	SourceID     string       `json:"source_id"`
	Version      int          `json:"version"`
	DiscoveredAt time.Time    `json:"discovered_at"`
	Tables       []TableDoc   `json:"tables"`
	LeftOut      []LeftOutDoc `json:"left_out"`
}

// TableDoc is a table of a source.
type TableDoc struct {
	Name        string      `json:"name"`
	Namespace   string      `json:"namespace"`
	Kind        string      `json:"kind"`
	RowEstimate *int64      `json:"row_estimate"`
	PrimaryKey  []string    `json:"primary_key"`
	Cursor      string      `json:"cursor_column"`
	Columns     []ColumnDoc `json:"columns"`
	Notes       []string    `json:"notes"`
	NotSeen     string      `json:"not_seen"`
	CursorNotes []string    `json:"cursor_notes"`
}

// ColumnDoc is a column of a table.
type ColumnDoc struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	SourceType string `json:"source_type"`
	Nullable   bool   `json:"nullable"`
}

// OperationDoc is an operation. Its status is running until every target has
// ended.
type OperationDoc struct {
	OperationID string      `json:"operation_id"`
	Kind        string      `json:"kind"`
	Status      string      `json:"status"` // running, completed, partial, failed, cancelled
	CreatedAt   time.Time   `json:"created_at"`
	FinishedAt  *time.Time  `json:"finished_at"`
	Actor       string      `json:"actor"`
	Targets     []TargetDoc `json:"targets"`
}

// TargetDoc is one source of an operation.
type TargetDoc struct {
	SourceID string          `json:"source_id"`
	Name     string          `json:"name"`
	Status   string          `json:"status"` // running, completed, failed, cancelled
	SyncID   string          `json:"sync_id"`
	Attached bool            `json:"attached"`
	Reason   string          `json:"reason"`
	Message  string          `json:"message"`
	Result   json.RawMessage `json:"result"`
}

// SyncDoc is one sync of one source.
type SyncDoc struct {
	SyncID      string       `json:"sync_id"`
	SourceID    string       `json:"source_id"`
	SourceName  string       `json:"source_name"`
	OperationID string       `json:"operation_id"`
	Status      string       `json:"status"` // running, completed, partial, failed, cancelled
	Mode        string       `json:"mode"`
	Attempt     int          `json:"attempt"`
	Records     int64        `json:"records_processed"`
	Bytes       int64        `json:"bytes"`
	DurationMS  int64        `json:"duration_ms"`
	StartedAt   time.Time    `json:"started_at"`
	UpdatedAt   time.Time    `json:"updated_at"`
	Tables      []TableSync  `json:"tables"`
	Progress    *ProgressDoc `json:"progress,omitempty"`
	Changes     *ChangesDoc  `json:"changes,omitempty"`
	Error       *struct {
		Reason  string `json:"reason"`
		Message string `json:"message"`
	} `json:"error"`
}

// TableSync is the result of a sync for one table.
type TableSync struct {
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
	Status     string `json:"status"` // running, completed, failed, skipped
	Mode       string `json:"mode"`
	Records    int64  `json:"records_processed"`
	Bytes      int64  `json:"bytes"`
	Files      int    `json:"files"`
	Location   string `json:"location"`
	Message    string `json:"message"`
	DurationMS int64  `json:"duration_ms"`
	// Notes say how landed data may differ from the source.
	Notes []string   `json:"notes,omitempty"`
	AsOf  *time.Time `json:"as_of,omitempty"` // when the read of the landed data began

	RowsRead     int64      `json:"rows_read,omitempty"`
	Rate         int64      `json:"rows_per_second,omitempty"`
	Estimate     *int64     `json:"row_estimate,omitempty"`
	WaitingSince *time.Time `json:"waiting_since,omitempty"`
	WaitingFor   string     `json:"waiting_for,omitempty"`

	BytesUploaded int64 `json:"bytes_uploaded,omitempty"`

	Inserted int64 `json:"inserted_records,omitempty"`
	Updated  int64 `json:"updated_records,omitempty"`
	Deleted  int64 `json:"deleted_records,omitempty"`
	SetAside bool  `json:"set_aside,omitempty"`
}

// ProgressDoc is the progress of a sync as the API shows it.
type ProgressDoc struct {
	Measure
	TablesEnded int             `json:"tables_ended"`
	TablesTotal int             `json:"tables_total"`
	Tables      []TableProgress `json:"tables"`
}

// TableProgress is the progress of one table of a sync.
type TableProgress struct {
	Measure
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Status    string `json:"status"`
}

// Measure holds the fields that the progress of a table and of a sync share; nil
// is unknown.
type Measure struct {
	Fraction     *float64   `json:"fraction"`
	Rows         int64      `json:"rows"`
	Rate         int64      `json:"rows_per_second"`
	Estimate     *int64     `json:"row_estimate"`
	ETA          *int64     `json:"eta_seconds"`
	WaitingSince *time.Time `json:"waiting_since"`
	WaitingFor   string     `json:"waiting_for"`
	Uploaded     int64      `json:"bytes_uploaded"`
}

// ScheduleDoc is a schedule as the API shows it.
type ScheduleDoc struct {
	Cron       string          `json:"cron,omitempty"`
	TimeZone   string          `json:"time_zone,omitempty"`
	Every      string          `json:"every,omitempty"`
	After      string          `json:"after,omitempty"`
	Continuous bool            `json:"continuous,omitempty"`
	Jitter     string          `json:"jitter,omitempty"`
	Missed     string          `json:"missed,omitempty"`
	Overlap    string          `json:"overlap,omitempty"`
	Paused     bool            `json:"paused"`
	Options    json.RawMessage `json:"sync_options,omitempty"`

	Sentence string      `json:"sentence"`
	NextRun  *time.Time  `json:"next_run"`
	NextRuns []time.Time `json:"next_runs"`
	LastRun  *struct {
		Due     time.Time `json:"due"`
		LateMS  int64     `json:"late_ms"`
		Outcome string    `json:"outcome"`
		Runs    int       `json:"runs"`
		SyncID  string    `json:"sync_id"`
		Message string    `json:"message"`

		OperationID string `json:"operation_id"`
	} `json:"last_run"`
}

// OutcomeDoc is what the outcomes of calls on several sources have in common.
type OutcomeDoc struct {
	Failed      []FailedDoc `json:"failed_sources"`
	OperationID string      `json:"operation_id"`
}

// FailedDoc is a source for which a call failed.
type FailedDoc struct {
	Name  string `json:"name"`
	Error string `json:"error"`
}

// FullName returns "namespace.name", or the name alone if there is no namespace.
func FullName(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "." + name
}
