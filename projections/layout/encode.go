package layout

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"headwater/bus/event"
)

// Values that every sync writes are encoded by hand. The bytes are those of
// encoding/json, in a third of the time.

func (o *Object) textOrNone(name, v string) {
	if v != "" {
		o.Text(name, v)
	}
}

func (o *Object) numberOrNone(name string, v int64) {
	if v != 0 {
		o.Number(name, v)
	}
}

func (o *Object) truthOrNone(name string, v bool) {
	if v {
		o.truth(name, v)
	}
}

func (o *Object) numberRefOrNone(name string, v *int64) {
	if v != nil {
		o.Number(name, *v)
	}
}

func (o *Object) sequence(name string, v uint64) { o.field(name); o.b = strconv.AppendUint(o.b, v, 10) }

// moment writes a time in its own zone. It fails for a time that JSON cannot
// represent.
func (o *Object) moment(name string, v time.Time) error {
	o.field(name)
	text, err := v.AppendText(append(o.b, '"'))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	o.b = append(text, '"')
	return nil
}

func (o *Object) momentOrNone(name string, v *time.Time) error {
	if v == nil {
		return nil
	}
	return o.moment(name, *v)
}

// open begins an object as the value of a field; close ends it.
func (o *Object) open(name string) { o.field(name); o.b = append(o.b, '{') }

func (o *Object) close() { o.b = append(o.b, '}') }

func (o *Object) address(name string, a event.Address) {
	o.open(name)
	o.Text("Organization", a.Organization)
	o.Text("Workspace", a.Workspace)
	o.Text("Owner", a.Owner)
	o.Text("Source", a.Source)
	o.close()
}

func (o *Object) operation(name string, op event.Operation) {
	o.open(name)
	o.Text("id", op.ID)
	o.Text("kind", op.Kind)
	o.Number("targets", int64(op.Targets))
	o.Number("target", int64(op.Target))
	o.truthOrNone("final", op.Final)
	o.textOrNone("actor", op.Actor)
	o.textOrNone("request_id", op.RequestID)
	o.textOrNone("trigger", op.Trigger)
	o.close()
}

// any writes a value with encoding/json.
func (o *Object) any(name string, v any) error {
	raw, err := json.Marshal(v)
	o.Raw(name, raw)
	return err
}

// rawOrNone writes JSON that has no white space. It escapes what encoding/json
// would escape in a string.
func (o *Object) rawOrNone(name string, raw json.RawMessage) error {
	switch {
	case len(raw) == 0:
		return nil
	case bytes.ContainsAny(raw, "<>& \t\r\n\u2028\u2029") || !utf8.Valid(raw) || !json.Valid(raw):
		return o.any(name, raw)
	}
	o.Raw(name, raw)
	return nil
}

// outcome writes the fields of a last sync that the state of a source and its
// document share.
func (o *Object) outcome(l *LastSync) {
	o.Text("sync_id", l.SyncID)
	o.Text("status", l.Status)
	o.Text("mode", l.Mode)
	o.Number("records_processed", l.Records)
	o.Number("bytes", l.Bytes)
	o.Number("duration_ms", l.DurationMS)
}

func appendSource(b []byte, s *Source) ([]byte, error) {
	o := objectIn(b)
	o.address("address", s.Address)
	o.Text("name", s.Name)
	o.Text("type", s.Type)
	o.Text("connector", s.Connector)
	err := o.rawOrNone("config", s.Config)
	o.textOrNone("secret_ref", s.SecretRef)
	err = errors.Join(err, o.rawOrNone("metadata", s.Metadata), o.rawOrNone("sync_options", s.Sync))
	o.Number("config_version", int64(s.ConfigVersion))
	o.Number("schema_version", int64(s.SchemaVersion))
	o.Number("tables", int64(s.Tables))
	o.Number("left_out", int64(s.LeftOut))
	o.Number("records", s.Records)
	o.textOrNone("location", s.Location)
	o.Text("status", s.Status)
	err = errors.Join(err, o.moment("created_at", s.CreatedAt), o.moment("updated_at", s.UpdatedAt))
	o.sequence("created_sequence", s.CreatedSequence)
	o.sequence("last_sequence", s.LastSequence)
	if r := s.Running; r != nil {
		o.open("running")
		o.Text("sync_id", r.SyncID)
		o.Number("attempt", int64(r.Attempt))
		o.sequence("fence", r.Fence)
		o.operation("operation", r.Operation)
		o.close()
	}
	if l := s.LastSync; l != nil {
		o.open("last_sync")
		o.outcome(l)
		err = errors.Join(err, o.moment("started_at", l.StartedAt))
		if l.FinishedAt == nil {
			o.Raw("finished_at", nil)
		} else {
			err = errors.Join(err, o.moment("finished_at", *l.FinishedAt))
		}
		if l.Error != nil {
			o.failure("error", l.Error)
		}
		err = errors.Join(err, o.momentOrNone("fresh_until", l.FreshUntil))
		o.close()
	}
	o.truthOrNone("removed", s.Removed)
	if s.Removal != nil {
		err = errors.Join(err, o.any("removal", s.Removal))
	}
	if s.Schedule != nil {
		err = errors.Join(err, o.any("schedule", s.Schedule))
	}
	o.numberOrNone("schedule_version", int64(s.ScheduleVersion))
	if len(s.Dependents) > 0 {
		err = errors.Join(err, o.any("dependents", s.Dependents))
	}
	if s.Changes != nil {
		err = errors.Join(err, o.any("changes", s.Changes))
	}
	if s.Moved != 0 {
		o.sequence("moved", s.Moved)
	}
	if len(s.Left) > 0 {
		err = errors.Join(err, o.any("left", s.Left))
	}
	if s.Taken != nil {
		err = errors.Join(err, o.any("taken", s.Taken))
	}
	return o.End(), err
}

