package ops

import (
	"context"
	"log/slog"

	"headwater/bus/event"
)

// line logs an event: one line for each outcome, with the ids needed to find it
// in the history and by its request.
func (o *Ops) line(ctx context.Context, w work, sequence uint64, name, connector string, e *event.Event) {
	level, text, attrs := saying(e)
	if !o.Log.Enabled(ctx, level) {
		return
	}
	meta := e.Data.Header()
	var all []slog.Attr
	add := func(key, value string) {
		if value != "" {
			all = append(all, slog.String(key, value))
		}
	}
	add("event", e.Name())
	add("organization", meta.Organization)
	add("workspace", meta.WorkspaceID)
	add("owner", meta.Owner)
	add("source_id", meta.SourceID)
	add("source", name)
	add("connector", connector)
	all = append(all, attrs...)
	add("operation_id", meta.Operation.ID)
	add("request_id", meta.Operation.RequestID)
	if w.request != meta.Operation.RequestID { // a cancel, for example: names the request that caused it
		add("caused_by_request_id", w.request)
	}
	add("actor", meta.Operation.Actor)
	all = append(all, slog.Uint64("sequence", sequence))
	o.Log.LogAttrs(ctx, level, text, all...)
}

// saying returns level, message and attributes for an event. An event of a later
// version has its name as the message.
func saying(e *event.Event) (slog.Level, string, []slog.Attr) {
	why := func(reason event.Reason, message string) []slog.Attr {
		return []slog.Attr{slog.String("reason", string(reason)), slog.String("message", message)}
	}
	switch d := e.Data.(type) {
	case *event.SyncStarted, *event.SyncProgressed, *event.ChangesLanded, *event.OperationAccepted:
		return startOf(d)
	case *event.ChangesLagging, *event.ChangesGivenUp:
		return lagging(d)
	case *event.SyncCompleted:
		return completed(d)
	case *event.SyncFailed:
		attrs := append([]slog.Attr{slog.String("sync_id", d.SyncID), slog.String("status", "failed"), slog.Int64("duration_ms", d.DurationMS)}, failures(d.Tables)...)
		return severity(d.Reason), "sync failed", append(attrs, why(d.Reason, d.Message)...)
	case *event.SyncCancelled:
		attrs := []slog.Attr{slog.String("sync_id", d.SyncID), slog.String("status", "cancelled"), slog.String("by", d.By)}
		return slog.LevelInfo, "sync cancelled", append(attrs, why(d.Reason, d.Message)...)
	case *event.SourceConnected:
		return slog.LevelInfo, "source connected", []slog.Attr{slog.Int("config_version", d.ConfigVersion), slog.Bool("unchanged", d.Unchanged)}
	case *event.SourceConnectFailed:
		return severity(d.Reason), "connect failed", why(d.Reason, d.Message)
	case *event.SchemaDiscovered:
		level := slog.LevelInfo
		if d.Version == 1 && d.Cause == "connect" {
			level = slog.LevelDebug // its connect is logged
		} else if d.Diff.Breaking {
			level = slog.LevelWarn
		}
		return level, "schema discovered", []slog.Attr{slog.Int("version", d.Version), slog.String("cause", d.Cause), slog.Int("tables", len(d.Tables)), slog.Bool("breaking", d.Diff.Breaking)}
	case *event.ConnectionTested:
		if d.OK {
			return slog.LevelInfo, "connection tested", []slog.Attr{slog.String("status", "ok")}
		}
		return severity(d.Reason), "connection test failed", append([]slog.Attr{slog.String("status", "failed")}, why(d.Reason, d.Message)...)
	case *event.TableVerified:
		v, level := d.Table, slog.LevelInfo
		if v.Status == event.VerifiedDifferent || v.Status == event.Unverified {
			level = slog.LevelWarn
		}
		return level, "table verified", append([]slog.Attr{slog.String("table", tableName(v.Namespace, v.Name)), slog.String("status", v.Status), slog.Int64("source_rows", v.SourceRows),
			slog.Int64("landed_rows", v.LandedRows), slog.Int64("duration_ms", v.DurationMS)}, why(v.Reason, v.Message)...)
	case *event.TableMaintained:
		v, level := d.Table, slog.LevelInfo
		if v.Status == event.MaintainedFailed {
			level = slog.LevelWarn
		}
		return level, "table maintained", append([]slog.Attr{slog.String("table", tableName(v.Namespace, v.Name)), slog.String("status", v.Status), slog.Int("files_before", v.FilesBefore),
			slog.Int("files_after", v.FilesAfter), slog.Int64("bytes_before", v.BytesBefore), slog.Int64("bytes_after", v.BytesAfter), slog.Int64("duration_ms", v.DurationMS)}, why(v.Reason, v.Message)...)
	case *event.CommandRejected:
		level := slog.LevelWarn
		switch d.Reason {
		case event.ReasonCancelled, event.ReasonAlreadySyncing:
			level = slog.LevelInfo
		case event.ReasonInternal, event.ReasonStorage:
			level = slog.LevelError
		}
		return level, "command rejected", append([]slog.Attr{slog.String("command", d.Command), slog.String("sync_id", d.SyncID)}, why(d.Reason, d.Message)...)
	case *event.ScheduleChanged, *event.ScheduleFired, *event.ScheduleSkipped, *event.ScheduleMissed:
		return scheduled(d)
	case *event.SourceRemoved:
		return slog.LevelInfo, "source removed", nil
	case *event.SourceRestored:
		return slog.LevelInfo, "source restored", nil
	case *event.SourcePurged:
		return slog.LevelInfo, "source purged", nil
	case *event.SourceDestroyed:
		return destroyed(d)
	}
	return request(e)
}

