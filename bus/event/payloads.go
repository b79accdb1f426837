package event

import (
	"encoding/json"
	"time"
)

// EventName returns the literal name of the event on the wire, which never changes.
func (*OperationAccepted) EventName() string   { return "OperationAccepted" }
func (*CommandRejected) EventName() string     { return "CommandRejected" }
func (*ConnectionTested) EventName() string    { return "ConnectionTested" }
func (*SourceConnected) EventName() string     { return "SourceConnected" }
func (*SourceConnectFailed) EventName() string { return "SourceConnectFailed" }
func (*SchemaDiscovered) EventName() string    { return "SchemaDiscovered" }
func (*SyncStarted) EventName() string         { return "SyncStarted" }
func (*SyncProgressed) EventName() string      { return "SyncProgressed" }
func (*SyncCompleted) EventName() string       { return "SyncCompleted" }
func (*SyncFailed) EventName() string          { return "SyncFailed" }
func (*SyncCancelled) EventName() string       { return "SyncCancelled" }
func (*SourceRemoved) EventName() string       { return "SourceRemoved" }
func (*SourceRestored) EventName() string      { return "SourceRestored" }
func (*SourcePurged) EventName() string        { return "SourcePurged" }
func (*SourceDestroyed) EventName() string     { return "SourceDestroyed" }
func (*TableVerified) EventName() string       { return "TableVerified" }
func (*TableMaintained) EventName() string     { return "TableMaintained" }

// OperationAccepted announces an operation that outlives its request: the caller
// was answered 202. Its address has the operation's id in place of the source.
type OperationAccepted struct {
	Meta
	Accepted []Target `json:"accepted"` // in the order of Operation.Target
}

// Target is one source of an operation.
type Target struct {
	SourceID string `json:"source_id"`
	Name     string `json:"name,omitempty"`
	SyncID   string `json:"sync_id,omitempty"`  // the sync it started or attached to
	Attached bool   `json:"attached,omitempty"` // it waits for a sync that was already running
}

// CommandRejected ends a target whose command could not be carried out for a
// reason that no other failure event covers.
type CommandRejected struct {
	Meta
	Command string `json:"command"` // name of the command, such as "SyncSource"
	Reason  Reason `json:"reason"`
	Message string `json:"message"`
	SyncID  string `json:"sync_id,omitempty"` // with ReasonAlreadySyncing: the sync that is running
	By      string `json:"by,omitempty"`      // with ReasonCancelled: the user who cancelled
}

// ConnectionTested ends a connection test. Its address has the test's id in
// place of the source; nothing is saved.
type ConnectionTested struct {
	Meta
	Connector string     `json:"connector"`
	OK        bool       `json:"ok"`
	Reason    Reason     `json:"reason,omitempty"`
	Message   string     `json:"message"`
	Steps     []TestStep `json:"steps"`
}

// TestStep is one step of a connection test.
type TestStep struct {
	Name       string `json:"name"`   // resolve, connect, authenticate, permissions, read
	Status     string `json:"status"` // ok, failed, skipped
	DurationMS int64  `json:"duration_ms"`
	Message    string `json:"message,omitempty"`
}

// SourceConnected says that a source was checked and its configuration saved
// under a new version. It ends the target if the schema did not change;
// otherwise SchemaDiscovered follows and ends it.
type SourceConnected struct {
	Meta
	Name          string          `json:"name"`
	Type          string          `json:"type"`      // as requested: database, api, file, postgresql, ...
	Connector     string          `json:"connector"` // the driver that the type resolved to
	ConfigVersion int             `json:"config_version"`
	Config        json.RawMessage `json:"config"`               // public settings, never a secret
	SecretRef     string          `json:"secret_ref,omitempty"` // reference of the sealed secrets
	Metadata      json.RawMessage `json:"metadata,omitempty"`   // the caller's own
	Unchanged     bool            `json:"unchanged,omitempty"`  // the configuration equals the previous one: no new version
	Sync          json.RawMessage `json:"sync,omitempty"`       // sync options that the source stores
	// Moved says that the source has left a server that keeps, or may keep, its log of
	// changes: its position there is no longer valid. A ChangesGivenUp whose Left is this
	// event's sequence says what became of that log.
	Moved bool `json:"moved,omitempty"`
}

