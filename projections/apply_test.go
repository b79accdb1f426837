package projections

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"headwater/bus/event"
)

var (
	ann    = at("ann", "src_a")
	shared = at("", "src_s")
)

func (h *history) connect(a event.Address, op, name string) {
	h.add(connected(a, going(op, "connect", 1, 0), name))
	h.add(discovered(a, final(op, "connect", 1, 0), 1, "t"))
}

// TestDocuments folds small histories and looks at single fields of the
// documents that come of them.
func TestDocuments(t *testing.T) {
	sync := func(status string) func(h *history) {
		return func(h *history) {
			h.connect(ann, "op_1", "a")
			h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
			h.add(completed(ann, final("op_2", "sync", 1, 0), "syn_1", status, holding(7, table("completed", "full_refresh", 7))))
		}
	}
	failed := func(h *history) {
		h.connect(ann, "op_1", "a")
		h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
		h.add(&event.SyncFailed{Meta: event.At(ann, final("op_2", "sync", 1, 0)), SyncID: "syn_1", Reason: event.ReasonUnreachable, Message: "no \"route\"", DurationMS: 9})
	}
	cancelled := func(h *history) {
		h.connect(ann, "op_1", "a")
		h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
		h.add(progressed(ann, going("op_2", "sync", 1, 0), "syn_1", holding(3, table("running", "incremental", 3))))
		h.add(&event.SyncCancelled{Meta: event.At(ann, final("op_2", "sync", 1, 0)), SyncID: "syn_1", Reason: event.ReasonCancelled, Message: "stopped"})
	}
	for _, c := range []struct {
		name string
		make func(h *history)
		// what to read: source, sync or operation, and its fields
		of   string
		want map[string]any
	}{
		{"connected only", func(h *history) { h.add(connected(ann, going("op_1", "connect", 1, 0), "a")) }, "source",
			map[string]any{"status": "connected", "tables": 0., "schema_version": 0., "scope": "user", "owner": "ann", "last_sync": nil, "created_at": "2026-03-01T12:00:01Z", "config": map[string]any{"host": "db", "port": 5432.}, "metadata": map[string]any{}}},
		{"with schema", func(h *history) { h.connect(ann, "op_1", "a") }, "source",
			map[string]any{"tables": 1., "schema_version": 1., "created_at": "2026-03-01T12:00:01Z", "updated_at": "2026-03-01T12:00:02Z"}},
		{"connect operation", func(h *history) { h.connect(ann, "op_2", "a") }, "operation",
			map[string]any{"status": "completed", "kind": "connect", "actor": "ann", "finished_at": "2026-03-01T12:00:02Z"}},
		{"connected is not the end", func(h *history) { h.add(connected(ann, going("op_2", "connect", 1, 0), "a")) }, "operation",
			map[string]any{"status": "running", "finished_at": nil}},
		{"unchanged is", func(h *history) {
			h.connect(ann, "op_1", "a")
			d := connected(ann, final("op_2", "connect", 1, 0), "a")
			d.Unchanged, d.ConfigVersion, d.SecretRef = true, 9, "other"
			h.add(d)
		}, "operation", map[string]any{"status": "completed"}},
		{"unchanged changes no document", func(h *history) {
			h.connect(ann, "op_1", "a")
			d := connected(ann, final("op_2", "connect", 1, 0), "a")
			d.Unchanged, d.ConfigVersion = true, 9
			h.add(d)
		}, "source", map[string]any{"config_version": 1., "updated_at": "2026-03-01T12:00:02Z"}},
		{"connect failed", func(h *history) {
			h.add(&event.SourceConnectFailed{Meta: event.At(ann, final("op_2", "connect", 1, 0)), Name: "a", Reason: event.ReasonAuthentication, Message: "refused"})
		}, "operation", map[string]any{"status": "failed"}},
		{"syncing", func(h *history) {
			h.connect(ann, "op_1", "a")
			h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
		}, "source", map[string]any{"status": "syncing", "last_sync": map[string]any{
			"sync_id": "syn_1", "status": "running", "mode": "full_refresh", "records_processed": 0., "bytes": 0., "duration_ms": 0.,
			"started_at": "2026-03-01T12:00:03Z", "finished_at": nil, "error": nil, "fresh_until": nil}}},
		{"synced", sync("completed"), "source", map[string]any{"status": "connected", "records": 7.}},
		{"synced sync", sync("completed"), "sync", map[string]any{"status": "completed", "records_processed": 7., "bytes": 70., "duration_ms": 1500., "source_name": "a", "error": nil, "operation_id": "op_2"}},
		{"partly synced", sync("partial"), "sync", map[string]any{"status": "partial"}},
		{"partly synced target", sync("partial"), "operation", map[string]any{"status": "completed"}},
		{"failed", failed, "source", map[string]any{"status": "failed", "records": 0.}},
		{"failed sync", failed, "sync", map[string]any{"status": "failed", "error": map[string]any{"reason": "unreachable", "message": "no \"route\""}}},
		{"failed operation", failed, "operation", map[string]any{"status": "failed"}},
		{"cancelled keeps what was committed", cancelled, "source", map[string]any{"status": "connected", "records": 3.}},
		{"cancelled sync", cancelled, "sync", map[string]any{"status": "cancelled", "duration_ms": 2000., "records_processed": 3.}},
		{"its tables run no more", cancelled, "sync", map[string]any{"tables": []any{map[string]any{
			"name": "t", "namespace": "public", "status": "cancelled", "mode": "incremental", "records_processed": 3., "total_records": 3., "bytes": 30., "files": 0.,
			"reason": "cancelled", "message": "stopped", "duration_ms": 0.}}}},
		{"running while it does", func(h *history) {
			h.connect(ann, "op_1", "a")
			h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
			h.add(progressed(ann, going("op_2", "sync", 1, 0), "syn_1", holding(3, table("running", "incremental", 3))))
		}, "sync", map[string]any{"records_processed": 3., "tables": []any{map[string]any{
			"name": "t", "namespace": "public", "status": "running", "mode": "incremental", "records_processed": 3., "total_records": 3., "bytes": 30., "files": 0., "duration_ms": 0.}}}},
		{"cancelled operation", cancelled, "operation", map[string]any{"status": "cancelled"}},
		{"second attempt", func(h *history) {
			h.connect(ann, "op_1", "a")
			h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
			h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 2))
		}, "sync", map[string]any{"status": "running", "attempt": 2., "started_at": "2026-03-01T12:00:03Z"}},
		{"a late outcome changes nothing", func(h *history) {
			cancelled(h)
			h.add(completed(ann, final("op_2", "sync", 1, 0), "syn_1", "completed", table("completed", "full_refresh", 99)))
		}, "sync", map[string]any{"status": "cancelled", "records_processed": 3.}},
		{"nor for the operation", func(h *history) {
			cancelled(h)
			h.add(completed(ann, final("op_2", "sync", 1, 0), "syn_1", "completed", table("completed", "full_refresh", 99)))
		}, "operation", map[string]any{"status": "cancelled"}},
		{"removed while syncing", func(h *history) {
			h.connect(ann, "op_1", "a")
			h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
			h.add(&event.SourceRemoved{Meta: event.At(ann, final("op_3", "cleanup", 1, 0)), Name: "a"})
		}, "sync", map[string]any{"status": "cancelled"}},
		{"and its operation ends", func(h *history) {
			h.connect(ann, "op_1", "a")
			h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
			h.add(&event.SourceRemoved{Meta: event.At(ann, final("op_3", "cleanup", 1, 0)), Name: "a"})
		}, "operation", map[string]any{"status": "cancelled"}},
		{"given up while running", func(h *history) {
			h.connect(ann, "op_1", "a")
			h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
			h.add(&event.CommandRejected{Meta: event.At(ann, final("op_2", "sync", 1, 0)), Command: "SyncSource", Reason: event.ReasonInternal, Message: "gave up"})
		}, "sync", map[string]any{"status": "failed"}},
		{"test", func(h *history) {
			h.add(&event.ConnectionTested{Meta: event.At(at("ann", "tst_1"), final("op_2", "test", 1, 0)), OK: true, Connector: "file", Message: "fine", Steps: []event.TestStep{{Name: "read", Status: "ok"}}})
		}, "operation", map[string]any{"status": "completed", "targets": []any{map[string]any{
			"source_id": "tst_1", "name": "", "status": "completed", "sync_id": nil, "attached": false, "reason": nil, "message": "fine",
			"result": map[string]any{"ok": true, "connector": "file", "steps": []any{map[string]any{"name": "read", "status": "ok", "duration_ms": 0.}}}}}}},
		{"failed test", func(h *history) {
			h.add(&event.ConnectionTested{Meta: event.At(at("ann", "tst_1"), final("op_2", "test", 1, 0)), Reason: event.ReasonTimeout, Message: "slow"})
		}, "operation", map[string]any{"status": "failed"}},
		{"some of many", func(h *history) {
			h.add(&event.OperationAccepted{Meta: event.At(at("ann", "op_2"), going("op_2", "connect", 3, 0)), Accepted: []event.Target{{SourceID: "src_a", Name: "a"}, {SourceID: "src_b"}, {SourceID: "src_c"}}})
			h.add(&event.SourceConnectFailed{Meta: event.At(ann, final("op_2", "connect", 3, 1)), Name: "b"})
		}, "operation", map[string]any{"status": "running", "targets_total": 3.}},
		{"all of many", func(h *history) {
			for i := range 3 {
				h.add(&event.SourceConnectFailed{Meta: event.At(at("ann", fmt.Sprint("src_", i)), final("op_2", "connect", 3, i)), Name: "b"})
			}
		}, "operation", map[string]any{"status": "failed"}},
		{"mixed", func(h *history) {
			h.add(&event.SourceConnectFailed{Meta: event.At(ann, final("op_2", "connect", 2, 1)), Name: "b"})
			h.connect(ann, "op_1", "a")
			h.add(discovered(ann, final("op_2", "connect", 2, 0), 2, "t", "u"))
		}, "operation", map[string]any{"status": "partial"}},
		{"a target beyond those told of", func(h *history) {
			h.add(connected(ann, going("op_2", "connect", 0, 0), "a"))
			h.add(started(shared, going("op_2", "sync", 0, 1), "syn_1", 1)) // of a source that is not there: it ends at once
		}, "operation", map[string]any{"status": "running", "targets_total": 2., "finished_at": nil}},
		{"a target that cannot be", func(h *history) {
			h.add(connected(ann, going("op_2", "connect", 1, 0), "a"))
			h.add(started(shared, going("op_2", "sync", 1, -1), "syn_1", 1))
		}, "operation", map[string]any{"status": "running", "targets_total": 1., "finished_at": nil}},
		{"accepted after the end", func(h *history) {
			h.connect(ann, "op_2", "a")
			h.add(&event.OperationAccepted{Meta: event.At(at("ann", "op_2"), going("op_2", "connect", 1, 0)), Accepted: []event.Target{{SourceID: "src_a", Name: "a"}}})
		}, "operation", map[string]any{"status": "completed", "finished_at": "2026-03-01T12:00:02Z"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h history
			c.make(&h)
			s := openMem(t)
			apply(t, s, h.events...)
			var doc []byte
			var err error
			switch c.of {
			case "source":
				doc, err = s.SourceDoc(ann)
			case "sync":
				var y Sync
				y, err = s.Sync("acme", "w1", "syn_1")
				doc = y.JSON
			case "operation":
				var o Operation
				o, err = s.Operation("acme", "w1", "op_2")
				doc = o.JSON
			}
			if err != nil {
				t.Fatal(err)
			}
			got := fields(t, doc)
			for name, want := range c.want {
				if fmt.Sprintf("%#v", got[name]) != fmt.Sprintf("%#v", want) {
					t.Errorf("%s is %#v, want %#v\n%s", name, got[name], want, doc)
				}
			}
		})
	}
}

