package projections

import (
	"encoding/json"
	"fmt"

	"headwater/bus/event"
)

// discovered keeps a new version of a source's schema: the document without
// its tables, the entry of the history, and each table under its own key, so
// that a page of a wide schema reads nothing else of it.
func (t *turn) discovered(d *event.SchemaDiscovered) (*news, error) {
	var n *news
	if d.Operation.Final || d.Cause != "sync" {
		n = &news{name: t.source.v.Name, result: func(r *Result) { r.SchemaVersion, r.Tables = d.Version, len(d.Tables) }}
	}
	if !t.alive() {
		return n, nil
	}
	t.source.v.SchemaVersion, t.source.v.Tables, t.source.v.LeftOut = d.Version, len(d.Tables), len(d.LeftOut)
	t.changeDocument()

	version := putNewest(addressKey(keySchema, d.Address()), t.sequence)
	entry, err := t.historyEntry(d)
	if err != nil {
		return nil, err
	}
	head, err := t.schemaHead(d)
	if err != nil {
		return nil, err
	}
	if err := t.batch.Set(append(version, partHead), head, nil); err != nil {
		return nil, err
	}
	if err := t.batch.Set(append(version, partEntry), entry, nil); err != nil {
		return nil, err
	}
	for i := range d.Tables {
		if err := t.putTable(version, i, d.Tables[i]); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (t *turn) putTable(version []byte, index int, table event.Table) error {
	if table.PrimaryKey == nil {
		table.PrimaryKey = []string{}
	}
	if table.Columns == nil {
		table.Columns = []event.Column{}
	}
	doc, err := json.Marshal(table)
	if err != nil {
		return fmt.Errorf("table %s: %w", table.Name, err)
	}
	if err := t.batch.Set(putIndex(append(version, partTable), index), doc, nil); err != nil {
		return err
	}
	names := []string{table.Name}
	if table.Namespace != "" {
		names = append(names, qualified(table.Namespace, table.Name))
	}
	for _, name := range names {
		if err := t.batch.Set(putIndex(putText(append(version, partName), name), index), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// schemaHead frames the version and the table count before the document.
func (t *turn) schemaHead(d *event.SchemaDiscovered) ([]byte, error) {
	left := d.LeftOut
	if left == nil {
		left = []event.LeftOut{}
	}
	raw, err := json.Marshal(left)
	if err != nil {
		return nil, fmt.Errorf("left out: %w", err)
	}
	o := newObject(192 + len(raw))
	o.text("source_id", d.SourceID)
	o.number("version", int64(d.Version))
	o.number("sequence", int64(t.sequence))
	o.time("discovered_at", t.at)
	o.text("cause", d.Cause)
	o.number("tables_total", int64(len(d.Tables)))
	o.raw("left_out", raw)
	head := putSequence(nil, uint64(d.Version))
	return frame(putSequence(head, uint64(t.at.UnixNano())), o.end()), nil
}

func (t *turn) historyEntry(d *event.SchemaDiscovered) ([]byte, error) {
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
	// Unlike in the event, an empty list is written: clients loop over it.
	raw, err := json.Marshal(struct {
		Added    []string             `json:"added"`
		Removed  []string             `json:"removed"`
		Changed  []event.ColumnChange `json:"changed"`
		Breaking bool                 `json:"breaking"`
	}{diff.Added, diff.Removed, diff.Changed, diff.Breaking})
	if err != nil {
		return nil, fmt.Errorf("diff: %w", err)
	}
	o := newObject(256 + len(raw))
	o.number("version", int64(d.Version))
	o.number("sequence", int64(t.sequence))
	o.time("discovered_at", t.at)
	o.text("cause", d.Cause)
	o.textOrNull("sync_id", d.SyncID)
	o.textOrNull("operation_id", d.Operation.ID)
	o.number("tables", int64(len(d.Tables)))
	o.raw("diff", raw)
	return o.end(), nil
}
