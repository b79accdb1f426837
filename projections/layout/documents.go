package layout

import (
	"encoding/json"
	"time"

	"headwater/bus/event"
)

// Statuses of documents, each with the documents that may have it.
const (
	StatusConnected = "connected" // source
	StatusSyncing   = "syncing"   // source
	StatusRunning   = "running"   // operation, target, sync
	StatusCompleted = "completed" // operation, target, sync
	StatusFailed    = "failed"    // operation, target, sync, source
	StatusCancelled = "cancelled" // operation, target, sync
	StatusRemoved   = "removed"   // source, in lists of removed ones
	StatusPartial   = "partial"   // operation, sync
)

// Source is what a node knows of one source, for code that acts on it. The
// document that clients see is a separate value.
type Source struct {
	Address         event.Address   `json:"address"`
	Name            string          `json:"name"`
	Type            string          `json:"type"`
	Connector       string          `json:"connector"`
	Config          json.RawMessage `json:"config,omitempty"` // public settings only
	SecretRef       string          `json:"secret_ref,omitempty"`
	Metadata        json.RawMessage `json:"metadata,omitempty"`
	Sync            json.RawMessage `json:"sync_options,omitempty"` // sync options that the source stores
	ConfigVersion   int             `json:"config_version"`
	SchemaVersion   int             `json:"schema_version"` // 0 before the first schema
	Tables          int             `json:"tables"`
	LeftOut         int             `json:"left_out"`           // number of things that the newest schema does not offer
	Records         int64           `json:"records"`            // landed in all tables
	Location        string          `json:"location,omitempty"` // folder of its tables, once one has landed
	Status          string          `json:"status"`
	CreatedAt       time.Time       `json:"created_at"`
	UpdatedAt       time.Time       `json:"updated_at"`
	CreatedSequence uint64          `json:"created_sequence"` // of its first SourceConnected; orders lists
	LastSequence    uint64          `json:"last_sequence"`    // of its history: what Append expects
	Running         *Running        `json:"running,omitempty"`
	LastSync        *LastSync       `json:"last_sync,omitempty"`
	Removed         bool            `json:"removed,omitempty"`
	Removal         *Removal        `json:"removal,omitempty"` // set while Removed
	Schedule        *Schedule       `json:"schedule,omitempty"`
	ScheduleVersion int             `json:"schedule_version,omitempty"` // counts on after a schedule is removed
	Dependents      []string        `json:"dependents,omitempty"`       // sources whose schedule follows this one's syncs
	Changes         *Changes        `json:"changes,omitempty"`          // where it stands in its log, nil before a sync has taken that up
	Moved           uint64          `json:"moved,omitempty"`            // sequence of the SourceConnected that moved it last to a server without its log
	Left            []Left          `json:"left,omitempty"`             // servers that may keep a log for it, which it has left
	Taken           *Taken          `json:"taken,omitempty"`            // nil if the server that it has keeps no log for it
}

// Taken says that a sync of mode cdc has begun since the source's server let its log go last:
// it may keep one, whether or not a position was told.
type Taken struct {
	Sequence uint64    `json:"sequence"` // of the latest SyncStarted of such a sync
	At       time.Time `json:"at"`       // when that sync began or, once it has ended, when it did
}

// Left is a server that a source has left, and that may still keep its log of changes.
type Left struct {
	Moved     uint64          `json:"moved"` // sequence of the SourceConnected by which it was left
	Connector string          `json:"connector"`
	Config    json.RawMessage `json:"config,omitempty"`
	SecretRef string          `json:"secret_ref,omitempty"`
	Position  string          `json:"position,omitempty"` // up to which everything had landed
}

// Changes is where a source's syncs stand in its log of changes. Without a
// Position the log was given up.
type Changes struct {
	event.Changes
	Lagging bool `json:"lagging,omitempty"` // beyond sync_options.lag_warn_bytes
}

