package layout

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"headwater/bus/event"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew")

// TestGolden holds every key and value to the bytes of testdata/golden.txt. Stores
// of before are read by this build, so that whoever changes one raises Version;
// the file, whose first line is Version, is then written anew with -update.
func TestGolden(t *testing.T) {
	var b bytes.Buffer
	fmt.Fprintln(&b, "version", Version)
	for _, table := range Tables() {
		fmt.Fprintf(&b, "prefix %q %s local=%v\n", table.Prefix, table.Name, table.Local)
	}
	src, y, o, g := goldenValues()
	goldenKeys(&b, src)
	value := func(name string, v []byte, err error) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		fmt.Fprintf(&b, "%s %q\n", name, v)
	}
	at, r := src.CreatedAt, goldenTable(src.CreatedAt)
	v, err := EncodeSource(nil, src)
	value("source", v, err)
	value("source document", AppendSourceDocument(nil, src), nil)
	v, err = EncodeSync(nil, y)
	value("sync", v, err)
	v, err = EncodeOperation(nil, o)
	value("operation", v, err)
	value("target", AppendTarget(nil, g), nil)
	v, err = AppendSyncTable(nil, r)
	value("sync table", v, err)
	value("checkpoint", AppendCheckpoint(nil, "syn_1", 9, at, r), nil)
	v, err = EncodeLanded(nil, &Landed{Records: 7, SyncID: "syn_1", Mode: "full", Location: "lake/a", SnapshotID: 1 << 60, At: at, FreshUntil: &at, SetAside: true, Checkpoints: []uint64{8, 9}})
	value("landed", v, err)
	v, err = EncodeName(nil, &Name{ID: "src_1", Incarnation: 7, Shared: true})
	value("name", v, err)
	v, err = EncodeScope(nil, &Scope{Version: 9, Count: 2})
	value("scope", v, err)
	v, err = EncodeToken(nil, &Token{Address: src.Address, Name: "metabase", Role: "viewer", Workspaces: []string{"w1"}, Hash: "00", CreatedAt: at, CreatedBy: "ann", ExpiresAt: at, UsedAt: &at, RevokedAt: &at, RevokedBy: "root"})
	value("token", v, err)
	v, err = EncodeMoments(nil, &Moments{{3, 8}, {255, 9}})
	value("moments", v, err)
	d := &event.SchemaDiscovered{
		Meta: event.Meta{SourceID: "src_1", Operation: event.Operation{ID: "op_1"}}, Version: 2, Cause: "sync", SyncID: "syn_1",
		Tables: []event.Table{{Name: "a", Namespace: "public"}}, Diff: event.SchemaDiff{Added: []string{"a"}},
	}
	v, err = SchemaHead(d, 9, at)
	value("schema head", v, err)
	v, err = SchemaEntry(d, 9, at)
	value("schema entry", v, err)
	v, err = SchemaTable(d.Tables[0])
	value("schema table", v, err)

	const file = "testdata/golden.txt"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := bytes.Split(b.Bytes(), []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range max(len(got), len(wanted)) {
		if i >= len(got) || i >= len(wanted) {
			t.Fatalf("%d lines, want %d", len(got), len(wanted))
		}
		if !bytes.Equal(got[i], wanted[i]) {
			t.Errorf("line %d:\n got %s\nwant %s\nstores of version %d would be misread: raise Version", i+1, got[i], wanted[i], Version)
		}
	}
}

func goldenKeys(b *bytes.Buffer, src *Source) {
	span, millisecond := SpanOf(src.CreatedAt)
	fmt.Fprintf(b, "key %q\n", PutIndex(PutNewest(PutSequence(Key('x', "a\x00b", "", "é"), 5), 5), 2))
	fmt.Fprintf(b, "address key %q\n", AddressKey(KeySource, src.Address))
	fmt.Fprintf(b, "current key %q\n", CurrentKey(src))
	fmt.Fprintf(b, "history key %q\n", HistoryKey(src, 9))
	fmt.Fprintf(b, "removed key %q\n", RemovedKey(src))
	fmt.Fprintf(b, "due key %q\n", DueKey(src))
	fmt.Fprintf(b, "run key %q\n", RunKey(src))
	fmt.Fprintf(b, "span key %q %d\n", SpanKey(nil, span), millisecond)
}

