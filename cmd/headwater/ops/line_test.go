package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"headwater/bus/event"
)

// kept is a log of events in memory.
type kept struct{ last uint64 }

func (k *kept) Append(_ context.Context, after uint64, _ *event.Event) (uint64, error) {
	k.last = after + 1
	return k.last, nil
}

func (k *kept) LastSequence(context.Context, event.Address) (uint64, error) { return k.last, nil }

func operation(kind string) event.Meta {
	m := event.At(event.Address{Organization: "acme", Workspace: "sales", Owner: "ada", Source: "src_1"},
		event.Operation{ID: "op_1", Kind: kind, Targets: 1, Final: true, Actor: "ada", RequestID: "req-1"})
	m.SourceName = "crm"
	return m
}

// listen returns an Ops and what it logs from a level on.
func listen(level slog.Level, format string) (*Ops, *bytes.Buffer) {
	var out bytes.Buffer
	return New(Config{Log: NewLog(&out, level, format), Version: "v1", Go: "go1", Connectors: []string{"file", "postgresql"}}), &out
}

// told appends events and returns the lines that tell of them.
func told(t *testing.T, level slog.Level, all ...event.Data) (lines []map[string]any) {
	t.Helper()
	o, out := listen(level, JSON)
	log := Events{Log: new(kept), Ops: o}
	for i, d := range all {
		if _, err := log.Append(t.Context(), uint64(i), &event.Event{ID: "id", Time: time.Now(), Data: d}); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n")) {
		fields := map[string]any{}
		if err := json.Unmarshal(line, &fields); len(line) > 0 && err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if len(line) > 0 {
			lines = append(lines, fields)
		}
	}
	return lines
}

