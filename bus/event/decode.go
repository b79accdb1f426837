package event

import (
	"encoding/json"
	"time"
)

// decode decodes a payload. The payloads that make up nearly all of a history
// are scanned by hand in the form in which this build writes them. Any other
// form or payload is decoded by encoding/json. Both give the same result.
func decode(body string, data Data) error {
	if scan(body, data) {
		return nil
	}
	return json.Unmarshal([]byte(body), data)
}

// scan reports whether it has filled data. Otherwise it leaves data unchanged.
func scan(body string, data Data) bool {
	p := &scanner{}
	switch d := data.(type) {
	case *SyncProgressed:
		return scanned(p, body, d, (*scanner).syncProgressed)
	case *ChangesLanded:
		return scanned(p, body, d, (*scanner).changesLanded)
	case *SyncStarted:
		return scanned(p, body, d, (*scanner).syncStarted)
	case *SyncCompleted:
		return scanned(p, body, d, (*scanner).syncCompleted)
	case *SyncFailed:
		return scanned(p, body, d, (*scanner).syncFailed)
	case *SchemaDiscovered:
		return scanned(p, body, d, (*scanner).schemaDiscovered)
	case *SourceConnected:
		return scanned(p, body, d, (*scanner).sourceConnected)
	case *OperationAccepted:
		return scanned(p, body, d, (*scanner).operationAccepted)
	}
	return false
}

func scanned[T any](p *scanner, body string, into *T, read func(*scanner, *T)) bool {
	p.s = body
	if p.want('{'); p.bad {
		return false
	}
	before := *into
	if read(p, into); p.bad || !p.take('}') || p.i != len(p.s) {
		*into = before
		return false
	}
	return true
}

func (p *scanner) meta(m *Meta) {
	p.text(&m.Organization, "organization")
	p.text(&m.WorkspaceID, "workspace_id")
	p.text(&m.Owner, "owner")
	p.text(&m.SourceID, "source_id")
	p.text(&m.SourceName, "source_name")
	if !p.field("operation") {
		return
	}
	p.want('{')
	op := &m.Operation
	p.text(&op.ID, "id")
	p.text(&op.Kind, "kind")
	p.number(&op.Targets, "targets")
	p.number(&op.Target, "target")
	p.flag(&op.Final, "final")
	p.text(&op.Actor, "actor")
	p.text(&op.RequestID, "request_id")
	p.text(&op.Trigger, "trigger")
	p.want('}')
}

// text, number, count and flag read a field if it is next. A missing field stays
// zero. A field out of order makes the scan fail at the next field that is
// expected.
func (p *scanner) text(v *string, name string) {
	if p.field(name) {
		*v = p.quoted()
	}
}

func (p *scanner) reason(v *Reason, name string) {
	if p.field(name) {
		*v = Reason(p.quoted())
	}
}

func (p *scanner) number(v *int, name string) {
	if p.field(name) {
		*v = int(p.integer())
	}
}

func (p *scanner) count(v *int64, name string) {
	if p.field(name) {
		*v = p.integer()
	}
}

func (p *scanner) flag(v *bool, name string) {
	if p.field(name) {
		*v = p.truth()
	}
}

func (p *scanner) syncStarted(d *SyncStarted) {
	p.meta(&d.Meta)
	p.text(&d.SyncID, "sync_id")
	p.number(&d.Attempt, "attempt")
	p.text(&d.Mode, "mode")
	if p.field("tables") {
		d.Tables = list(p, readText)
	}
	if p.field("row_estimates") {
		d.Estimates = list(p, readInteger)
	}
}

func (p *scanner) syncProgressed(d *SyncProgressed) {
	p.meta(&d.Meta)
	p.text(&d.SyncID, "sync_id")
	if p.field("table") {
		p.tableResult(&d.Table)
	}
	p.count(&d.Records, "records_processed")
	p.count(&d.Bytes, "bytes")
}