// SourceConnectFailed ends a target that could not be connected. A source that
// was connected under the name before is unchanged.
type SourceConnectFailed struct {
	Meta
	Name      string `json:"name"`
	Type      string `json:"type"`
	Connector string `json:"connector,omitempty"`
	Reason    Reason `json:"reason"`
	Message   string `json:"message"`
}

// SchemaDiscovered is a new version of a source's schema: the whole schema, and
// its difference from the previous version.
type SchemaDiscovered struct {
	Meta
	Version int        `json:"version"` // from 1
	Cause   string     `json:"cause"`   // connect, sync, discover
	SyncID  string     `json:"sync_id,omitempty"`
	Tables  []Table    `json:"tables"`
	Diff    SchemaDiff `json:"diff"`
	LeftOut []LeftOut  `json:"left_out,omitempty"` // what the source has and does not offer
}

// SyncStarted says that a worker took a sync. Its sequence in the stream is the
// sync's fence: table commits with a smaller one are refused.
type SyncStarted struct {
	Meta
	SyncID  string   `json:"sync_id"`
	Attempt int      `json:"attempt"` // from 1; higher after a worker was lost
	Mode    string   `json:"mode"`    // full_refresh, incremental
	Tables  []string `json:"tables"`
	// Estimates are approximate numbers of rows in each of Tables, -1 if the
	// source cannot tell; absent if they would not tell how much is read.
	Estimates []int64 `json:"row_estimates,omitempty"`
}

// SyncProgressed is a checkpoint: it says what of one table is durably
// committed.
type SyncProgressed struct {
	Meta
	SyncID  string      `json:"sync_id"`
	Table   TableResult `json:"table"`
	Records int64       `json:"records_processed"` // read by the whole sync so far, committed or not
	Bytes   int64       `json:"bytes"`             // likewise: size of files where committed, else as the source sent them
}

// SyncCompleted ends a sync that landed at least one table.
type SyncCompleted struct {
	Meta
	SyncID     string        `json:"sync_id"`
	Status     string        `json:"status"` // completed, or partial if a table failed
	Mode       string        `json:"mode"`
	Records    int64         `json:"records_processed"`
	Bytes      int64         `json:"bytes"`
	DurationMS int64         `json:"duration_ms"`
	Tables     []TableResult `json:"tables"`
	// Always are the sync options that the source stores from now on, {} for
	// none; absent if they do not change.
	Always json.RawMessage `json:"always,omitempty"`
	// Changes is where a sync of mode cdc stood in the source's log at its end.
	Changes *Changes `json:"changes,omitempty"`
}

// SyncFailed ends a sync that landed no table.
type SyncFailed struct {
	Meta
	SyncID     string        `json:"sync_id"`
	Reason     Reason        `json:"reason"`
	Message    string        `json:"message"`
	DurationMS int64         `json:"duration_ms"`
	Tables     []TableResult `json:"tables"`
	Changes    *Changes      `json:"changes,omitempty"` // as of SyncCompleted
}

// SyncCancelled ends a sync that was cancelled. What was committed stays.
type SyncCancelled struct {
	Meta
	SyncID  string `json:"sync_id"`
	Reason  Reason `json:"reason"` // cancelled, or source_removed
	By      string `json:"by,omitempty"`
	Message string `json:"message"`
}

// SourceRemoved removes a source. A later source of the same name has another
// id. The history ends here, or with SourceDestroyed after a purge, unless
// SourceRestored follows.
type SourceRemoved struct {
	Meta
	Name   string `json:"name"`
	Purged bool   `json:"purged"` // its keys and tables are destroyed at once
	// DestroyedAfter is until when it can be restored; absent if Purged.
	DestroyedAfter *time.Time `json:"destroyed_after,omitempty"`
	// Notes say in sentences what a restore will not bring back, and what is left
	// at the source.
	Notes []string `json:"notes,omitempty"`
}

