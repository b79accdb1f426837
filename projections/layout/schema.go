package layout

import (
	"encoding/json"
	"fmt"
	"time"

	"headwater/bus/event"
)

// SchemaHead returns the version and time framed before the document of one
// version of a schema, without its tables. It fails if a value has no JSON form.
func SchemaHead(d *event.SchemaDiscovered, sequence uint64, at time.Time) ([]byte, error) {
	left := d.LeftOut
	if left == nil {
		left = []event.LeftOut{}
	}
	raw, err := json.Marshal(left)
	if err != nil {
		return nil, fmt.Errorf("left out: %w", err)
	}
	o := NewObject(192 + len(raw))
	o.Text("source_id", d.SourceID)
	o.Number("version", int64(d.Version))
	o.Number("sequence", int64(sequence))
	o.Time("discovered_at", at)
	o.Text("cause", d.Cause)
	o.Number("tables_total", int64(len(d.Tables)))
	o.Raw("left_out", raw)
	head := PutSequence(nil, uint64(d.Version))
	return frame(PutSequence(head, uint64(at.UnixNano())), o.End()), nil
}

// SchemaEntry returns the entry of a schema's history for one version. It fails
// if a value has no JSON form.
func SchemaEntry(d *event.SchemaDiscovered, sequence uint64, at time.Time) ([]byte, error) {
	diff := d.Diff
	if diff.Added == nil {
		diff.Added = []string{}
	}
	if diff.Removed == nil {
		diff.Removed = []string{}
	}
	if diff.Changed == nil {
		diff.Changed = []event.ColumnChange{}
	}
	// Unlike in the event, empty lists are written, because clients loop over
	// them.
	raw, err := json.Marshal(struct {
		Added    []string             `json:"added"`
		Removed  []string             `json:"removed"`
		Changed  []event.ColumnChange `json:"changed"`
		Breaking bool                 `json:"breaking"`
	}{diff.Added, diff.Removed, diff.Changed, diff.Breaking})
	if err != nil {
		return nil, fmt.Errorf("diff: %w", err)
	}
	o := NewObject(256 + len(raw))
	o.Number("version", int64(d.Version))
	o.Number("sequence", int64(sequence))
	o.Time("discovered_at", at)
	o.Text("cause", d.Cause)
	o.TextOrNull("sync_id", d.SyncID)
	o.TextOrNull("operation_id", d.Operation.ID)
	o.Number("tables", int64(len(d.Tables)))
	o.Raw("diff", raw)
	return o.End(), nil
}

// SchemaTable returns the document of one table of a schema. Empty lists are
// written, because clients loop over them. It fails if a value has no JSON form.
func SchemaTable(table event.Table) ([]byte, error) {
	if table.PrimaryKey == nil {
		table.PrimaryKey = []string{}
	}
	if table.Columns == nil {
		table.Columns = []event.Column{}
	}
	doc, err := json.Marshal(table)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", table.Name, err)
	}
	return doc, nil
}