func (p *scanner) syncCompleted(d *SyncCompleted) {
	p.meta(&d.Meta)
	p.text(&d.SyncID, "sync_id")
	p.text(&d.Status, "status")
	p.text(&d.Mode, "mode")
	p.count(&d.Records, "records_processed")
	p.count(&d.Bytes, "bytes")
	p.count(&d.DurationMS, "duration_ms")
	if p.field("tables") {
		d.Tables = list(p, (*scanner).tableResult)
	}
	if p.field("always") {
		d.Always = p.raw()
	}
	p.changesRef(&d.Changes)
}

func (p *scanner) syncFailed(d *SyncFailed) {
	p.meta(&d.Meta)
	p.text(&d.SyncID, "sync_id")
	p.reason(&d.Reason, "reason")
	p.text(&d.Message, "message")
	p.count(&d.DurationMS, "duration_ms")
	if p.field("tables") {
		d.Tables = list(p, (*scanner).tableResult)
	}
	p.changesRef(&d.Changes)
}

func (p *scanner) changesLanded(d *ChangesLanded) {
	p.meta(&d.Meta)
	p.text(&d.SyncID, "sync_id")
	if p.field("changes") {
		p.changes(&d.Changes)
	}
	p.count(&d.Records, "records_processed")
	p.count(&d.Bytes, "bytes")
}

func (p *scanner) changesRef(c **Changes) {
	if !p.field("changes") {
		return
	}
	if p.null() {
		return
	}
	*c = &Changes{}
	p.changes(*c)
}

func (p *scanner) changes(c *Changes) {
	p.want('{')
	p.text(&c.Position, "position")
	p.timeOf(&c.CommittedAt, "committed_at")
	p.timeOf(&c.FreshUntil, "fresh_until")
	p.timeOf(&c.At, "at")
	p.countOf(&c.BehindBytes, "behind_bytes")
	p.countOf(&c.BehindSeconds, "behind_seconds")
	p.countOf(&c.RetainedBytes, "retained_bytes")
	p.countOf(&c.LeftBytes, "left_bytes")
	p.text(&c.SlotState, "slot_state")
	p.text(&c.Message, "message")
	p.want('}')
}

func (p *scanner) timeOf(v **time.Time, name string) {
	if p.field(name) {
		*v = p.timeRef()
	}
}

func (p *scanner) countOf(v **int64, name string) {
	if p.field(name) {
		*v = p.integerRef()
	}
}

func (p *scanner) tableResult(r *TableResult) {
	p.want('{')
	p.text(&r.Name, "name")
	p.text(&r.Namespace, "namespace")
	p.text(&r.Status, "status")
	p.text(&r.Mode, "mode")
	p.count(&r.Records, "records_processed")
	if p.field("total_records") {
		r.Total = p.integerRef()
	}
	p.count(&r.Bytes, "bytes")
	p.number(&r.Files, "files")
	p.text(&r.Cursor, "cursor")
	p.text(&r.CursorName, "cursor_name")
	p.count((*int64)(&r.SnapshotID), "snapshot_id")
	p.text(&r.Snapshot, "snapshot")
	p.text(&r.Location, "location")
	p.reason(&r.Reason, "reason")
	p.text(&r.Message, "message")
	p.count(&r.DurationMS, "duration_ms")
	if p.field("notes") {
		r.Notes = list(p, readText)
	}
	p.count(&r.Deleted, "deleted_records")
	if p.field("as_of") {
		r.AsOf = p.timeRef()
	}
	if p.field("fresh_until") {
		r.FreshUntil = p.timeRef()
	}
	p.count(&r.RowsRead, "rows_read")
	p.count(&r.BytesRead, "bytes_read")
	p.count(&r.Rate, "rows_per_second")
	if p.field("row_estimate") {
		r.Estimate = p.integerRef()
	}
	if p.field("last_row_at") {
		r.LastRowAt = p.timeRef()
	}
	if p.field("waiting_since") {
		r.WaitingSince = p.timeRef()
	}
	p.text(&r.WaitingFor, "waiting_for")
	p.count(&r.BytesUploaded, "bytes_uploaded")
	if p.field("rows_uploaded") {
		r.RowsUploaded = p.integerRef()
	}
	p.count(&r.Inserted, "inserted_records")
	p.count(&r.Updated, "updated_records")
	p.count(&r.Truncated, "truncations")
	p.text(&r.Position, "position")
	p.flag(&r.SetAside, "set_aside")
	p.want('}')
}

