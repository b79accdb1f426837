package api

import (
	"net/http"
	"strings"
	"testing"

	"headwater/api/jobs"
)

func TestSixCalls(t *testing.T) {
	h := newHouse(t)
	for _, base := range []string{"/api/v1", "/jarvispy/acme/ada/api/v1"} {
		c := h.ada()
		c.base = base
		sixCalls(t, c)
	}
	if strings.Contains(h.answers.String()+h.logs.String(), "hunter2") {
		t.Error("a secret was shown")
	}
	if n := len(h.worker.secrets); n == 0 || !strings.Contains(h.worker.secrets[0], "hunter2-canary") {
		t.Errorf("workers opened %d secrets", n)
	}
}

func sixCalls(t *testing.T, c caller) {
	r := c.post("/data/w1/test-connection", object{"source_config": object{"type": "database", "connection_config": database("db.example.com")}})
	if r.Code != 200 || r.Status != "success" {
		t.Errorf("test of a good database: %d %s", r.Code, r.Raw)
	}
	r = c.post("/data/w1/test-connection", object{"source_config": object{"type": "database", "connection_config": database("unreachable.example.com")}})
	if r.Code != 200 || r.Status != "error" || r.Message != "the host cannot be reached" || !strings.Contains(string(r.Data), `"status":"failed"`) {
		t.Errorf("test of a bad database: %d %s", r.Code, r.Raw)
	}

	good := source("customer_db", "db.example.com")
	good["metadata"] = object{"description": "Customer database connection"}
	web := object{"type": "api", "name": "sales_api", "connection_config": object{"base_url": "https://api.sales.com", "api_key": "hunter2-key"}}
	r = c.post("/data/w1/connect", object{"scope": "user", "sources": []object{good, source("lost", "unreachable"), web, {"type": "oracle", "name": "other", "connection_config": object{}}}})
	connected := into[struct {
		Connected []struct{ ID, Name, Type, Connector string } `json:"connected_sources"`
		Failed    []jobs.FailedSource                          `json:"failed_sources"`
	}](t, r)
	if r.Code != 200 || len(connected.Connected) != 2 || len(connected.Failed) != 2 || r.Message != "Connected 2 of 4 data sources" {
		t.Fatalf("connect: %d %s", r.Code, r.Raw)
	}
	if f := connected.Failed; f[0].Name != "lost" || f[0].Reason != "unreachable" || f[1].Name != "other" || f[1].Details[0].Field != "sources[3].type" {
		t.Errorf("failed sources: %+v", f)
	}
	ids := map[string]string{}
	for _, s := range connected.Connected {
		ids[s.Name] = s.ID
	}

	r = c.get("/data/w1/list?scope=user")
	listed := into[[]struct{ Name, Type, Connector, Status string }](t, r)
	for _, s := range listed { // in the order in which they were connected, which is any
		if want := map[string]string{"customer_db": "database postgresql", "sales_api": "api api"}[s.Name]; s.Type+" "+s.Connector != want || s.Status != "connected" {
			t.Errorf("listed %+v", s)
		}
	}
	if len(listed) != 2 {
		t.Errorf("list: %s", r.Raw)
	}

	r = c.get("/data/w1/schema?source_id=" + ids["customer_db"] + "&scope=user")
	if schema := into[struct{ Tables []struct{ Name string } }](t, r); r.Code != 200 || len(schema.Tables) != 2 {
		t.Errorf("schema: %s", r.Raw)
	}

	type synced struct {
		Records int64 `json:"records_processed"`
		Syncs   []struct {
			SyncID string `json:"sync_id"`
			Status string
		}
	}
	r = c.post("/data/w1/sync", object{"source_ids": []string{ids["customer_db"], ids["customer_db"]}, "sync_options": object{"incremental": true, "batch_size": 1000}})
	if one := into[synced](t, r); r.Code != 200 || one.Records != 42 || len(one.Syncs) != 1 {
		t.Errorf("sync of one: %s", r.Raw)
	}
	r = c.post("/data/w1/sync", `{"source_ids":null,"sync_options":null}`)
	all := into[synced](t, r)
	if r.Code != 200 || all.Records != 84 || len(all.Syncs) != 2 {
		t.Errorf("sync of all: %s", r.Raw)
	}
	if r = c.get("/data/w1/syncs/" + all.Syncs[0].SyncID); r.Code != 200 || !strings.Contains(r.Raw, `"tables":[{`) {
		t.Errorf("one sync: %s", r.Raw)
	}
	if r = c.get("/data/w1/syncs?limit=2"); len(into[[]object](t, r)) != 2 || r.NextCursor == "" {
		t.Errorf("syncs: %s", r.Raw)
	}

	r = c.post("/data/w1/cleanup", object{"dry_run": true})
	if gone := into[struct {
		Count int `json:"deleted_count"`
	}](t, r); gone.Count != 2 {
		t.Errorf("dry run: %s", r.Raw)
	}
	r = c.post("/data/w1/cleanup", object{"source_ids": []string{ids["sales_api"]}})
	if !strings.Contains(string(r.Data), `"deleted_sources":["`+ids["sales_api"]+`"]`) || r.Message != "Removed 1 data source" {
		t.Errorf("cleanup of one: %s", r.Raw)
	}
	if r = c.post("/data/w1/cleanup", object{}); r.Code != 200 || !strings.Contains(string(r.Data), `"deleted_count":1`) {
		t.Errorf("cleanup of all: %s", r.Raw)
	}
	if r = c.get("/data/w1/list"); string(r.Data) != "[]" {
		t.Errorf("left: %s", r.Raw)
	}
	for _, call := range []string{"cleanup", "sync"} {
		if r = c.post("/data/w1/"+call, object{}); r.Code != http.StatusOK || r.Status != "success" {
			t.Errorf("%s of nothing: %s", call, r.Raw)
		}
	}
}