// SourceRestored brings a removed source back as it was: id, configuration and
// secrets, schema, landed tables and their cursors.
type SourceRestored struct {
	Meta
	Name          string `json:"name"` // its name from now on, which the restore may have changed
	Type          string `json:"type"`
	Connector     string `json:"connector"`
	ConfigVersion int    `json:"config_version"`
	SchemaVersion int    `json:"schema_version,omitempty"`
	Removed       uint64 `json:"removed_sequence,omitempty"` // sequence of the SourceRemoved that it undoes
	Unchanged     bool   `json:"unchanged,omitempty"`        // the source existed: nothing was done
	// Notes say in sentences what differs from before the removal.
	Notes []string `json:"notes,omitempty"`
}

// SourcePurged says that a removed source cannot be restored any more: its keys
// and landed tables are being destroyed. SourceDestroyed follows.
type SourcePurged struct {
	Meta
	Name    string `json:"name"`
	Removed uint64 `json:"removed_sequence"` // sequence of the SourceRemoved before
}

// SourceDestroyed reports the destruction of a purged source's keys and files:
// once after the first try, which is the target's outcome, and again when
// whatever that could not remove is gone.
type SourceDestroyed struct {
	Meta
	Name    string `json:"name"`
	Removed uint64 `json:"removed_sequence"` // sequence of the SourceRemoved before
	Destruction
}

// Destruction is what became of the files of a purged source. A file that was
// still listed afterwards does not count as removed.
type Destruction struct {
	Status    string `json:"status"`          // destroyed, or remaining if files are left
	Files     int    `json:"files_removed"`   // by this try
	Remaining int    `json:"files_remaining"` // still in the lake; their removal is tried again
	Kept      int    `json:"files_kept"`      // earlier versions that the bucket retains
	Reason    Reason `json:"reason,omitempty"`
	Message   string `json:"message,omitempty"` // what was not removed and why, from the store
}

// Values of Destruction.Status.
const (
	Destroyed      = "destroyed"
	FilesRemaining = "remaining"
)

// TableVerified reports how one landed table compares with its source. The event
// for the last table ends the target.
type TableVerified struct {
	Meta
	Table Verification `json:"table"`
}

// Verification is the comparison of one landed table with its source.
type Verification struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	// Status is equal; behind, if every difference was changed at the source
	// after the sync read the table; different; or unverified, if the two could
	// not be compared.
	Status  string `json:"status"`
	Reason  Reason `json:"reason,omitempty"`
	Message string `json:"message"` // for people
	// VerifiedThrough is the time up to which the lake is known to equal the
	// source; absent if the table is different or unverified.
	VerifiedThrough *time.Time `json:"verified_through,omitempty"`
	SnapshotID      SnapshotID `json:"snapshot_id,omitempty"` // that was compared
	Snapshot        string     `json:"snapshot,omitempty"`    // the same as decimal text, for readers that cannot represent numbers above 2^53
	SourceRows      int64      `json:"source_rows"`
	LandedRows      int64      `json:"landed_rows"`
	Behind          int64      `json:"behind"`             // rows of the source that changed after the sync
	Missing         int64      `json:"missing"`            // rows of the source that did not land
	Changed         int64      `json:"changed"`            // rows that landed with other values
	Surplus         int64      `json:"surplus"`            // landed rows that are not in the source
	AtLeast         bool       `json:"at_least,omitempty"` // of the last three: there may be more
	// Rows are some of the rows that differ, by key.
	Rows       []VerifiedRow `json:"rows,omitempty"`
	NotRead    []string      `json:"columns_not_compared,omitempty"`
	DurationMS int64         `json:"duration_ms"`
}

// Values of Verification.Status.
const (
	VerifiedEqual     = "equal"
	VerifiedBehind    = "behind"
	VerifiedDifferent = "different"
	Unverified        = "unverified"
)

// VerifiedRow is one row that differs between a landed table and its source.
type VerifiedRow struct {
	What string `json:"what"` // missing, changed, surplus
	Key  string `json:"key"`
}