func (p *scanner) schemaDiscovered(d *SchemaDiscovered) {
	p.meta(&d.Meta)
	p.number(&d.Version, "version")
	p.text(&d.Cause, "cause")
	p.text(&d.SyncID, "sync_id")
	if p.field("tables") {
		d.Tables = list(p, (*scanner).table)
	}
	if !p.field("diff") {
		return
	}
	p.want('{')
	if p.field("added") {
		d.Diff.Added = list(p, readText)
	}
	if p.field("removed") {
		d.Diff.Removed = list(p, readText)
	}
	if p.field("changed") {
		d.Diff.Changed = list(p, (*scanner).columnChange)
	}
	p.flag(&d.Diff.Breaking, "breaking")
	p.want('}')
	if p.field("left_out") {
		d.LeftOut = list(p, (*scanner).leftOut)
	}
}

func (p *scanner) leftOut(l *LeftOut) {
	p.want('{')
	p.text(&l.Name, "name")
	p.text(&l.Namespace, "namespace")
	p.text(&l.Kind, "kind")
	p.text(&l.Reason, "reason")
	p.want('}')
}

func (p *scanner) columnChange(c *ColumnChange) {
	p.want('{')
	p.text(&c.Name, "name")
	p.text(&c.What, "what")
	p.text(&c.From, "from")
	p.text(&c.To, "to")
	p.want('}')
}

func (p *scanner) table(t *Table) {
	p.want('{')
	p.text(&t.Name, "name")
	p.text(&t.Namespace, "namespace")
	p.text(&t.Kind, "kind")
	if p.field("row_estimate") {
		t.RowEstimate = p.integerRef()
	}
	if p.field("primary_key") {
		t.PrimaryKey = list(p, readText)
	}
	p.text(&t.Cursor, "cursor_column")
	if p.field("columns") {
		t.Columns = list(p, (*scanner).column)
	}
	if p.field("notes") {
		t.Notes = list(p, readText)
	}
	p.text(&t.NotSeen, "not_seen")
	if p.field("cursor_notes") {
		t.CursorNotes = list(p, readText)
	}
	p.want('}')
}

func (p *scanner) column(c *Column) {
	p.want('{')
	p.text(&c.Name, "name")
	p.text(&c.Type, "type")
	p.text(&c.SourceType, "source_type")
	p.flag(&c.Nullable, "nullable")
	p.text(&c.Comment, "comment")
	p.flag(&c.Unordered, "unordered")
	p.want('}')
}

func (p *scanner) sourceConnected(d *SourceConnected) {
	p.meta(&d.Meta)
	p.text(&d.Name, "name")
	p.text(&d.Type, "type")
	p.text(&d.Connector, "connector")
	p.number(&d.ConfigVersion, "config_version")
	if p.field("config") {
		d.Config = p.raw()
	}
	p.text(&d.SecretRef, "secret_ref")
	if p.field("metadata") {
		d.Metadata = p.raw()
	}
	p.flag(&d.Unchanged, "unchanged")
	if p.field("sync") {
		d.Sync = p.raw()
	}
	p.flag(&d.Moved, "moved")
}

func (p *scanner) operationAccepted(d *OperationAccepted) {
	p.meta(&d.Meta)
	if p.field("accepted") {
		d.Accepted = list(p, (*scanner).target)
	}
}

func (p *scanner) target(t *Target) {
	p.want('{')
	p.text(&t.SourceID, "source_id")
	p.text(&t.Name, "name")
	p.text(&t.SyncID, "sync_id")
	p.flag(&t.Attached, "attached")
	p.want('}')
}