// TestEveryOutcomeIsOneLine holds what an operator reads of each outcome at INFO:
// exactly one line with where it is, who asked, and why it failed.
func TestEveryOutcomeIsOneLine(t *testing.T) {
	for _, c := range []struct {
		data                event.Data
		level, text, reason string
	}{
		{&event.SyncCompleted{Meta: operation(event.KindSync), SyncID: "syn_1", Status: "completed"}, "INFO", "sync completed", ""},
		{&event.SyncCompleted{Meta: operation(event.KindSync), SyncID: "syn_1", Status: "partial", Tables: []event.TableResult{{Name: "a", Status: "completed"},
			{Name: "b", Status: "failed", Reason: event.ReasonBadData, Message: "row 3"}}}, "WARN", "sync landed in part", "bad_data"},
		{&event.SyncFailed{Meta: operation(event.KindSync), SyncID: "syn_1", Reason: event.ReasonUnreachable, Message: "no route"}, "WARN", "sync failed", "unreachable"},
		{&event.SyncFailed{Meta: operation(event.KindSync), SyncID: "syn_1", Reason: event.ReasonStorage, Message: "the lake refused"}, "ERROR", "sync failed", "storage"},
		{&event.SyncCancelled{Meta: operation(event.KindSync), SyncID: "syn_1", By: "eve", Reason: event.ReasonCancelled}, "INFO", "sync cancelled", "cancelled"},
		{&event.SourceConnected{Meta: operation(event.KindConnect), Name: "crm", Connector: "postgresql"}, "INFO", "source connected", ""},
		{&event.SourceConnectFailed{Meta: operation(event.KindConnect), Name: "crm", Connector: "postgresql", Reason: event.ReasonAuthentication}, "WARN", "connect failed", "authentication"},
		{&event.ConnectionTested{Meta: operation(event.KindTest), Connector: "file", OK: true}, "INFO", "connection tested", ""},
		{&event.ConnectionTested{Meta: operation(event.KindTest), Connector: "file", Reason: event.ReasonNotFound}, "WARN", "connection test failed", "not_found"},
		{&event.CommandRejected{Meta: operation(event.KindSync), Command: "SyncSource", Reason: event.ReasonInternal}, "ERROR", "command rejected", "internal"},
		{&event.SourceRemoved{Meta: operation(event.KindCleanup)}, "INFO", "source removed", ""},
		{&event.SourceRestored{Meta: operation(event.KindRestore)}, "INFO", "source restored", ""},
		{&event.WebhookCreated{Meta: operation(event.KindRequest), Receiver: "https://a"}, "INFO", "webhook created", ""},
		{&event.WebhookRotated{Meta: operation(event.KindRequest), Receiver: "https://a"}, "INFO", "webhook rotated", ""},
		{&event.WebhookDeleted{Meta: operation(event.KindRequest), Receiver: "https://a"}, "INFO", "webhook deleted", ""},
		{&event.SourcePurged{Meta: operation(event.KindPurge)}, "INFO", "source purged", ""},
		{&event.SourceDestroyed{Meta: operation(event.KindPurge), Destruction: event.Destruction{Status: event.Destroyed, Files: 3}}, "INFO", "source destroyed", ""},
		{&event.SourceDestroyed{Meta: operation(event.KindPurge), Destruction: event.Destruction{Status: event.FilesRemaining, Remaining: 1, Reason: event.ReasonStorage, Message: "403"}},
			"WARN", "source destroyed in part", "storage"},
	} {
		lines := told(t, slog.LevelInfo, c.data)
		if len(lines) != 1 {
			t.Errorf("%s is told by %d lines: %v", c.data.EventName(), len(lines), lines)
			continue
		}
		want := map[string]any{"level": c.level, "msg": c.text, "event": c.data.EventName(), "organization": "acme", "workspace": "sales", "owner": "ada",
			"source_id": "src_1", "source": "crm", "operation_id": "op_1", "request_id": "req-1", "actor": "ada", "sequence": 1.0}
		if c.reason != "" {
			want["reason"] = c.reason
		}
		for key, value := range want {
			if lines[0][key] != value {
				t.Errorf("%s: %s is %v, wanted %v", c.data.EventName(), key, lines[0][key], value)
			}
		}
	}
	// What is no outcome is for those who ask for details.
	steps := []event.Data{&event.SyncStarted{Meta: operation(event.KindSync), SyncID: "syn_1", Attempt: 1}, &event.SyncProgressed{Meta: operation(event.KindSync), SyncID: "syn_1"},
		&event.OperationAccepted{Meta: operation(event.KindSync)}, &event.SchemaDiscovered{Meta: operation(event.KindConnect), Version: 1, Cause: "connect"}}
	if lines := told(t, slog.LevelInfo, steps...); len(lines) != 0 {
		t.Errorf("steps are told at INFO: %v", lines)
	}
	if lines := told(t, slog.LevelDebug, steps...); len(lines) != len(steps) {
		t.Errorf("%d steps are told at DEBUG: %v", len(lines), lines)
	}
}

// TestEveryEventIsTold holds that no event of this build is told as one of a later
// build is, by its name alone.
func TestEveryEventIsTold(t *testing.T) {
	_, unknown, _ := saying(&event.Event{})
	for _, d := range event.All() {
		if _, text, _ := saying(&event.Event{Data: d}); text == unknown {
			t.Errorf("saying has no words for %s", d.EventName())
		}
	}
}

// TestRepeatsAreNotTold holds that an event which was there before, as after a
// crash, is neither a line nor counted.
func TestRepeatsAreNotTold(t *testing.T) {
	o, out := listen(slog.LevelDebug, JSON)
	log := Events{Log: repeating{}, Ops: o}
	if _, err := log.Append(t.Context(), 9, &event.Event{Data: &event.SourceRemoved{Meta: operation(event.KindCleanup)}}); err != nil || out.Len() != 0 {
		t.Errorf("a repeat is told: %v %s", err, out)
	}
}

type repeating struct{}

func (repeating) Append(context.Context, uint64, *event.Event) (uint64, error) { return 4, nil }
func (repeating) LastSequence(context.Context, event.Address) (uint64, error)  { return 4, nil }
