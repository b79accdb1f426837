package event

// TableMaintained reports the maintenance of one landed table, which leaves its
// rows unchanged. The event for the last table ends the operation's target.
type TableMaintained struct {
	Meta
	Table Maintenance `json:"table"`
}

// Maintenance is what the maintenance of one table did.
type Maintenance struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	Status    string `json:"status"`           // one of the Maintained constants
	Why       string `json:"why,omitempty"`    // what state of the table called for it
	Left      string `json:"left,omitempty"`   // why some work was left undone
	Reason    Reason `json:"reason,omitempty"` // why it failed
	Message   string `json:"message,omitempty"`

	SnapshotID SnapshotID `json:"snapshot_id,omitempty"` // of the Iceberg table, as it is now
	Snapshot   string     `json:"snapshot,omitempty"`    // the same as decimal text
	Rows       int64      `json:"rows"`                  // that readers see

	FilesBefore       int   `json:"files_before"` // data files
	FilesAfter        int   `json:"files_after"`
	DeleteFilesBefore int   `json:"delete_files_before"` // files with positions of deleted rows
	DeleteFilesAfter  int   `json:"delete_files_after"`
	BytesBefore       int64 `json:"bytes_before"` // of all these files
	BytesAfter        int64 `json:"bytes_after"`
	DeletesFolded     int64 `json:"deletes_folded"`    // deleted rows that are no longer in any file
	SnapshotsExpired  int   `json:"snapshots_expired"` // snapshots that are no longer listed
	OrphansRemoved    int   `json:"orphans_removed"`   // files that nothing referenced
	DurationMS        int64 `json:"duration_ms"`
}

// Values of Maintenance.Status.
const (
	Maintained        = "maintained"
	MaintainedNothing = "nothing_to_do"
	MaintainedLater   = "left" // another writer was first; Left says which
	MaintainedFailed  = "failed"
)