// request returns how an action of a caller is logged. A refusal is logged with
// its request.
func request(e *event.Event) (slog.Level, string, []slog.Attr) {
	switch d := e.Data.(type) {
	case *event.WebhookCreated:
		return slog.LevelInfo, "webhook created", []slog.Attr{slog.String("receiver", d.Receiver)}
	case *event.WebhookRotated:
		return slog.LevelInfo, "webhook rotated", []slog.Attr{slog.String("receiver", d.Receiver)}
	case *event.WebhookDeleted:
		return slog.LevelInfo, "webhook deleted", []slog.Attr{slog.String("receiver", d.Receiver)}
	case *event.TokenCreated:
		return slog.LevelInfo, "token created", []slog.Attr{slog.String("name", d.Name), slog.String("role", d.Role), slog.Time("expires_at", d.ExpiresAt)}
	case *event.TokenRevoked:
		return slog.LevelInfo, "token revoked", []slog.Attr{slog.String("name", d.Name)}
	case *event.TokenUsed:
		return slog.LevelDebug, "token used", []slog.Attr{slog.String("name", d.Name)}
	case *event.RequestRefused:
		return slog.LevelDebug, "request refused", []slog.Attr{slog.String("route", d.Route), slog.Int("status", d.Status), slog.String("code", d.Code)}
	}
	return slog.LevelInfo, "event", nil
}

func startOf(d event.Data) (slog.Level, string, []slog.Attr) {
	switch d := d.(type) {
	case *event.SyncStarted:
		attrs := []slog.Attr{slog.String("sync_id", d.SyncID), slog.Int("attempt", d.Attempt), slog.String("mode", d.Mode), slog.Int("tables", len(d.Tables))}
		if d.Attempt > 1 {
			return slog.LevelWarn, "sync taken up again", attrs
		}
		return slog.LevelDebug, "sync started", attrs
	case *event.SyncProgressed:
		return slog.LevelDebug, "sync progressed", []slog.Attr{slog.String("sync_id", d.SyncID), slog.String("table", tableName(d.Table.Namespace, d.Table.Name)), slog.Int64("rows", d.Records), slog.Int64("bytes", d.Bytes)}
	}
	if d, ok := d.(*event.ChangesLanded); ok {
		return slog.LevelDebug, "changes landed", []slog.Attr{slog.String("sync_id", d.SyncID), slog.String("position", d.Changes.Position), slog.Int64("rows", d.Records), slog.Int64("bytes", d.Bytes)}
	}
	return slog.LevelDebug, "operation accepted", nil
}

// lagging tells what becomes of a source's log: its disk is what fills.
func lagging(d event.Data) (slog.Level, string, []slog.Attr) {
	switch d := d.(type) {
	case *event.ChangesLagging:
		level, text := slog.LevelWarn, "changes lag"
		if d.Over {
			level, text = slog.LevelInfo, "changes lag no more"
		}
		return level, text, []slog.Attr{slog.String("sync_id", d.SyncID), slog.String("position", d.Changes.Position), slog.String("message", d.Message)}
	case *event.ChangesGivenUp:
		level := severity(d.Reason)
		if d.Released && d.Reason == event.ReasonSourceRemoved {
			level = slog.LevelInfo
		}
		return level, "log of changes given up", []slog.Attr{slog.String("reader", d.Reader), slog.Bool("released", d.Released), slog.String("reason", string(d.Reason)), slog.String("message", d.Message)}
	}
	return slog.LevelInfo, "event", nil
}

func completed(d *event.SyncCompleted) (slog.Level, string, []slog.Attr) {
	attrs := []slog.Attr{
		slog.String("sync_id", d.SyncID), slog.String("status", d.Status), slog.String("mode", d.Mode), slog.Int64("rows", d.Records),
		slog.Int64("bytes", d.Bytes), slog.Int64("duration_ms", d.DurationMS), slog.Int("tables", len(d.Tables)),
	}
	attrs = append(attrs, failures(d.Tables)...)
	if d.Status == "partial" {
		for _, t := range d.Tables {
			if t.Status == "failed" {
				attrs = append(attrs, slog.String("reason", string(t.Reason)), slog.String("message", tableName(t.Namespace, t.Name)+": "+t.Message))
				break
			}
		}
		return slog.LevelWarn, "sync landed in part", attrs
	}
	return slog.LevelInfo, "sync completed", attrs
}

// destroyed returns how the destruction of a purged source's files is logged: as
// a warning if files are left.
func destroyed(d *event.SourceDestroyed) (slog.Level, string, []slog.Attr) {
	attrs := []slog.Attr{slog.String("status", d.Status), slog.Int("files_removed", d.Files)}
	if d.Status == event.Destroyed {
		return slog.LevelInfo, "source destroyed", attrs
	}
	attrs = append(attrs, slog.Int("files_remaining", d.Remaining), slog.String("reason", string(d.Reason)), slog.String("message", d.Message))
	return slog.LevelWarn, "source destroyed in part", attrs
}

// failures counts the tables that did not land.
func failures(tables []event.TableResult) []slog.Attr {
	failed := 0
	for _, t := range tables {
		if t.Status == "failed" {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return []slog.Attr{slog.Int("tables_failed", failed)}
}

// severity returns the level of a failure: an error is for the operator to fix,
// a warning for the owner of the source.
func severity(reason event.Reason) slog.Level {
	switch reason {
	case event.ReasonInternal, event.ReasonStorage, event.ReasonSecretDestroyed:
		return slog.LevelError
	}
	return slog.LevelWarn
}

func tableName(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "." + name
}
