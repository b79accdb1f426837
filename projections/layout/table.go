package layout

import (
	"encoding/json"
	"time"

	"headwater/bus/event"
)

// AppendCheckpoint appends the document of one commit of a table. r.Total must
// not be nil.
func AppendCheckpoint(b []byte, syncID string, sequence uint64, at time.Time, r *event.TableResult) []byte {
	o := objectIn(b)
	o.Text("table", r.Name)
	o.Text("namespace", r.Namespace)
	o.TextOrNull("cursor_column", r.CursorName)
	if r.CursorName == "" {
		o.Raw("cursor", nil)
	} else {
		o.Text("cursor", r.Cursor)
	}
	o.Text("snapshot_id", r.SnapshotID.Text())
	o.Text("sync_id", syncID)
	o.Text("mode", r.Mode)
	o.Number("sequence", int64(sequence))
	o.Time("time", at)
	o.Number("total_records", *r.Total)
	return o.End()
}

// DecodeLanded reverses EncodeLanded. It fails if b was not made by it.
func DecodeLanded(b []byte) (l Landed, err error) { return l, json.Unmarshal(b, &l) }
