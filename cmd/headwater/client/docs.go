package client

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"headwater/cmd/headwater/terminal"
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
	outcomeDoc
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
	Progress    *progressDoc `json:"progress,omitempty"`
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

// FullName returns "namespace.name", or the name alone if there is no namespace.
func FullName(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "." + name
}

// Fetch gets a document and decodes it. Its error is an *APIError if the service
// refuses.
func Fetch[T any](ctx context.Context, c *Client, path string, query url.Values) (T, error) {
	var doc T
	a, err := c.get(ctx, path, query)
	if err != nil {
		return doc, err
	}
	return doc, a.into(&doc)
}

// Sources returns the sources of a scope of the workspace.
func (c *Client) Sources(ctx context.Context, scope string) ([]SourceDoc, error) {
	return Fetch[[]SourceDoc](ctx, c, c.Path("list"), url.Values{"scope": {scope}})
}

// removedSources returns the sources that can be restored.
func (c *Client) removedSources(ctx context.Context, scope string) ([]SourceDoc, error) {
	return Fetch[[]SourceDoc](ctx, c, c.Path("list"), url.Values{"scope": {scope}, "removed": {"true"}})
}

func (c *Client) operation(ctx context.Context, id string) (OperationDoc, error) {
	return Fetch[OperationDoc](ctx, c, c.Path("operations", id), nil)
}

func (c *Client) syncOf(ctx context.Context, id string) (SyncDoc, error) {
	return Fetch[SyncDoc](ctx, c, c.Path("syncs", id), nil)
}

// settled waits for the operation that a 202 names and returns it with true. It
// returns false if the answer is already the outcome.
func (c *Client) settled(ctx context.Context, s terminal.Streams, a apiAnswer) (OperationDoc, bool, error) {
	if a.Code != 202 {
		return OperationDoc{}, false, nil
	}
	var accepted struct {
		OperationID string `json:"operation_id"`
	}
	if err := a.into(&accepted); err != nil {
		return OperationDoc{}, false, err
	}
	s.Note("accepted as %s, still running", accepted.OperationID)
	op, err := c.waitOperation(ctx, accepted.OperationID)
	return op, true, err
}

// waitOperation waits until the operation has ended and returns it.
func (c *Client) waitOperation(ctx context.Context, id string) (OperationDoc, error) {
	for {
		op, err := c.operation(ctx, id)
		if err != nil || op.Status != "running" {
			return op, err
		}
		if err := sleep(ctx, c.poll); err != nil {
			return op, interrupted(id, err)
		}
	}
}
