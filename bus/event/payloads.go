package event

import (
	"encoding/json"
	"time"
)

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

// OperationAccepted announces an operation that outlives its request: the
// caller was answered 202. Its address has the operation's id in the place of
// the source.
type OperationAccepted struct {
	Meta
	Accepted []Target `json:"accepted"` // in the order of Operation.Target
}

// Target is one source that an operation is about.
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
	SyncID  string `json:"sync_id,omitempty"` // with ReasonAlreadySyncing: the sync to follow instead
	By      string `json:"by,omitempty"`      // with ReasonCancelled: who asked for it
}

// ConnectionTested ends a test-connection. Its address has the test's own id in
// the place of the source; nothing is saved.
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
// under a new version. It ends the target when the schema did not change with
// it; otherwise SchemaDiscovered follows and ends it.
type SourceConnected struct {
	Meta
	Name          string          `json:"name"`
	Type          string          `json:"type"`      // as asked for: database, api, file, postgresql, ...
	Connector     string          `json:"connector"` // the driver it resolved to
	ConfigVersion int             `json:"config_version"`
	Config        json.RawMessage `json:"config"`               // the public settings, never a secret
	SecretRef     string          `json:"secret_ref,omitempty"` // name of the sealed secrets
	Metadata      json.RawMessage `json:"metadata,omitempty"`   // the caller's own
	Unchanged     bool            `json:"unchanged,omitempty"`  // the same configuration as before: no new version
	Sync          json.RawMessage `json:"sync,omitempty"`       // the sync options that the source keeps
}

// SourceConnectFailed ends a target that could not be connected. What was
// connected under the name before stays as it was.
type SourceConnectFailed struct {
	Meta
	Name      string `json:"name"`
	Type      string `json:"type"`
	Connector string `json:"connector,omitempty"`
	Reason    Reason `json:"reason"`
	Message   string `json:"message"`
}

// SchemaDiscovered is a new version of a source's schema: whole, and as the
// difference from the version before.
type SchemaDiscovered struct {
	Meta
	Version int        `json:"version"` // from 1
	Cause   string     `json:"cause"`   // connect, sync, discover
	SyncID  string     `json:"sync_id,omitempty"`
	Tables  []Table    `json:"tables"`
	Diff    SchemaDiff `json:"diff"`
	LeftOut []LeftOut  `json:"left_out,omitempty"` // what the source has and does not offer
}

// SyncStarted says that a worker took a sync. Its own stream sequence is the
// sync's fence: table commits with a smaller one are refused.
type SyncStarted struct {
	Meta
	SyncID  string   `json:"sync_id"`
	Attempt int      `json:"attempt"` // from 1; more than 1 after a worker was lost
	Mode    string   `json:"mode"`    // full_refresh, incremental
	Tables  []string `json:"tables"`
	// Estimates are about how many rows each of Tables holds, -1 where the source
	// cannot tell; absent where that says nothing of how much will be read.
	Estimates []int64 `json:"row_estimates,omitempty"`
}

// SyncProgressed is a checkpoint: what of one table is durably committed.
type SyncProgressed struct {
	Meta
	SyncID  string      `json:"sync_id"`
	Table   TableResult `json:"table"`
	Records int64       `json:"records_processed"` // read by the whole sync so far, committed or not
	Bytes   int64       `json:"bytes"`             // the same: of files where committed, else as the source sent them
}

// SyncCompleted ends a sync of which at least one table landed.
type SyncCompleted struct {
	Meta
	SyncID     string        `json:"sync_id"`
	Status     string        `json:"status"` // completed, or partial when a table failed
	Mode       string        `json:"mode"`
	Records    int64         `json:"records_processed"`
	Bytes      int64         `json:"bytes"`
	DurationMS int64         `json:"duration_ms"`
	Tables     []TableResult `json:"tables"`
	// Always are the sync options that the source keeps from now on, {} for none;
	// absent where it keeps what it kept.
	Always json.RawMessage `json:"always,omitempty"`
	// Changes is where a sync of mode cdc stood in the source's log at its end.
	Changes *Changes `json:"changes,omitempty"`
}

// SyncFailed ends a sync of which no table landed.
type SyncFailed struct {
	Meta
	SyncID     string        `json:"sync_id"`
	Reason     Reason        `json:"reason"`
	Message    string        `json:"message"`
	DurationMS int64         `json:"duration_ms"`
	Tables     []TableResult `json:"tables"`
	Changes    *Changes      `json:"changes,omitempty"` // as of SyncCompleted
}

