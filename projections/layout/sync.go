package layout

import "encoding/json"

// SyncEntry is a Sync and the targets that wait for its end. Began is 0 while
// only those targets mention the sync.
type SyncEntry struct {
	Sync
	Followers []Follower `json:"followers,omitempty"`
}

// Follower is a target of an operation that waits for the end of a sync.
type Follower struct {
	Operation string `json:"operation"`
	Target    int    `json:"target"`
}

// Qualified returns "namespace.name", or the name alone if there is no
// namespace.
func Qualified(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "." + name
}

// syncDocument appends the document of a sync, without its tables.
func syncDocument(b []byte, y *Sync) []byte {
	o := objectIn(b)
	o.Text("sync_id", y.ID)
	o.Text("source_id", y.Address.Source)
	o.Text("source_name", y.SourceName)
	o.Text("operation_id", y.Operation.ID)
	o.textOrNone("trigger", y.Operation.Trigger)
	o.Text("status", y.Status)
	o.Text("mode", y.Mode)
	o.Number("attempt", int64(y.Attempt))
	o.Number("records_processed", y.Records)
	o.Number("bytes", y.Bytes)
	o.Number("duration_ms", y.DurationMS)
	o.Time("started_at", y.StartedAt)
	o.Time("updated_at", y.UpdatedAt)
	o.TimeOrNull("finished_at", y.FinishedAt)
	o.failure("error", y.Error)
	o.changes("changes", y.Changes, false)
	return o.End()
}

// EncodeSync appends the state of a sync framed before its document, without
// tables. It fails for a time that JSON cannot represent.
func EncodeSync(b []byte, y *SyncEntry) ([]byte, error) {
	begin := len(b)
	b, err := appendSync(append(b, make([]byte, headSize)...), y)
	if err != nil {
		return b, err
	}
	return syncDocument(headFrom(b, begin), &y.Sync), nil
}

// DecodeSync reverses EncodeSync. It fails if v was not made by it.
func DecodeSync(v []byte) (y SyncEntry, err error) {
	state, _, err := Unframe(v)
	if err != nil {
		return y, err
	}
	return y, json.Unmarshal(state, &y)
}