func goldenValues() (*Source, *SyncEntry, *Operation, *Target) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	op := event.Operation{ID: "op_1", Kind: "sync", Targets: 2, Target: 1, Actor: "ann", Trigger: "schedule"}
	failure := &Failure{Reason: event.ReasonConflict, Message: `<it> is "held"`}
	src := &Source{
		Address: event.Address{Organization: "acme", Workspace: "w1", Owner: "ann", Source: "src_1"}, Name: "a", Type: "csv", Connector: "file",
		Config: json.RawMessage(`{"path":"a"}`), SecretRef: "ref", Metadata: json.RawMessage(`{}`), Sync: json.RawMessage(`{"mode":"full"}`),
		ConfigVersion: 2, SchemaVersion: 3, Tables: 4, LeftOut: 1, Records: 7, Location: "lake", Status: StatusFailed, CreatedAt: at, UpdatedAt: at,
		CreatedSequence: 5, LastSequence: 9, Running: &Running{SyncID: "syn_2", Attempt: 1, Fence: 9, Operation: op},
		LastSync: &LastSync{SyncID: "syn_1", Status: StatusFailed, Mode: "full", StartedAt: at, FinishedAt: &at, Error: failure, FreshUntil: &at},
		Removed:  true, Removal: &Removal{Sequence: 9, At: at, DestroyedAfter: &at},
		Schedule: &Schedule{Schedule: event.Schedule{Cron: "30 2 * * *", TimeZone: "UTC", Jitter: "1m", Missed: "once", Overlap: "attach", Options: json.RawMessage(`{"mode":"full"}`)},
			Version: 3, Sentence: "every day", Anchor: &at, DelayMS: 7000, NextRun: &at, AfterSync: "syn_1", Since: &at,
			LastRun: &Run{Due: at, At: at, LateMS: 5, Outcome: RunMissed, Runs: 2, SyncID: "syn_1", OperationID: "op_1", Message: "late"}},
		ScheduleVersion: 3, Dependents: []string{"src_2"}, Changes: &Changes{Changes: goldenChanges(at), Lagging: true},
	}
	y := &SyncEntry{
		Sync: Sync{ID: "syn_1", Address: src.Address, SourceName: "a", Operation: op, Status: StatusFailed, Mode: "full", Attempt: 1,
			TablesTotal: 4, Expected: 70, Fence: 8, Began: 7, Records: 6, Bytes: 5, DurationMS: 4, StartedAt: at, UpdatedAt: at, FinishedAt: &at, Error: failure, Changes: changesRef(goldenChanges(at))},
		Followers: []Follower{{Operation: "op_2", Target: 3}},
	}
	o := &Operation{ID: "op_1", Organization: "acme", Workspace: "w1", Owner: "ann", Actor: "ann", Trigger: "schedule", Kind: "sync", Status: StatusPartial,
		Total: 2, Completed: 1, Failed: 1, CreatedAt: at, UpdatedAt: at, FinishedAt: &at, Sequence: 9}
	n := int64(6)
	g := &Target{SourceID: "src_1", Name: "a", Status: StatusFailed, SyncID: "syn_1", Attached: true, Reason: failure.Reason, Message: failure.Message,
		Result: &Result{Status: StatusFailed, Records: &n, Bytes: &n, DurationMS: &n}}
	return src, y, o, g
}

func goldenTable(at time.Time) *event.TableResult {
	total := int64(9)
	return &event.TableResult{Name: "a", Namespace: "public", Status: StatusCompleted, Mode: "incremental", Records: 7, Total: &total, Bytes: 8,
		Files: 1, Cursor: "9", CursorName: "id", SnapshotID: 1 << 60, Location: "lake/a", DurationMS: 5, LastRowAt: &at, Inserted: 3, Updated: 2, Truncated: 1, Position: "0/1", SetAside: true}
}

func goldenChanges(at time.Time) event.Changes {
	n := int64(6)
	return event.Changes{Position: "0/1", CommittedAt: &at, FreshUntil: &at, At: &at, BehindBytes: &n, BehindSeconds: &n, RetainedBytes: &n, LeftBytes: &n, SlotState: "reserved", Message: "m"}
}

func changesRef(c event.Changes) *event.Changes { return &c }