// SyncCancelled ends a sync that was told to stop. What was committed stays.
type SyncCancelled struct {
	Meta
	SyncID  string `json:"sync_id"`
	Reason  Reason `json:"reason"` // cancelled, or source_removed
	By      string `json:"by,omitempty"`
	Message string `json:"message"`
}

// SourceRemoved takes a source away. A later source of the same name has another
// id. Its history ends here, or with SourceDestroyed where it was purged, unless SourceRestored brings
// it back before.
type SourceRemoved struct {
	Meta
	Name   string `json:"name"`
	Purged bool   `json:"purged"` // its keys and tables are destroyed at once
	// DestroyedAfter is until when it can be restored; absent when Purged.
	DestroyedAfter *time.Time `json:"destroyed_after,omitempty"`
	// Notes say in sentences what a restore will not bring back, and what is left
	// at the source.
	Notes []string `json:"notes,omitempty"`
}

// SourceRestored brings a removed source back, as it was when it was removed:
// id, configuration and its secrets, schema, landed tables and their cursors.
type SourceRestored struct {
	Meta
	Name          string `json:"name"` // from now on; another than before if that was asked for
	Type          string `json:"type"`
	Connector     string `json:"connector"`
	ConfigVersion int    `json:"config_version"`
	SchemaVersion int    `json:"schema_version,omitempty"`
	Removed       uint64 `json:"removed_sequence,omitempty"` // of the SourceRemoved that it undoes
	Unchanged     bool   `json:"unchanged,omitempty"`        // the source was there: nothing was done
	// Notes say in sentences what is not as it was.
	Notes []string `json:"notes,omitempty"`
}

// SourcePurged says that a removed source cannot be restored any more: from now
// on its keys and landed tables are destroyed. SourceDestroyed follows.
type SourcePurged struct {
	Meta
	Name    string `json:"name"`
	Removed uint64 `json:"removed_sequence"` // of the SourceRemoved before
}

// SourceDestroyed says what became of the keys and files of a purged source: once
// when the first try has ended, which is the target's outcome, and once more when
// what that could not remove is gone.
type SourceDestroyed struct {
	Meta
	Name    string `json:"name"`
	Removed uint64 `json:"removed_sequence"` // of the SourceRemoved before
	Destruction
}

// Destruction is what became of the files of a purged source. Nothing is counted
// as removed that was still listed afterwards.
type Destruction struct {
	Status    string `json:"status"`          // destroyed, or remaining when files are left
	Files     int    `json:"files_removed"`   // by this try
	Remaining int    `json:"files_remaining"` // still in the lake; they are tried again
	Kept      int    `json:"files_kept"`      // former versions that the bucket does not let go
	Reason    Reason `json:"reason,omitempty"`
	Message   string `json:"message,omitempty"` // what was not removed and why, in the store's words
}

// The statuses of a Destruction.
const (
	Destroyed      = "destroyed"
	FilesRemaining = "remaining"
)

// TableVerified says how what landed of one table compares with its source. That
// of the last table ends the target.
type TableVerified struct {
	Meta
	Table Verification `json:"table"`
}

// Verification is how what landed of one table compares with its source.
type Verification struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	// Status is equal; behind, when all that differs changed after the sync read
	// the table; different; or unverified, when the two could not be compared.
	Status  string `json:"status"`
	Reason  Reason `json:"reason,omitempty"`
	Message string `json:"message"` // for people
	// VerifiedThrough is up to when the lake is known to hold what the source
	// does; absent for tables that are different or unverified.
	VerifiedThrough *time.Time `json:"verified_through,omitempty"`
	SnapshotID      SnapshotID `json:"snapshot_id,omitempty"` // that was compared
	Snapshot        string     `json:"snapshot,omitempty"`    // the same in digits, for readers whose numbers are not exact beyond 2^53
	SourceRows      int64      `json:"source_rows"`
	LandedRows      int64      `json:"landed_rows"`
	Behind          int64      `json:"behind"`             // rows of the source that changed after the sync
	Missing         int64      `json:"missing"`            // rows of the source that did not land
	Changed         int64      `json:"changed"`            // rows that landed with other values
	Surplus         int64      `json:"surplus"`            // rows that landed and are not in the source
	AtLeast         bool       `json:"at_least,omitempty"` // of the last three: more were not counted
	// Rows are some of the rows that differ, by their keys.
	Rows       []VerifiedRow `json:"rows,omitempty"`
	NotRead    []string      `json:"columns_not_compared,omitempty"`
	DurationMS int64         `json:"duration_ms"`
}

