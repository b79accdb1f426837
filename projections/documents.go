package projections

import (
	"time"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// What the store holds of sources, syncs and operations is defined beside how it
// is stored; these are its names for those who read.
type (
	Source       = layout.Source
	Removal      = layout.Removal
	Running      = layout.Running
	LastSync     = layout.LastSync
	Failure      = layout.Failure
	Landed       = layout.Landed
	Sync         = layout.Sync
	Operation    = layout.Operation
	Target       = layout.Target
	Verification = layout.Verification
	Maintenance  = layout.Maintenance
	Result       = layout.Result
	Schedule     = layout.Schedule
	Run          = layout.Run
)

// The statuses of documents.
const (
	StatusConnected = layout.StatusConnected // source
	StatusSyncing   = layout.StatusSyncing   // source
	StatusRunning   = layout.StatusRunning   // operation, target, sync
	StatusCompleted = layout.StatusCompleted // operation, target, sync
	StatusFailed    = layout.StatusFailed    // operation, target, sync, source
	StatusCancelled = layout.StatusCancelled // operation, target, sync
	StatusRemoved   = layout.StatusRemoved   // source, in lists of removed ones
	StatusPartial   = layout.StatusPartial   // operation, sync
)

// Schema is one version of a source's schema, decoded.
type Schema struct {
	Version      int
	Sequence     uint64 // of its SchemaDiscovered
	DiscoveredAt time.Time
	Tables       []event.Table
	LeftOut      []event.LeftOut
}

// LandedTable is a table of which something lies in the lake.
type LandedTable struct {
	Namespace, Name string
	Landed
}

// SchemaPage is one version of a source's schema as clients are shown it.
type SchemaPage struct {
	JSON     []byte // the document {"source_id","version","discovered_at","tables"}
	Version  int
	Sequence uint64 // of its SchemaDiscovered: changes exactly when the document does
	Tables   int    // in JSON
	Places   uint64 // changes when what JSON says of where tables lie does
	Next     string // cursor of the next page, "" on the last
}

// Page is some documents of a list.
type Page struct {
	JSON     []byte // a JSON array of documents, as stored
	Count    int
	Next     string // cursor of the next page, "" on the last
	Sequence uint64 // at least this much of the log is in it
}