// TestAttached follows targets that wait for somebody else's sync.
func TestAttached(t *testing.T) {
	rejected := func(op, sync string) *event.CommandRejected {
		return &event.CommandRejected{Meta: event.At(ann, final(op, "sync", 1, 0)), Command: "SyncSource", Reason: event.ReasonAlreadySyncing, SyncID: sync, Message: "already"}
	}
	accepted := func(op, sync string) *event.OperationAccepted {
		return &event.OperationAccepted{Meta: event.At(at("ann", op), going(op, "sync", 1, 0)), Accepted: []event.Target{{SourceID: "src_a", Name: "a", SyncID: sync, Attached: true}}}
	}
	var h history
	s := openMem(t)
	h.connect(ann, "op_1", "a")
	h.add(accepted("op_early", "syn_1")) // before the sync is known
	h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
	h.add(rejected("op_3", "syn_1"))
	h.add(rejected("op_3", "syn_1"))
	h.add(accepted("op_4", "syn_1"))
	h.add(rejected("op_lost", "syn_unknown"))
	apply(t, s, h.events...)
	status := func(want map[string]string) {
		t.Helper()
		for op, want := range want {
			o, err := s.Operation("acme", "w1", op)
			if err != nil || o.Status != want || len(o.Targets) != 1 || o.Targets[0].Status != want {
				t.Errorf("%s is %s, want %s (%v) %s", op, o.Status, want, err, o.JSON)
			}
		}
	}
	status(map[string]string{"op_early": "running", "op_3": "running", "op_4": "running", "op_lost": "failed"})
	if _, err := s.Sync("acme", "w1", "syn_unknown"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a sync nobody began: %v", err)
	}
	apply(t, s, h.add(completed(ann, final("op_2", "sync", 1, 0), "syn_1", "partial", table("completed", "full_refresh", 7))))
	apply(t, s, h.add(rejected("op_late", "syn_1")))
	status(map[string]string{"op_early": "completed", "op_3": "completed", "op_4": "completed", "op_late": "completed", "op_2": "completed"})
	o, _ := s.Operation("acme", "w1", "op_3")
	if g := o.Targets[0]; !g.Attached || g.SyncID != "syn_1" || g.Result == nil || g.Result.Status != "partial" || *g.Result.Records != 7 {
		t.Errorf("attached target %s", o.JSON)
	}
}