// TableResult is what a sync did to one table. Its counts cover everything that
// the sync has committed to the table, in all attempts.
type TableResult struct {
	Name       string     `json:"name"`
	Namespace  string     `json:"namespace,omitempty"`
	Status     string     `json:"status"` // completed, failed, running, skipped
	Mode       string     `json:"mode"`   // full_refresh, incremental
	Records    int64      `json:"records_processed"`
	Total      *int64     `json:"total_records,omitempty"` // rows of the whole table after the last commit; absent before the first
	Bytes      int64      `json:"bytes"`                   // size of the Parquet files written
	Files      int        `json:"files"`
	Cursor     string     `json:"cursor,omitempty"`      // value after which the next incremental sync continues
	CursorName string     `json:"cursor_name,omitempty"` // name of the cursor column
	SnapshotID SnapshotID `json:"snapshot_id,omitempty"` // of the Iceberg table
	Snapshot   string     `json:"snapshot,omitempty"`    // the same as decimal text, for readers that cannot represent numbers above 2^53
	Location   string     `json:"location,omitempty"`    // URL of the table's folder
	Reason     Reason     `json:"reason,omitempty"`
	Message    string     `json:"message,omitempty"`
	DurationMS int64      `json:"duration_ms"`
	// Notes say in sentences how the landed rows may differ from the source.
	// Without notes they equal the source as of the read.
	Notes   []string `json:"notes,omitempty"`
	Deleted int64    `json:"deleted_records,omitempty"` // rows that the source marked as deleted, or whose deletion is in its log
	// AsOf is when the read of the landed rows began, by the worker's clock:
	// everything committed at the source before it is included. With several
	// reads it is that of the first, and Notes say so. It is absent before the
	// first commit.
	AsOf *time.Time `json:"as_of,omitempty"`
	// FreshUntil is the time up to which the landed table is complete: AsOf once
	// the table is completed, absent before. What complete means depends on the
	// mode; see handlers/README.md.
	FreshUntil *time.Time `json:"fresh_until,omitempty"`

	RowsRead  int64  `json:"rows_read,omitempty"`       // committed or not
	BytesRead int64  `json:"bytes_read,omitempty"`      // size of files where committed, else as the source sent them
	Rate      int64  `json:"rows_per_second,omitempty"` // recent rate while running, then the average
	Estimate  *int64 `json:"row_estimate,omitempty"`    // approximate number of rows to read; absent if unknown
	// LastRowAt is when the source last sent rows in this attempt.
	LastRowAt *time.Time `json:"last_row_at,omitempty"`
	// WaitingSince is set while the table is running and the source sends
	// nothing: since when. A waiting worker reports every 30 s; one that is
	// silent for longer has stalled.
	WaitingSince *time.Time `json:"waiting_since,omitempty"`
	// WaitingFor is what a running table waits for: one of the Waiting
	// constants.
	WaitingFor string `json:"waiting_for,omitempty"`
	// BytesUploaded is the size of the table's files that the lake's store has
	// accepted in this attempt.
	BytesUploaded int64 `json:"bytes_uploaded,omitempty"`
	// RowsUploaded is approximately how many of RowsRead the store has accepted,
	// if it is slower than the source; rows_per_second then refers to these. It
	// is absent if the store keeps up.
	RowsUploaded *int64 `json:"rows_uploaded,omitempty"`

	// With mode cdc: numbers of changes at the source.
	Inserted  int64 `json:"inserted_records,omitempty"`
	Updated   int64 `json:"updated_records,omitempty"`
	Truncated int64 `json:"truncations,omitempty"`
	// Position is the position in the source's log up to which the table is
	// complete; absent while the table is read whole.
	Position string `json:"position,omitempty"`
	// SetAside means that the log continues without the table, for the reason in
	// Message. The next sync of the table reads it whole.
	SetAside bool `json:"set_aside,omitempty"`
}

// Values of WaitingFor.
const (
	WaitingRead   = "reading"
	WaitingUpload = "uploading to the lake"
	WaitingCommit = "committing"
	WaitingTurn   = "waiting for a turn"
)