// Removal says how a source was removed.
type Removal struct {
	Sequence       uint64     `json:"sequence"` // of its SourceRemoved
	At             time.Time  `json:"at"`
	DestroyedAfter *time.Time `json:"destroyed_after,omitempty"`
	Purged         bool       `json:"purged,omitempty"`    // its keys and tables are destroyed or about to be
	Destroyed      bool       `json:"destroyed,omitempty"` // everything is destroyed
}

// Restorable reports whether the history permits restoring the source. The
// caller, who has a clock, checks whether the grace period has ended.
func (s *Source) Restorable() bool { return s.Removed && s.Removal != nil && !s.Removal.Purged }

// Running is the sync that holds a source.
type Running struct {
	SyncID    string          `json:"sync_id"`
	Attempt   int             `json:"attempt"`
	Fence     uint64          `json:"fence"` // sequence of the latest SyncStarted
	Operation event.Operation `json:"operation"`
}

// LastSync is the latest sync of a source, as the source's document shows it.
type LastSync struct {
	SyncID     string     `json:"sync_id"`
	Status     string     `json:"status"`
	Mode       string     `json:"mode"`
	Records    int64      `json:"records_processed"`
	Bytes      int64      `json:"bytes"`
	DurationMS int64      `json:"duration_ms"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Error      *Failure   `json:"error,omitempty"`
	// FreshUntil is the oldest FreshUntil of its tables; nil if a table has
	// none.
	FreshUntil *time.Time `json:"fresh_until,omitempty"`
}

// Failure says why something failed.
type Failure struct {
	Reason  event.Reason `json:"reason"`
	Message string       `json:"message"`
}

// Landed is the state of one table in the lake.
type Landed struct {
	Records    int64      `json:"records"` // that readers see, from all syncs
	SyncID     string     `json:"sync_id"` // the last sync that committed
	Mode       string     `json:"mode"`
	Location   string     `json:"location,omitempty"`
	SnapshotID int64      `json:"snapshot_id,omitempty"`
	Cursor     string     `json:"cursor,omitempty"`
	CursorName string     `json:"cursor_name,omitempty"`
	At         time.Time  `json:"at"`
	FreshUntil *time.Time `json:"fresh_until,omitempty"` // the table is complete up to this time
	// SetAside says that the source's log has gone on without the table.
	SetAside bool `json:"set_aside,omitempty"`
	// Checkpoints are the sequences of the commits that are kept, oldest first.
	Checkpoints []uint64 `json:"checkpoints,omitempty"`
}

// Sync is one sync. Its document is visible to Owner, or to the organization if
// Owner is empty.
type Sync struct {
	ID         string          `json:"sync_id"`
	Address    event.Address   `json:"address"`
	SourceName string          `json:"source_name"`
	Operation  event.Operation `json:"operation"`
	Status     string          `json:"status"`
	Mode       string          `json:"mode"`
	Attempt    int             `json:"attempt"`
	// TablesTotal and Expected are from its latest start: the number of tables,
	// and roughly how many rows they have, -1 if a table cannot tell.
	TablesTotal int        `json:"tables_total,omitempty"`
	Expected    int64      `json:"rows_expected,omitempty"`
	Fence       uint64     `json:"fence"` // sequence of the latest SyncStarted
	Began       uint64     `json:"began"` // sequence of its first event; orders lists
	Records     int64      `json:"records_processed"`
	Bytes       int64      `json:"bytes"`
	DurationMS  int64      `json:"duration_ms"`
	StartedAt   time.Time  `json:"started_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"`
	Error       *Failure   `json:"error,omitempty"`
	// Changes is where it stands, or stood at its end, in the source's log.
	Changes *event.Changes `json:"changes,omitempty"`
	JSON    []byte         `json:"-"` // the document, with its tables
}

// Ended reports whether the sync has its outcome.
func (s Sync) Ended() bool { return s.Status != StatusRunning }

// Operation is one request and the state of its targets. The API decides from
// Owner and Actor whether a caller may see it.
type Operation struct {
	ID           string     `json:"operation_id"`
	Organization string     `json:"organization"`
	Workspace    string     `json:"workspace"`
	Owner        string     `json:"owner,omitempty"`   // of its sources; "" for scope "organization"
	Actor        string     `json:"actor,omitempty"`   // who sent the request
	Trigger      string     `json:"trigger,omitempty"` // what started it, if nobody did
	Kind         string     `json:"kind"`
	Status       string     `json:"status"`
	Total        int        `json:"targets_total"`
	Completed    int        `json:"completed,omitempty"` // number of targets, as are the next two
	Failed       int        `json:"failed,omitempty"`
	Cancelled    int        `json:"cancelled,omitempty"`
	CreatedAt    time.Time  `json:"created_at"`
	UpdatedAt    time.Time  `json:"updated_at"`
	FinishedAt   *time.Time `json:"finished_at,omitempty"`
	Sequence     uint64     `json:"sequence"` // of the last event that changed it
	Targets      []Target   `json:"-"`        // known targets, by index
	JSON         []byte     `json:"-"`        // the document, with its targets
}

// Ended reports whether every target has its outcome.
func (o Operation) Ended() bool { return o.Status != StatusRunning }

// Target is one source of an operation.
type Target struct {
	Index    int          `json:"-"` // Operation.Target of its events
	SourceID string       `json:"source_id"`
	Name     string       `json:"name"`
	Status   string       `json:"status"` // running, completed, failed, cancelled
	SyncID   string       `json:"sync_id,omitempty"`
	Attached bool         `json:"attached,omitempty"` // it follows a sync that was already running
	Reason   event.Reason `json:"reason,omitempty"`
	Message  string       `json:"message,omitempty"`
	Result   *Result      `json:"result,omitempty"`
}

// Verification is the result of comparing one landed table with its source, as
// clients see it: the snapshot id appears as text only.
type Verification event.Verification

// MarshalJSON returns the form that clients see. It fails if a value has no JSON
// form.
func (v Verification) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		event.Verification
		SnapshotID string `json:"snapshot_id,omitempty"`
		Snapshot   string `json:"snapshot,omitempty"` // never set: it hides the field of the payload
	}{Verification: event.Verification(v), SnapshotID: v.SnapshotID.Text()})
}

// Maintenance is what was done to one table, as clients see it: the snapshot id
// appears as text only.
type Maintenance event.Maintenance

// MarshalJSON returns the form that clients see. It fails if a value has no JSON
// form.
func (v Maintenance) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		event.Maintenance
		SnapshotID string `json:"snapshot_id,omitempty"`
		Snapshot   string `json:"snapshot,omitempty"` // never set: it hides the field of the payload
	}{Maintenance: event.Maintenance(v), SnapshotID: v.SnapshotID.Text()})
}

// Result is the result of a target. Only the fields of its kind are set.
type Result struct {
	Status        string           `json:"status,omitempty"` // of the sync: completed, partial, failed, cancelled
	Records       *int64           `json:"records_processed,omitempty"`
	Bytes         *int64           `json:"bytes,omitempty"`
	DurationMS    *int64           `json:"duration_ms,omitempty"`
	ConfigVersion int              `json:"config_version,omitempty"`
	Unchanged     bool             `json:"unchanged,omitempty"`
	SchemaVersion int              `json:"schema_version,omitempty"`
	Tables        int              `json:"tables,omitempty"`
	OK            *bool            `json:"ok,omitempty"` // of a connection test
	Connector     string           `json:"connector,omitempty"`
	Steps         []event.TestStep `json:"steps,omitempty"`
	Purged        bool             `json:"purged,omitempty"`
	// Verified are the tables of a verification, in the order of their events.
	Verified []Verification `json:"verified,omitempty"`
	// Maintained are the tables of a maintenance, in the order of their events.
	Maintained []Maintenance `json:"maintained,omitempty"`
	// Destruction reports on the files of a purged source.
	Destruction *event.Destruction `json:"destruction,omitempty"`
	// DestroyedAfter is until when a removed source can be restored.
	DestroyedAfter *time.Time `json:"destroyed_after,omitempty"`
	// Notes say what of a removed source does not come back, or did not.
	Notes []string `json:"notes,omitempty"`
}
