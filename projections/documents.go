package projections

import "headwater/projections/layout"

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
