package projections

import (
	"fmt"
	"testing"
	"time"

	"headwater/bus/event"
	"headwater/projections/fold"
)

func TestProgress(t *testing.T) {
	s, h, a, op := openMem(t), &history{}, at("ann", "src_a"), going("op_1", event.KindSync, 1, 0)
	begin := started(a, op, "syn_1", 1)
	begin.Tables, begin.Estimates = []string{"public.t", "public.u"}, []int64{1000, 3000}
	apply(t, s, h.add(connected(a, final("op_0", event.KindConnect, 1, 0), "shop")), h.add(begin))
	seen := func() map[string]any {
		y, err := s.Sync("acme", "w1", "syn_1")
		if err != nil {
			t.Fatal(err)
		}
		return fields(t, y.JSON)["progress"].(map[string]any)
	}
	want := func(what string, fields map[string]any) {
		t.Helper()
		got := seen()
		for name, value := range fields {
			if fmt.Sprint(got[name]) != fmt.Sprint(value) {
				t.Errorf("%s: %s is %v, wanted %v", what, name, got[name], value)
			}
		}
	}
	want("nothing read", map[string]any{"fraction": 0, "rows": 0, "row_estimate": 4000, "eta_seconds": nil, "tables_total": 2, "tables": []any{}})

	estimate, since := int64(1000), epoch.Add(time.Hour)
	r := table("running", "full_refresh", 0)
	r.RowsRead, r.BytesRead, r.Rate, r.Estimate = 400, 4000, 100, &estimate
	apply(t, s, h.add(progressed(a, op, "syn_1", r)))
	want("a tenth", map[string]any{"fraction": 0.1, "rows": 400, "bytes": 4000, "rows_per_second": 100, "row_estimate": 4000, "eta_seconds": 36, "waiting_since": nil})
	one := seen()["tables"].([]any)[0].(map[string]any)
	if one["fraction"] != 0.4 || one["eta_seconds"] != 6.0 || one["rows"] != 400.0 || one["name"] != "t" {
		t.Errorf("the table: %v", one)
	}

	r.Rate, r.WaitingSince = 0, &since
	apply(t, s, h.add(progressed(a, op, "syn_1", r)))
	want("waiting", map[string]any{"rows_per_second": 0, "eta_seconds": nil, "waiting_since": since.Format(time.RFC3339Nano)})

	uploaded := int64(100)
	r.Rate, r.WaitingSince, r.WaitingFor, r.BytesUploaded, r.RowsUploaded = 10, nil, event.WaitingUpload, 900, &uploaded
	apply(t, s, h.add(progressed(a, op, "syn_1", r)))
	want("a slow lake", map[string]any{"fraction": 0.025, "rows": 400, "bytes_uploaded": 900, "eta_seconds": 390, "waiting_since": nil, "waiting_for": "uploading to the lake"})
	r.WaitingFor, r.RowsUploaded = event.WaitingRead, nil
	r.Status, r.WaitingSince, r.RowsRead, r.Records = "completed", nil, 2000, 2000 // more than it was thought to have
	u := r
	u.Name, u.Status, u.RowsRead, u.Records, u.Estimate, u.Rate = "u", "running", 500, 0, nil, 50
	apply(t, s, h.add(progressed(a, op, "syn_1", r)))
	want("half", map[string]any{"fraction": 0.4, "row_estimate": 5000, "tables_ended": 1})
	apply(t, s, h.add(progressed(a, op, "syn_1", u)))
	want("nobody knows", map[string]any{"fraction": nil, "row_estimate": nil, "rows": 2500})

	u.Status, u.Records = "completed", 500
	end := completed(a, final("op_1", event.KindSync, 1, 0), "syn_1", "completed", r)
	end.Tables = append(end.Tables, u)
	apply(t, s, h.add(end))
	want("the end", map[string]any{"fraction": 1, "rows": 2500, "rows_per_second": 1666, "eta_seconds": nil, "tables_ended": 2})
}

