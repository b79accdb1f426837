package projections

import (
	"time"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// What the store holds of sources, syncs and operations is defined in package
// layout. These aliases spare readers a second import.
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

// Statuses of documents, each with the documents that may have it.
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
	Sequence     uint64 // of its SchemaDiscovered event
	DiscoveredAt time.Time
	Tables       []event.Table
	LeftOut      []event.LeftOut
}

// LandedTable is a table of a source that is in the lake.
type LandedTable struct {
	Namespace, Name string
	Landed
}

// SchemaPage is one page of a version of a source's schema, as the API returns
// it.
type SchemaPage struct {
	JSON     []byte // the document {"source_id","version","discovered_at","tables"}
	Version  int
	Sequence uint64 // of its SchemaDiscovered event; changes exactly when the schema does
	Tables   int    // number of tables in JSON
	Places   uint64 // changes when the storage locations of the tables in JSON change
	Next     string // cursor of the next page; "" on the last
}

// Page is one page of a list of documents.
type Page struct {
	JSON     []byte // a JSON array of documents, as stored
	Count    int
	Next     string // cursor of the next page; "" on the last
	Sequence uint64 // the page reflects the log up to at least this sequence
}
