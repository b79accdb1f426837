package api

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"headwater/api/reads"
	"headwater/bus/event"
)

// Show has two rows of any table, and says in the first which moment was asked
// for.
func (paperLake) Show(_ context.Context, a event.Address, _, table string, limit int, m reads.Moment) (reads.Shown, error) {
	switch {
	case table == "away":
		return reads.Shown{}, errors.Join(reads.ErrLake, errors.New("s3://hidden does not answer"))
	case m.SnapshotID == 5000000000000000009:
		return reads.Shown{}, reads.ErrExpired
	case !m.Time.IsZero() && m.SnapshotID == 0 && m.Time.Year() < 2026:
		return reads.Shown{}, reads.ErrNotLanded
	}
	asked := "now"
	if m != (reads.Moment{}) {
		asked = strconv.FormatInt(m.SnapshotID, 10) + m.Time.UTC().Format(" 2006-01-02")
	}
	rows := [][]any{
		{int64(1) << 60, "12.50", nil, asked, []any{map[string]any{"n": int64(-1) << 60}}},
		{int64(7), "0.10", []byte{1, 2}, "<&>", []any{}},
	}
	return reads.Shown{
		SnapshotID: 5000000000000000001, At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Total: 42, Rows: rows[:min(limit, 2)], Truncated: true, Ended: "bytes",
		Columns:   []reads.ShownColumn{{Name: "id", Type: "int64"}, {Name: "price", Type: "decimal(9,2)"}, {Name: "raw", Type: "bytes"}, {Name: "a text", Type: "string"}, {Name: "tags", Type: "list<long>"}},
		Shortened: []reads.ShownShort{{Row: 1, Column: 2, Bytes: 9 << 20}},
	}, nil
}

func TestPreview(t *testing.T) {
	h := newHouse(t)
	ada := h.ada()
	ids := ada.connected("user", source("landed shop", "db"), source("landed crm", "db"))
	if r := ada.post("/data/w1/sync", object{}); r.Code != 200 {
		t.Fatal(r.Raw)
	}
	path := "/data/w1/preview?table=customers&source_id=" + ids["landed shop"]
	r := ada.get(path)
	want := `"data":{"table":"public.customers","snapshot_id":"5000000000000000001","snapshot_at":"2026-03-01T12:00:00Z","total_records":42,` +
		`"columns":[{"name":"id","type":"int64"},{"name":"price","type":"decimal(9,2)"},{"name":"raw","type":"bytes"},{"name":"a text","type":"string"},{"name":"tags","type":"list<long>"}],` +
		`"rows":[{"id":"1152921504606846976","price":"12.50","raw":null,"a text":"now","tags":[{"n":"-1152921504606846976"}]},{"id":7,"price":"0.10","raw":"AQI=","a text":"<&>","tags":[]}],` +
		`"truncated":true,"shortened":[{"row":1,"column":"raw","bytes":9437184}]}`
	if r.Code != 200 || r.Message != "2 of 42 rows; more would not fit into one answer" || !strings.Contains(r.Raw, want) {
		t.Errorf("%d %s", r.Code, r.Raw)
	}
	var checkpoints []struct {
		Sequence   uint64 `json:"sequence"`
		SnapshotID string `json:"snapshot_id"`
	}
	for range 2 {
		if r := ada.post("/data/w1/sync", object{"source_ids": []string{ids["landed shop"]}}); r.Code != 200 {
			t.Fatal(r.Raw)
		}
	}
	checkpoints = into[[]struct {
		Sequence   uint64 `json:"sequence"`
		SnapshotID string `json:"snapshot_id"`
	}](t, ada.get("/data/w1/checkpoints?source_id="+ids["landed shop"]))
	if len(checkpoints) != 3 {
		t.Fatalf("%+v", checkpoints)
	}
	sequence := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for asOf, want := range map[string]string{
		"":                    "now",
		"5000000000000000002": "5000000000000000002 0001-01-01",
		time.Now().UTC().Format(time.RFC3339Nano): "0 " + time.Now().UTC().Format("2006-01-02"),
		sequence(checkpoints[0].Sequence):         "now",
		sequence(checkpoints[0].Sequence - 1):     checkpoints[1].SnapshotID + " 0001-01-01",
		sequence(checkpoints[2].Sequence):         checkpoints[2].SnapshotID + " 0001-01-01",
	} {
		r := ada.get(path + "&limit=1&as_of=" + url.QueryEscape(asOf))
		if asOf == "" {
			r = ada.get(path + "&limit=1")
		}
		if r.Code != 200 || !strings.Contains(r.Raw, `"a text":"`+want+`"`) || strings.Contains(r.Raw, `"id":7`) {
			t.Errorf("as of %q: %d %s", asOf, r.Code, r.Raw)
		}
	}
	for asOf, want := range map[string]int{
		"5000000000000000009": 410, sequence(checkpoints[2].Sequence - 1): 404, "2020-01-01T00:00:00Z": 404, "2999-01-01T00:00:00Z": 400, "yesterday": 400, "-1": 400, "0": 400,
	} {
		if r := ada.get(path + "&as_of=" + asOf); r.Code != want {
			t.Errorf("as of %s: %d, want %d: %s", asOf, r.Code, want, r.Raw)
		}
	}
	for query, want := range map[string]int{
		"table=orders&source_id=" + ids["landed shop"]: 404, "table=customers&source_id=src_aaaaaaaaaaaaaaaaaaaaaaaaaa": 404, "table=customers": 400,
		"source_id=" + ids["landed shop"]: 400, "table=customers&limit=0&source_id=" + ids["landed shop"]: 400,
	} {
		if r := ada.get("/data/w1/preview?" + query); r.Code != want {
			t.Errorf("%s: %d, want %d: %s", query, r.Code, want, r.Raw)
		}
	}
	listed := into[[]struct{ ID, Location string }](t, ada.get("/data/w1/list"))
	for _, s := range listed {
		if s.Location != "file:///lake/"+s.ID+"/public" {
			t.Errorf("list: %+v", s)
		}
	}
	schema := "/data/w1/schema?source_id=" + ids["landed shop"]
	before := ada.get(schema)
	if !strings.Contains(before.Raw, `"location":"file:///lake/`+ids["landed shop"]+`/public/customers"`) {
		t.Errorf("schema: %s", before.Raw)
	}
	if r := ada.get(schema + "&as_of=" + sequence(checkpoints[2].Sequence)); r.Code != 200 || strings.Contains(r.Raw, "location") {
		t.Errorf("a former schema: %s", r.Raw)
	}
}