// TestRecords counts what lies in the lake over several syncs.
func TestRecords(t *testing.T) {
	var h history
	h.connect(ann, "op_1", "a")
	s := openMem(t)
	apply(t, s, h.events...)
	n := 0
	for _, c := range []struct {
		results []event.TableResult // checkpoints, then the outcome
		want    int64
	}{
		{[]event.TableResult{table("running", "full_refresh", 4), holding(10, table("completed", "full_refresh", 10))}, 10},
		{[]event.TableResult{holding(8, table("completed", "full_refresh", 8))}, 8},
		{[]event.TableResult{table("failed", "full_refresh", 3)}, 8},
		{[]event.TableResult{table("skipped", "incremental", 3)}, 8},
		{[]event.TableResult{table("running", "incremental", 2), holding(13, table("running", "incremental", 5)), holding(14, table("completed", "incremental", 6))}, 14},
		{[]event.TableResult{holding(16, table("running", "incremental", 2)), table("running", "incremental", 90), holding(16, table("failed", "incremental", 2))}, 16},
		{[]event.TableResult{holding(18, table("completed", "incremental", 18))}, 18}, // from the start, in the place of what was there
		{[]event.TableResult{holding(1, table("completed", "full_refresh", 1))}, 1},
		{[]event.TableResult{holding(0, table("completed", "full_refresh", 0))}, 0},
	} {
		n++
		id, op := fmt.Sprint("syn_", n), fmt.Sprint("op_s", n)
		apply(t, s, h.add(started(ann, going(op, "sync", 1, 0), id, 1)))
		for _, r := range c.results[:len(c.results)-1] {
			apply(t, s, h.add(progressed(ann, going(op, "sync", 1, 0), id, r)))
		}
		apply(t, s, h.add(completed(ann, final(op, "sync", 1, 0), id, "completed", c.results[len(c.results)-1])))
		src, err := s.Source(ann)
		if err != nil || src.Records != c.want {
			t.Errorf("sync %d: %d records, want %d (%v)", n, src.Records, c.want, err)
		}
		if l, err := s.Landed(ann, "public", "t"); err != nil || l.Records != c.want {
			t.Errorf("sync %d: table has %d records, want %d (%v)", n, l.Records, c.want, err)
		}
	}
}