// A sync that was accepted and that no worker has taken says what it waits for.
func TestWaitingForATurn(t *testing.T) {
	s, h, a, op := openMem(t), &history{}, at("ann", "src_a"), going("op_1", event.KindSync, 1, 0)
	accept := &event.OperationAccepted{Meta: event.At(at("ann", "op_1"), op), Accepted: []event.Target{{SourceID: "src_a", SyncID: "syn_1"}}}
	apply(t, s, h.add(connected(a, final("op_0", event.KindConnect, 1, 0), "shop")), h.add(accept))
	target := func() map[string]any {
		t.Helper()
		o, err := s.Operation("acme", "w1", "op_1")
		if err != nil {
			t.Fatal(err)
		}
		return fields(t, o.JSON)["targets"].([]any)[0].(map[string]any)
	}
	if got := target(); got["waiting_for"] != event.WaitingTurn || got["sync_id"] != "syn_1" {
		t.Errorf("in line: %v", got)
	}
	apply(t, s, h.add(started(a, op, "syn_1", 1)))
	if got := target(); got["waiting_for"] != nil {
		t.Errorf("begun: %v", got)
	}
}

func TestCheckpoints(t *testing.T) {
	s, h, a, op := openMem(t), &history{}, at("ann", "src_a"), going("op_1", event.KindSync, 1, 0)
	apply(t, s, h.add(connected(a, final("op_0", event.KindConnect, 1, 0), "shop")), h.add(started(a, op, "syn_1", 1)))
	if page, err := s.Checkpoints(CheckpointQuery{Address: a}); err != nil || string(page.JSON) != "[]" {
		t.Fatalf("before any: %s %v", page.JSON, err)
	}
	commit := func(name string, n int64) *event.Event {
		r := holding(n, table("running", "incremental", n))
		r.Name, r.SnapshotID, r.Cursor, r.CursorName = name, event.SnapshotID(n), fmt.Sprint(n), "id"
		return h.add(progressed(a, op, "syn_1", r))
	}
	for n := int64(1); n <= fold.KeptCheckpoints+20; n++ {
		apply(t, s, commit("t", n), commit("t", n)) // the second tells nothing new
	}
	apply(t, s, commit("u", 7))

	page, err := s.Checkpoints(CheckpointQuery{Address: a})
	if err != nil || page.Count != fold.KeptCheckpoints+1 {
		t.Fatalf("%d checkpoints, %v", page.Count, err)
	}
	all := rows(t, page.JSON)
	if all[0]["table"] != "u" || all[1]["cursor"] != "120" || all[1]["cursor_column"] != "id" || all[100]["cursor"] != "21" || all[1]["sync_id"] != "syn_1" || all[1]["total_records"] != 120.0 {
		t.Errorf("newest first: %v, %v ... %v", all[0], all[1], all[100])
	}
	seen, cursor := 0, ""
	for {
		page, err := s.Checkpoints(CheckpointQuery{Address: a, Table: "public.t", Limit: 30, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows(t, page.JSON) {
			if want := fmt.Sprint(120 - seen); row["cursor"] != want {
				t.Fatalf("checkpoint %d is %v, wanted %s", seen, row["cursor"], want)
			}
			seen++
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if seen != fold.KeptCheckpoints {
		t.Errorf("%d on all pages", seen)
	}
	if page, err := s.Checkpoints(CheckpointQuery{Address: a, Table: "u"}); err != nil || page.Count != 1 {
		t.Errorf("one table: %s %v", page.JSON, err)
	}
	other := at("bob", "src_a")
	if _, err := s.Checkpoints(CheckpointQuery{Address: other}); err == nil {
		t.Error("somebody else's source has checkpoints")
	}
	rebuilt := openMem(t)
	apply(t, rebuilt, h.events...)
	if hashOf(t, rebuilt) != hashOf(t, s) {
		t.Error("a rebuilt store differs")
	}
	apply(t, s, h.add(&event.SourceRemoved{Meta: event.At(a, final("op_9", event.KindCleanup, 1, 0)), Name: "shop"}))
	if _, err := s.Checkpoints(CheckpointQuery{Address: a}); err == nil {
		t.Error("a removed source has checkpoints")
	}
}