func appendSync(b []byte, y *SyncEntry) ([]byte, error) {
	o := objectIn(b)
	o.Text("sync_id", y.ID)
	o.address("address", y.Address)
	o.Text("source_name", y.SourceName)
	o.operation("operation", y.Operation)
	o.Text("status", y.Status)
	o.Text("mode", y.Mode)
	o.Number("attempt", int64(y.Attempt))
	o.numberOrNone("tables_total", int64(y.TablesTotal))
	o.numberOrNone("rows_expected", y.Expected)
	o.sequence("fence", y.Fence)
	o.sequence("began", y.Began)
	o.Number("records_processed", y.Records)
	o.Number("bytes", y.Bytes)
	o.Number("duration_ms", y.DurationMS)
	if err := o.moment("started_at", y.StartedAt); err != nil {
		return nil, err
	}
	if err := o.moment("updated_at", y.UpdatedAt); err != nil {
		return nil, err
	}
	if err := o.momentOrNone("finished_at", y.FinishedAt); err != nil {
		return nil, err
	}
	if y.Error != nil {
		o.failure("error", y.Error)
	}
	if y.Changes != nil {
		if err := o.any("changes", y.Changes); err != nil {
			return nil, err
		}
	}
	if len(y.Followers) > 0 {
		followers, err := json.Marshal(y.Followers)
		if err != nil {
			return nil, err
		}
		o.Raw("followers", followers)
	}
	return o.End(), nil
}

func appendOperation(b []byte, v *Operation) ([]byte, error) {
	o := objectIn(b)
	o.Text("operation_id", v.ID)
	o.Text("organization", v.Organization)
	o.Text("workspace", v.Workspace)
	o.textOrNone("owner", v.Owner)
	o.textOrNone("actor", v.Actor)
	o.textOrNone("trigger", v.Trigger)
	o.Text("kind", v.Kind)
	o.Text("status", v.Status)
	o.Number("targets_total", int64(v.Total))
	o.numberOrNone("completed", int64(v.Completed))
	o.numberOrNone("failed", int64(v.Failed))
	o.numberOrNone("cancelled", int64(v.Cancelled))
	if err := o.moment("created_at", v.CreatedAt); err != nil {
		return nil, err
	}
	if err := o.moment("updated_at", v.UpdatedAt); err != nil {
		return nil, err
	}
	if err := o.momentOrNone("finished_at", v.FinishedAt); err != nil {
		return nil, err
	}
	o.sequence("sequence", v.Sequence)
	return o.End(), nil
}

// EncodeLanded appends the value of a KeyLanded. It fails for a time that JSON
// cannot represent.
func EncodeLanded(b []byte, l *Landed) ([]byte, error) {
	o := objectIn(b)
	o.Number("records", l.Records)
	o.Text("sync_id", l.SyncID)
	o.Text("mode", l.Mode)
	o.textOrNone("location", l.Location)
	o.numberOrNone("snapshot_id", l.SnapshotID)
	o.textOrNone("cursor", l.Cursor)
	o.textOrNone("cursor_name", l.CursorName)
	if err := o.moment("at", l.At); err != nil {
		return nil, err
	}
	if err := o.momentOrNone("fresh_until", l.FreshUntil); err != nil {
		return nil, err
	}
	o.truthOrNone("set_aside", l.SetAside)
	if len(l.Checkpoints) > 0 {
		o.field("checkpoints")
		before := byte('[')
		for _, sequence := range l.Checkpoints {
			o.b = strconv.AppendUint(append(o.b, before), sequence, 10)
			before = ','
		}
		o.b = append(o.b, ']')
	}
	return o.End(), nil
}

