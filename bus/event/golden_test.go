package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	ce "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func exampleMeta() Meta {
	m := At(Address{"acme", "sales-eu", "ada", "src_4hq5w2mzx7k3b6r8t9v1c0d2ef"}, Operation{
		ID: "op_k5w2mzx7k3b6r8t9v1c0d2ef4h", Kind: KindSync, Targets: 2, Target: 1, Final: true, Actor: "ada", RequestID: "4hq5w2mzx7k3b6r8", Trigger: TriggerSchedule})
	m.SourceName = "customer_db"
	return m
}

func exampleTable() TableResult {
	total, estimate, uploaded := int64(96_000), int64(100_000), int64(740)
	row, waiting := time.Date(2026, 11, 23, 9, 59, 58, 0, time.UTC), time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	return TableResult{Name: "orders", Namespace: "public", Status: "completed", Mode: "incremental", Records: 1200, Total: &total, Bytes: 48213, Files: 2,
		Cursor: "2026-11-23T10:00:00Z", CursorName: "updated_at", SnapshotID: 5937117119577207001, Snapshot: "5937117119577207001",
		Location: "file:///lake/acme/orders", Reason: ReasonLimit, Message: "row 17 is too wide", DurationMS: 830, Notes: []string{"row (id) = (7) has a time beyond now"}, Deleted: 7, AsOf: &row, FreshUntil: &row,
		RowsRead: 1500, BytesRead: 61002, Rate: 1445, Estimate: &estimate, LastRowAt: &row, WaitingSince: &waiting,
		WaitingFor: WaitingUpload, BytesUploaded: 30_000, RowsUploaded: &uploaded, Inserted: 900, Updated: 300, Truncated: 1, Position: "0/1A2B3C8", SetAside: true}
}

func exampleChanges() Changes {
	at, behind, seconds, retained, left := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), int64(4096), int64(2), int64(16<<20), int64(1<<30)
	return Changes{Position: "0/1A2B3C8", CommittedAt: &at, FreshUntil: &at, At: &at, BehindBytes: &behind, BehindSeconds: &seconds, RetainedBytes: &retained, LeftBytes: &left,
		SlotState: "reserved", Message: "the slot's log is kept by wal_keep_size"}
}