// The statuses of a Verification.
const (
	VerifiedEqual     = "equal"
	VerifiedBehind    = "behind"
	VerifiedDifferent = "different"
	Unverified        = "unverified"
)

// VerifiedRow is one row in which a table differs from its source.
type VerifiedRow struct {
	What string `json:"what"` // missing, changed, surplus
	Key  string `json:"key"`
}

// TableResult is what a sync did to one table. It counts what the sync has
// committed to it so far, over all its attempts.
type TableResult struct {
	Name       string     `json:"name"`
	Namespace  string     `json:"namespace,omitempty"`
	Status     string     `json:"status"` // completed, failed, running, skipped
	Mode       string     `json:"mode"`   // full_refresh, incremental
	Records    int64      `json:"records_processed"`
	Total      *int64     `json:"total_records,omitempty"` // rows of the whole table after the last commit; absent before there is one
	Bytes      int64      `json:"bytes"`                   // of the Parquet files written
	Files      int        `json:"files"`
	Cursor     string     `json:"cursor,omitempty"`      // value after which the next incremental sync goes on
	CursorName string     `json:"cursor_name,omitempty"` // its column
	SnapshotID SnapshotID `json:"snapshot_id,omitempty"` // of the Iceberg table
	Snapshot   string     `json:"snapshot,omitempty"`    // the same in digits, for readers whose numbers are not exact beyond 2^53
	Location   string     `json:"location,omitempty"`    // of the table's folder, as a URL
	Reason     Reason     `json:"reason,omitempty"`
	Message    string     `json:"message,omitempty"`
	DurationMS int64      `json:"duration_ms"`
	// Notes say in sentences in what the landed rows may differ from the source.
	// Without any they equal it as of the moment of the read.
	Notes   []string `json:"notes,omitempty"`
	Deleted int64    `json:"deleted_records,omitempty"` // rows that came marked as deleted, or that the source's log says were
	// AsOf is when the read began that brought the rows, by the clock of the
	// worker: nothing that was committed at the source before it is missing. Of
	// several reads it is the first, and Notes say so. It is absent before
	// anything is committed.
	AsOf *time.Time `json:"as_of,omitempty"`
	// FreshUntil is up to when the lake is complete: AsOf, once the table has
	// ended as completed, and absent before. What complete means depends on the
	// mode, as handlers/README.md says.
	FreshUntil *time.Time `json:"fresh_until,omitempty"`

	RowsRead  int64  `json:"rows_read,omitempty"`       // committed or not
	BytesRead int64  `json:"bytes_read,omitempty"`      // of files where committed, else as the source sent them
	Rate      int64  `json:"rows_per_second,omitempty"` // of late while running, then of the whole
	Estimate  *int64 `json:"row_estimate,omitempty"`    // about how many rows will be read; absent where nobody knows
	// LastRowAt is when the source last sent rows in this attempt.
	LastRowAt *time.Time `json:"last_row_at,omitempty"`
	// WaitingSince is there while the table runs and the source sends nothing:
	// since when. A worker that waits says so again every 30 s; one that says
	// nothing for longer has stalled.
	WaitingSince *time.Time `json:"waiting_since,omitempty"`
	// WaitingFor is what a running table's time goes to: one of the Waiting
	// constants.
	WaitingFor string `json:"waiting_for,omitempty"`
	// BytesUploaded are bytes of the table's files that the lake's store has taken
	// in this attempt.
	BytesUploaded int64 `json:"bytes_uploaded,omitempty"`
	// RowsUploaded is about how many of RowsRead the store has taken, where it is
	// slower than the source: rows_per_second are those then. It is absent where
	// the store takes them as they come.
	RowsUploaded *int64 `json:"rows_uploaded,omitempty"`

	// Of a sync of mode cdc, changes as the source made them.
	Inserted  int64 `json:"inserted_records,omitempty"`
	Updated   int64 `json:"updated_records,omitempty"`
	Truncated int64 `json:"truncations,omitempty"`
	// Position is that in the source's log up to which the table is complete; absent
	// while it is read whole.
	Position string `json:"position,omitempty"`
	// SetAside says that the source's log goes on without the table: Message says
	// why. The next sync that takes it reads it whole.
	SetAside bool `json:"set_aside,omitempty"`
}

// What a running table, or a sync, waits for.
const (
	WaitingRead   = "reading"
	WaitingUpload = "uploading to the lake"
	WaitingCommit = "committing"
	WaitingTurn   = "waiting for a turn"
)