// AppendTable writes a table as clients see it: its result, with the snapshot id
// as text only. It fails for a time that JSON cannot represent.
func AppendTable(b []byte, r *event.TableResult) ([]byte, error) {
	o := objectIn(b)
	o.Text("name", r.Name)
	o.textOrNone("namespace", r.Namespace)
	o.Text("status", r.Status)
	o.Text("mode", r.Mode)
	o.Number("records_processed", r.Records)
	o.numberRefOrNone("total_records", r.Total)
	o.Number("bytes", r.Bytes)
	o.Number("files", int64(r.Files))
	o.textOrNone("cursor", r.Cursor)
	o.textOrNone("cursor_name", r.CursorName)
	o.textOrNone("snapshot_id", r.SnapshotID.Text())
	o.textOrNone("location", r.Location)
	o.textOrNone("reason", string(r.Reason))
	o.textOrNone("message", r.Message)
	o.Number("duration_ms", r.DurationMS)
	if len(r.Notes) > 0 {
		if err := o.any("notes", r.Notes); err != nil {
			return nil, err
		}
	}
	o.numberOrNone("deleted_records", r.Deleted)
	if err := o.momentOrNone("as_of", r.AsOf); err != nil {
		return nil, err
	}
	if err := o.momentOrNone("fresh_until", r.FreshUntil); err != nil {
		return nil, err
	}
	o.numberOrNone("rows_read", r.RowsRead)
	o.numberOrNone("bytes_read", r.BytesRead)
	o.numberOrNone("rows_per_second", r.Rate)
	o.numberRefOrNone("row_estimate", r.Estimate)
	if err := o.momentOrNone("last_row_at", r.LastRowAt); err != nil {
		return nil, err
	}
	if err := o.momentOrNone("waiting_since", r.WaitingSince); err != nil {
		return nil, err
	}
	o.textOrNone("waiting_for", r.WaitingFor)
	o.numberOrNone("bytes_uploaded", r.BytesUploaded)
	o.numberRefOrNone("rows_uploaded", r.RowsUploaded)
	o.numberOrNone("inserted_records", r.Inserted)
	o.numberOrNone("updated_records", r.Updated)
	o.numberOrNone("truncations", r.Truncated)
	o.textOrNone("position", r.Position)
	o.truthOrNone("set_aside", r.SetAside)
	return o.End(), nil
}

func (o *Object) result(name string, r *Result) error {
	o.open(name)
	o.textOrNone("status", r.Status)
	o.numberRefOrNone("records_processed", r.Records)
	o.numberRefOrNone("bytes", r.Bytes)
	o.numberRefOrNone("duration_ms", r.DurationMS)
	o.numberOrNone("config_version", int64(r.ConfigVersion))
	o.truthOrNone("unchanged", r.Unchanged)
	o.numberOrNone("schema_version", int64(r.SchemaVersion))
	o.numberOrNone("tables", int64(r.Tables))
	if r.OK != nil {
		o.truth("ok", *r.OK)
	}
	o.textOrNone("connector", r.Connector)
	if len(r.Steps) > 0 {
		steps, err := json.Marshal(r.Steps)
		if err != nil {
			return err
		}
		o.Raw("steps", steps)
	}
	o.truthOrNone("purged", r.Purged)
	if len(r.Verified) > 0 {
		if err := o.any("verified", r.Verified); err != nil {
			return err
		}
	}
	if len(r.Maintained) > 0 {
		if err := o.any("maintained", r.Maintained); err != nil {
			return err
		}
	}
	if r.Destruction != nil {
		if err := o.any("destruction", r.Destruction); err != nil {
			return err
		}
	}
	err := o.momentOrNone("destroyed_after", r.DestroyedAfter)
	if len(r.Notes) > 0 {
		err = errors.Join(err, o.any("notes", r.Notes))
	}
	o.close()
	return err
}

// AppendSyncTable appends the value that a sync stores for one table: its
// document, framed after its status. It fails as AppendTable does.
func AppendSyncTable(b []byte, r *event.TableResult) ([]byte, error) {
	return AppendTable(append(binary.AppendUvarint(b, uint64(len(r.Status))), r.Status...), r)
}