// examples holds one realistic payload of every event, with no field left zero,
// so that the golden files show each one's name.
func examples() map[string]Data {
	rows, destroyed := int64(1200), time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	m, table, changes := exampleMeta(), exampleTable(), exampleChanges()
	all := []Data{
		&OperationAccepted{Meta: m, Accepted: []Target{{SourceID: "src_4hq5w2mzx7k3b6r8t9v1c0d2ef", Name: "warehouse", SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", Attached: true}}},
		&CommandRejected{Meta: m, Command: "SyncSource", Reason: ReasonAlreadySyncing, Message: "another sync runs", SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", By: "eve"},
		&ConnectionTested{Meta: m, Connector: "postgresql", OK: true, Reason: ReasonUnreachable, Message: "no route to host",
			Steps: []TestStep{{Name: "connect", Status: "failed", DurationMS: 12, Message: "no route to host"}}},
		&SourceConnected{Meta: m, Name: "warehouse", Type: "database", Connector: "postgresql", ConfigVersion: 2,
			Config: json.RawMessage(`{"host":"db.acme.test","port":5432}`), SecretRef: "sec_7k3b6r8t9v1c0d2ef4hq5w2mzx",
			Metadata: json.RawMessage(`{"team":"sales"}`), Unchanged: true, Sync: json.RawMessage(`{"mode":"incremental"}`), Moved: true},
		&SourceConnectFailed{Meta: m, Name: "warehouse", Type: "database", Connector: "postgresql", Reason: ReasonAuthentication, Message: "the password is wrong"},
		&SchemaDiscovered{Meta: m, Version: 3, Cause: "sync", SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2",
			Tables: []Table{{Name: "orders", Namespace: "public", Kind: "table", RowEstimate: &rows, PrimaryKey: []string{"id"}, Cursor: "updated_at",
				Columns: []Column{{Name: "id", Type: "int64", SourceType: "bigint", Nullable: true, Comment: "never reused", Unordered: true}}, Notes: []string{"dates show no rows that come later the same day"},
				NotSeen: "It goes by id: rows that changed are not seen.", CursorNotes: []string{"The cursor id finds new rows only."}}},
			Diff: SchemaDiff{Added: []string{"public.orders.note"}, Removed: []string{"public.carts"},
				Changed: []ColumnChange{{Name: "public.orders.id", What: "type", From: "int32", To: "int64"}}, Breaking: true},
			LeftOut: []LeftOut{{Name: "audit", Namespace: "public", Kind: "view", Reason: "permission denied for view audit"}}},
		&SyncStarted{Meta: m, SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", Attempt: 2, Mode: "incremental", Tables: []string{"public.orders"}, Estimates: []int64{100_000}},
		&SyncProgressed{Meta: m, SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", Table: table, Records: 1200, Bytes: 48213},
		&SyncCompleted{Meta: m, SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", Status: "partial", Mode: "incremental", Records: 1200, Bytes: 48213, DurationMS: 2100, Tables: []TableResult{table}, Always: json.RawMessage(`{"merge":true}`), Changes: &changes},
		&SyncFailed{Meta: m, SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", Reason: ReasonTimeout, Message: "no row within 30 s", DurationMS: 30000, Tables: []TableResult{table}, Changes: &changes},
		&SyncCancelled{Meta: m, SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", Reason: ReasonCancelled, By: "ada", Message: "cancelled by ada"},
		&ChangesLanded{Meta: m, SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", Changes: changes, Records: 1200, Bytes: 48213},
		&ChangesLagging{Meta: m, SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", Over: true, WarnBytes: 1 << 30, Changes: changes, Message: "it keeps 16 MiB of log, less than lag_warn_bytes"},
		&ChangesGivenUp{Meta: m, SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", Reader: "headwater_src_4hq5w2mzx7k3b6r8t9v1c0d2ef", Position: "0/1A2B3C8", Released: true, Reason: ReasonLimit, Message: "it kept more than lag_limit_bytes", Left: 4711},
		&TableVerified{Meta: m, Table: Verification{Name: "orders", Namespace: "public", Status: "different", Reason: ReasonBadData, Message: "2 rows differ",
			VerifiedThrough: &destroyed, SnapshotID: 5937117119577207001, Snapshot: "5937117119577207001", SourceRows: 1200, LandedRows: 1199, Behind: 3, Missing: 1, Changed: 1, Surplus: 1, AtLeast: true,
			Rows: []VerifiedRow{{What: "missing", Key: "id=7"}}, NotRead: []string{"note"}, DurationMS: 830}},
		&ScheduleChanged{Meta: m, Version: 3, Schedule: &Schedule{Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Every: "15m", After: "src_7k3b6r8t9v1c0d2ef4hq5w2mzx", Continuous: true, Jitter: "10m",
			Missed: "once", Overlap: "skip", Paused: true, Options: json.RawMessage(`{"mode":"incremental"}`)},
			Sentence: "every day at 02:30 in Europe/Berlin", Anchor: &destroyed, DelayMS: 17_000, NextRun: &destroyed, Unchanged: true},
		&ScheduleFired{Meta: m, Version: 3, Due: destroyed, At: destroyed, LateMS: 12, Outcome: RunStarted, SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", AfterSync: "syn_7k3b6r8t9v1c0d2ef4hq5w2mzx", NextRun: &destroyed},
		&ScheduleSkipped{Meta: m, Version: 3, Due: destroyed, At: destroyed, LateMS: 12, SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", Message: "the source was syncing", NextRun: &destroyed},
		&ScheduleMissed{Meta: m, Version: 3, From: destroyed, Through: destroyed, At: destroyed, Count: 12, AtLeast: true, Reason: ReasonTimeout, Message: "no worker was there", NextRun: &destroyed},
		&TableMaintained{Meta: m, Table: Maintenance{Name: "orders", Namespace: "public", Status: Maintained, Why: "9 of 10 files are small", Left: "the rest is done by the next one",
			Reason: ReasonStorage, Message: "no space left on device", SnapshotID: 5937117119577207001, Snapshot: "5937117119577207001", Rows: 1200, FilesBefore: 10, FilesAfter: 2,
			DeleteFilesBefore: 8, DeleteFilesAfter: 1, BytesBefore: 48213, BytesAfter: 30111, DeletesFolded: 230, SnapshotsExpired: 2, OrphansRemoved: 31, DurationMS: 120}},
		&SourceRemoved{Meta: m, Name: "warehouse", Purged: true, DestroyedAfter: &destroyed, Notes: []string{"the next sync reads its tables whole"}},
		&SourceRestored{Meta: m, Name: "warehouse", Type: "database", Connector: "postgresql", ConfigVersion: 2, SchemaVersion: 3, Removed: 4711, Unchanged: true, Notes: []string{"the next sync reads its tables whole"}},
		&SourcePurged{Meta: m, Name: "warehouse", Removed: 4711},
		&SourceDestroyed{Meta: m, Name: "warehouse", Removed: 4711, Destruction: Destruction{Status: FilesRemaining, Files: 12, Remaining: 2, Kept: 1,
			Reason: ReasonStorage, Message: "2 files are still in the lake: DeleteObject lake/x.parquet: 403 AccessDenied"}},
		&WebhookCreated{Meta: m, Receiver: "https://hooks.acme.test", Types: []string{"SyncFailed"}, OfSource: "src_4hq5w2mzx7k3b6r8t9v1c0d2ef", After: 41},
		&WebhookRotated{Meta: m, Receiver: "https://hooks.acme.test", PreviousUntil: destroyed},
		&WebhookDeleted{Meta: m, Receiver: "https://hooks.acme.test"},
		&TokenCreated{Meta: m, Name: "metabase", Role: "viewer", Workspaces: []string{"sales-eu"}, ExpiresAt: destroyed, Hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
		&TokenRevoked{Meta: m, Name: "metabase"},
		&TokenUsed{Meta: m, Name: "metabase"},
		&RequestRefused{Meta: m, Method: "POST", Route: "/api/v1/data/{workspace_id}/sync", Status: 404, Code: "not_found", Message: "There is no such source",
			Options: json.RawMessage(`{"source_ids":["src_nobody"]}`), Unrecorded: 3},
	}
	byName := map[string]Data{}
	for _, d := range all {
		byName[d.EventName()] = d
	}
	return byName
}

func example(d Data) *Event {
	return &Event{ID: "019ab2f0-7c55-7d3e-9a41-0c2f6d1b8e77", Time: time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.UTC),
		Causation: "019ab2f0-7c00-7aaa-8f10-5b1d2c3e4f50", TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Data: d}
}

// The wire format is a promise to services that are not built with us: a
// difference here breaks them, unless it only adds.
func TestGolden(t *testing.T) {
	examples := examples()
	for _, d := range All() {
		name := d.EventName()
		t.Run(name, func(t *testing.T) {
			d := examples[name]
			if d == nil {
				t.Fatalf("no example of %s", name)
			}
			for _, field := range zeroFields("", reflect.ValueOf(d).Elem()) {
				t.Errorf("the example leaves %s zero", field)
			}
			e := example(d)
			headers, body, err := e.Encode()
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, name, e.Subject(), headers, body)
			validate(t, headers, body)

			back, err := Parse(func(h string) string { return headers[h] }, body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(e, back); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func compareGolden(t *testing.T, name, subject string, headers map[string]string, body []byte) {
	t.Helper()
	var got bytes.Buffer
	fmt.Fprintln(&got, subject)
	for _, key := range slices.Sorted(maps.Keys(headers)) {
		fmt.Fprintf(&got, "%s: %s\n", key, headers[key])
	}
	got.WriteByte('\n')
	if err := json.Indent(&got, body, "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the wire format of %s changed:\n%s", name, diff)
	}
}

// validate reads the message as the CloudEvents SDK would and asks whether it
// is a CloudEvent.
func validate(t *testing.T, headers map[string]string, body []byte) {
	t.Helper()
	e := ce.New(headers[HeaderSpecVersion])
	for key, value := range headers {
		attribute, ok := strings.CutPrefix(key, "ce-")
		switch attribute {
		case HeaderContentType:
			e.SetDataContentType(value)
		case "id":
			e.SetID(value)
		case "type":
			e.SetType(value)
		case "source":
			e.SetSource(value)
		case "subject":
			e.SetSubject(value)
		case "dataschema":
			e.SetDataSchema(value)
		case "time":
			at, err := time.Parse(time.RFC3339, value)
			if err != nil {
				t.Error(err)
			}
			e.SetTime(at)
		case "specversion":
		default:
			if !ok {
				t.Errorf("header %q is no attribute of a CloudEvent", key)
			}
			e.SetExtension(attribute, value)
		}
	}
	e.DataEncoded = body
	if err := e.Validate(); err != nil {
		t.Errorf("not a CloudEvent: %v", err)
	}
	var data map[string]any
	if err := e.DataAs(&data); err != nil || len(data) == 0 {
		t.Errorf("data %v, %v", data, err)
	}
}

func zeroFields(path string, v reflect.Value) []string {
	if v.Kind() != reflect.Struct || v.Type() == reflect.TypeFor[time.Time]() {
		if v.IsZero() {
			return []string{path}
		}
		if v.Kind() == reflect.Slice && v.Len() > 0 {
			return zeroFields(path+"[0]", v.Index(0))
		}
		return nil
	}
	var zero []string
	for i := range v.NumField() {
		zero = append(zero, zeroFields(path+"."+v.Type().Field(i).Name, v.Field(i))...)
	}
	return zero
}

func TestParse(t *testing.T) {
	e := example(examples()["SyncCompleted"])
	headers, body, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change map[string]string
		body   string
		err    error // nil: any
		fails  bool
	}{
		"as it is":            {body: string(body)},
		"fields of later":     {body: `{"new_field":{"a":1},` + string(body[1:])},
		"headers of later":    {change: map[string]string{"ce-new": "1"}, body: string(body)},
		"an event of later":   {change: map[string]string{HeaderType: "headwater.SyncDreamt.v1"}, body: "{}", err: ErrUnknown, fails: true},
		"a version of later":  {change: map[string]string{HeaderType: "headwater.SyncCompleted.v2"}, body: "{}", err: ErrUnknown, fails: true},
		"not ours":            {change: map[string]string{HeaderType: "com.example.thing"}, body: "{}", err: ErrUnknown, fails: true},
		"body elsewhere":      {change: map[string]string{HeaderDataRef: "sha256:00"}, err: ErrReferenced, fails: true},
		"body fetched":        {change: map[string]string{HeaderDataRef: "sha256:00"}, body: string(body)},
		"no body":             {fails: true},
		"not JSON":            {body: "{", fails: true},
		"no time":             {change: map[string]string{HeaderTime: ""}, body: string(body), fails: true},
		"another type inside": {body: `{"records_processed":"many"}`, fails: true},
	} {
		h := maps.Clone(headers)
		maps.Copy(h, c.change)
		_, err := Parse(func(k string) string { return h[k] }, []byte(c.body))
		if c.fails != (err != nil) || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEncodeRefusesIncompleteEvents(t *testing.T) {
	for name, change := range map[string]func(e *Event){
		"no id":           func(e *Event) { e.ID = "" },
		"no time":         func(e *Event) { e.Time = time.Time{} },
		"no data":         func(e *Event) { e.Data = nil },
		"no organization": func(e *Event) { e.Data.Header().Organization = "" },
		"no workspace":    func(e *Event) { e.Data.Header().WorkspaceID = "" },
		"no source":       func(e *Event) { e.Data.Header().SourceID = "" },
	} {
		e := example(examples()["SyncCompleted"])
		change(e)
		if _, _, err := e.Encode(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

func TestHeadersTakeNoForeignText(t *testing.T) {
	e := example(examples()["SyncCompleted"])
	e.TraceParent = "00-evil\r\nNats-Rollup: all"
	e.Data.Header().Operation.ID = "op \"1\"\r\n€%"
	headers, _, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, there := headers[HeaderTraceParent]; there {
		t.Errorf("traceparent %q", got)
	}
	if got, want := headers[HeaderCorrelationID], "op%20%221%22%0D%0A%E2%82%AC%25"; got != want {
		t.Errorf("correlationid %q, wanted %q", got, want)
	}
}