// TestTablesWithDots keeps apart what joins to the same text.
func TestTablesWithDots(t *testing.T) {
	var h history
	h.connect(ann, "op_1", "a")
	h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
	one, other := holding(3, table("completed", "full_refresh", 3)), holding(4, table("completed", "full_refresh", 4))
	one.Namespace, one.Name, other.Namespace, other.Name = "s", "x.y", "s.x", "y"
	done := completed(ann, final("op_2", "sync", 1, 0), "syn_1", "completed", one)
	done.Tables = append(done.Tables, other)
	h.add(done)
	s := openMem(t)
	apply(t, s, h.events...)
	if src, err := s.Source(ann); err != nil || src.Records != 7 {
		t.Errorf("%d records, want 7 (%v)", src.Records, err)
	}
	y, err := s.Sync("acme", "w1", "syn_1")
	var doc struct{ Tables []event.TableResult }
	if err := errors.Join(err, json.Unmarshal(y.JSON, &doc)); err != nil || len(doc.Tables) != 2 {
		t.Errorf("the sync shows %d tables, want 2 (%v): %s", len(doc.Tables), err, y.JSON)
	}
}

func TestSourceLife(t *testing.T) {
	var h history
	s := openMem(t)
	if _, incarnation, found, err := s.FindSource("acme", "w1", "ann", "a"); found || incarnation != 0 || err != nil {
		t.Fatal(incarnation, found, err)
	}
	h.connect(ann, "op_1", "a")
	h.connect(shared, "op_1s", "a")
	h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 1))
	h.add(started(ann, going("op_2", "sync", 1, 0), "syn_1", 2))
	apply(t, s, h.events...)
	src, _, found, err := s.FindSource("acme", "w1", "ann", "a")
	if !found || err != nil || src.Address != ann || src.SecretRef != "ref-src_a" {
		t.Fatal(src, found, err)
	}
	if r := src.Running; r == nil || r.SyncID != "syn_1" || r.Attempt != 2 || r.Fence != 6 || r.Operation.ID != "op_2" || src.LastSequence != 6 {
		t.Errorf("%+v last %d", src.Running, src.LastSequence)
	}
	apply(t, s, h.add(&event.SourceRemoved{Meta: event.At(ann, final("op_3", "cleanup", 1, 0)), Name: "a"}))
	if _, incarnation, found, err := s.FindSource("acme", "w1", "ann", "a"); found || incarnation != 7 || err != nil {
		t.Fatal(incarnation, found, err)
	}
	if src, _, found, _ := s.FindSource("acme", "w1", "", "a"); !found || src.Address != shared {
		t.Error("the shared source of the same name went with it")
	}
	_, errSource := s.Source(ann)
	_, errDoc := s.SourceDoc(ann)
	_, errSchema := s.SchemaPage(SchemaQuery{Address: ann})
	_, errHistory := s.SchemaHistory(ann, 0, "")
	_, errLanded := s.Landed(ann, "public", "t")
	_, errOrg := s.Operation("other", "w1", "op_1")
	_, errWorkspace := s.Sync("acme", "w2", "syn_1")
	for i, err := range []error{errSource, errDoc, errSchema, errHistory, errLanded, errOrg, errWorkspace} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("read %d of a removed or foreign thing: %v", i, err)
		}
	}
	if y, err := s.Sync("acme", "w1", "syn_1"); err != nil || y.Status != "cancelled" {
		t.Errorf("sync of a removed source: %s, %v", y.Status, err)
	}
	next := at("ann", SourceID("acme", "w1", "ann", "a", 7))
	h.connect(next, "op_4", "a")
	apply(t, s, h.events...)
	if src, _, found, err := s.FindSource("acme", "w1", "ann", "a"); !found || err != nil || src.Address != next {
		t.Error(src.Address, found, err)
	}
}

