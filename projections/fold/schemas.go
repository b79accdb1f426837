package fold

import (
	"headwater/bus/event"
	"headwater/projections/layout"
)

// discovered stores a new version of a source's schema: the document without its
// tables, the entry of the history, and each table under its own key, so that a
// page of a large schema reads nothing else.
func (t *Batch) discovered(d *event.SchemaDiscovered) (*news, error) {
	var n *news
	if d.Operation.Final || d.Cause != "sync" {
		n = &news{name: t.source.v.Name, result: func(r *layout.Result) { r.SchemaVersion, r.Tables = d.Version, len(d.Tables) }}
	}
	if !t.alive() {
		return n, nil
	}
	t.source.v.SchemaVersion, t.source.v.Tables, t.source.v.LeftOut = d.Version, len(d.Tables), len(d.LeftOut)
	t.changeDocument()

	version := layout.PutNewest(layout.AddressKey(layout.KeySchema, d.Address()), t.sequence)
	entry, err := layout.SchemaEntry(d, t.sequence, t.at)
	if err != nil {
		return nil, err
	}
	head, err := layout.SchemaHead(d, t.sequence, t.at)
	if err != nil {
		return nil, err
	}
	if err := t.out.Set(append(version, layout.PartHead), head); err != nil {
		return nil, err
	}
	if err := t.out.Set(append(version, layout.PartEntry), entry); err != nil {
		return nil, err
	}
	for i := range d.Tables {
		if err := t.putTable(version, i, d.Tables[i]); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (t *Batch) putTable(version []byte, index int, table event.Table) error {
	doc, err := layout.SchemaTable(table)
	if err != nil {
		return err
	}
	if err := t.out.Set(layout.PutIndex(append(version, layout.PartTable), index), doc); err != nil {
		return err
	}
	names := []string{table.Name}
	if table.Namespace != "" {
		names = append(names, layout.Qualified(table.Namespace, table.Name))
	}
	for _, name := range names {
		if err := t.out.Set(layout.PutIndex(layout.PutText(append(version, layout.PartName), name), index), nil); err != nil {
			return err
		}
	}
	return nil
}
