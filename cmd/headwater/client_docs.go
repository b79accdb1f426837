package main

import (
	"context"
	"encoding/json"
	"net/url"
	"time"
)

// sourceDoc is a source as the API shows it.
type sourceDoc struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Type      string          `json:"type"`
	Connector string          `json:"connector"`
	Scope     string          `json:"scope"`
	Status    string          `json:"status"`
	Tables    int             `json:"tables"`
	Records   int64           `json:"records"`
	LastSync  *lastSync       `json:"last_sync"`
	Metadata  json.RawMessage `json:"metadata"`
	Sync      json.RawMessage `json:"sync_options,omitempty"` // that it keeps

	RemovedAt      *time.Time `json:"removed_at"`      // of removed ones
	DestroyedAfter *time.Time `json:"destroyed_after"` // likewise

	LeftOut []leftOutDoc `json:"left_out,omitempty"` // of one that was just connected
	Notes   []string     `json:"notes,omitempty"`    // likewise
}

// leftOutDoc is something that a source has and does not offer.
type leftOutDoc struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"`
	Reason    string `json:"reason"`
}

type lastSync struct {
	SyncID     string     `json:"sync_id"`
	Status     string     `json:"status"`
	Records    int64      `json:"records_processed"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

type connectDoc struct {
	Connected []sourceDoc `json:"connected_sources"`
	Failed    []struct {
		Name  string `json:"name"`
		Error string `json:"error"`
	} `json:"failed_sources"`
	OperationID string `json:"operation_id"`
}

type testDoc struct {
	Connector string     `json:"connector"`
	Steps     []testStep `json:"steps"`
}

type testStep struct {
	Name       string `json:"name"`
	Status     string `json:"status"`
	DurationMS int64  `json:"duration_ms"`
	Message    string `json:"message"`
}

type schemaDoc struct {
	SourceID     string       `json:"source_id"`
	Version      int          `json:"version"`
	DiscoveredAt time.Time    `json:"discovered_at"`
	Tables       []tableDoc   `json:"tables"`
	LeftOut      []leftOutDoc `json:"left_out"`
}

type tableDoc struct {
	Name        string      `json:"name"`
	Namespace   string      `json:"namespace"`
	Kind        string      `json:"kind"`
	RowEstimate *int64      `json:"row_estimate"`
	PrimaryKey  []string    `json:"primary_key"`
	Cursor      string      `json:"cursor_column"`
	Columns     []columnDoc `json:"columns"`
	Notes       []string    `json:"notes"`
	NotSeen     string      `json:"not_seen"`
	CursorNotes []string    `json:"cursor_notes"`
}

type columnDoc struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	SourceType string `json:"source_type"`
	Nullable   bool   `json:"nullable"`
}

// operationDoc is one accepted request. Status is running until every target
// has ended.
type operationDoc struct {
	OperationID string      `json:"operation_id"`
	Kind        string      `json:"kind"`
	Status      string      `json:"status"` // running, completed, partial, failed, cancelled
	CreatedAt   time.Time   `json:"created_at"`
	FinishedAt  *time.Time  `json:"finished_at"`
	Actor       string      `json:"actor"`
	Targets     []targetDoc `json:"targets"`
}

type targetDoc struct {
	SourceID string          `json:"source_id"`
	Name     string          `json:"name"`
	Status   string          `json:"status"` // running, completed, failed, cancelled
	SyncID   string          `json:"sync_id"`
	Attached bool            `json:"attached"`
	Reason   string          `json:"reason"`
	Message  string          `json:"message"`
	Result   json.RawMessage `json:"result"`
}

type syncDoc struct {
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
	Tables      []tableSync  `json:"tables"`
	Progress    *progressDoc `json:"progress,omitempty"`
	Error       *struct {
		Reason  string `json:"reason"`
		Message string `json:"message"`
	} `json:"error"`
}

type tableSync struct {
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
	// Notes say in what what landed may differ from the source.
	Notes []string   `json:"notes,omitempty"`
	AsOf  *time.Time `json:"as_of,omitempty"` // when the read began that brought it

	RowsRead     int64      `json:"rows_read,omitempty"`
	Rate         int64      `json:"rows_per_second,omitempty"`
	Estimate     *int64     `json:"row_estimate,omitempty"`
	WaitingSince *time.Time `json:"waiting_since,omitempty"`
	WaitingFor   string     `json:"waiting_for,omitempty"`

	BytesUploaded int64 `json:"bytes_uploaded,omitempty"`
}

// full returns "namespace.table", or the name alone.
func full(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "." + name
}

// fetch gets one document and decodes it.
func fetch[T any](ctx context.Context, c *client, path string, query url.Values) (T, error) {
	var doc T
	a, err := c.get(ctx, path, query)
	if err != nil {
		return doc, err
	}
	return doc, a.into(&doc)
}

func (c *client) sources(ctx context.Context, scope string) ([]sourceDoc, error) {
	return fetch[[]sourceDoc](ctx, c, c.path("list"), url.Values{"scope": {scope}})
}

// removedSources returns the sources that can be restored.
func (c *client) removedSources(ctx context.Context, scope string) ([]sourceDoc, error) {
	return fetch[[]sourceDoc](ctx, c, c.path("list"), url.Values{"scope": {scope}, "removed": {"true"}})
}

func (c *client) operation(ctx context.Context, id string) (operationDoc, error) {
	return fetch[operationDoc](ctx, c, c.path("operations", id), nil)
}

func (c *client) syncOf(ctx context.Context, id string) (syncDoc, error) {
	return fetch[syncDoc](ctx, c, c.path("syncs", id), nil)
}

// settled returns the operation behind a 202 once it has ended. It returns
// false for an answer that is already the outcome.
func (c *client) settled(ctx context.Context, s Streams, a apiAnswer) (operationDoc, bool, error) {
	if a.Code != 202 {
		return operationDoc{}, false, nil
	}
	var accepted struct {
		OperationID string `json:"operation_id"`
	}
	if err := a.into(&accepted); err != nil {
		return operationDoc{}, false, err
	}
	s.note("accepted as %s, still running", accepted.OperationID)
	op, err := c.waitOperation(ctx, accepted.OperationID)
	return op, true, err
}

// waitOperation returns the operation once it has ended.
func (c *client) waitOperation(ctx context.Context, id string) (operationDoc, error) {
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
