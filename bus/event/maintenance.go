package event

// TableMaintained says what a maintenance of a landed table did: its rows are the
// same before and after. That of the last table ends the operation's target.
type TableMaintained struct {
	Meta
	Table Maintenance `json:"table"`
}

// Maintenance is what a maintenance of one table did.
type Maintenance struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	Status    string `json:"status"`           // one of the Maintained constants
	Why       string `json:"why,omitempty"`    // what of the table's state called for it
	Left      string `json:"left,omitempty"`   // why not all was done that there was to do
	Reason    Reason `json:"reason,omitempty"` // of a failure
	Message   string `json:"message,omitempty"`

	SnapshotID SnapshotID `json:"snapshot_id,omitempty"` // of the Iceberg table, as it is now
	Snapshot   string     `json:"snapshot,omitempty"`    // the same in digits
	Rows       int64      `json:"rows"`                  // that readers see

	FilesBefore       int   `json:"files_before"` // of rows
	FilesAfter        int   `json:"files_after"`
	DeleteFilesBefore int   `json:"delete_files_before"` // of deleted rows' positions
	DeleteFilesAfter  int   `json:"delete_files_after"`
	BytesBefore       int64 `json:"bytes_before"` // of all of them
	BytesAfter        int64 `json:"bytes_after"`
	DeletesFolded     int64 `json:"deletes_folded"`    // deleted rows that are in no file any more
	SnapshotsExpired  int   `json:"snapshots_expired"` // that are listed no more
	OrphansRemoved    int   `json:"orphans_removed"`   // files that nothing needed
	DurationMS        int64 `json:"duration_ms"`
}

// How a maintenance of a table ended.
const (
	Maintained        = "maintained"
	MaintainedNothing = "nothing_to_do"
	MaintainedLater   = "left" // somebody else came first: Left says who
	MaintainedFailed  = "failed"
)