func TestApplySkipsAndRefuses(t *testing.T) {
	var h history
	h.connect(ann, "op_1", "a")
	s := openMem(t)
	apply(t, s, h.events...)
	before := hashOf(t, s)
	apply(t, s, h.events...)
	if after := hashOf(t, s); after != before {
		t.Error("applying the same events again changed the store")
	}
	if err := s.Apply(&event.Event{Data: h.events[0].Data}); err == nil {
		t.Error("an event without a sequence was applied")
	}
	apply(t, s, &event.Event{Sequence: 9})
	if s.Position() != 9 {
		t.Errorf("an unknown event left the position at %d", s.Position())
	}
	bad := connected(ann, going("op_2", "connect", 1, 0), "a")
	bad.Config = []byte("{")
	if err := s.Apply(&event.Event{Sequence: 10, Data: started(ann, going("op_2", "sync", 1, 0), "syn_1", 1)}, &event.Event{Sequence: 11, Data: bad}); err == nil {
		t.Error("broken settings were applied")
	}
	if _, err := s.Sync("acme", "w1", "syn_1"); !errors.Is(err, ErrNotFound) || s.Position() != 9 {
		t.Errorf("half a batch stayed: %v at %d", err, s.Position())
	}
	if src, err := s.Source(ann); err != nil || src.Running != nil {
		t.Errorf("half a batch stayed in memory: %+v, %v", src.Running, err)
	}
	next := &event.Event{Sequence: 10, Data: discovered(ann, final("op_3", "discover", 1, 0), 2, "u")}
	clean := openMem(t)
	apply(t, clean, append(h.events, &event.Event{Sequence: 9}, next)...)
	if apply(t, s, next); hashOf(t, s) != hashOf(t, clean) {
		t.Error("half a batch came back with the next")
	}
}
