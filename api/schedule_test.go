package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"headwater/api/auth"
)

type scheduleDoc struct {
	Source   string `json:"source_id"`
	Schedule *struct {
		Sentence string      `json:"sentence"`
		Version  int         `json:"version"`
		Paused   bool        `json:"paused"`
		NextRun  *time.Time  `json:"next_run"`
		NextRuns []time.Time `json:"next_runs"`
		Options  object      `json:"sync_options"`
	} `json:"schedule"`
	Operation string `json:"operation_id"`
}

func TestSchedule(t *testing.T) {
	h := newHouse(t)
	ada := h.ada()
	id := into[struct {
		Sources []struct{ ID string } `json:"connected_sources"`
	}](t, ada.post("/data/w1/connect", object{"sources": []object{source("shop", "db")}})).Sources[0].ID
	path := "/data/w1/sources/" + id + "/schedule"
	put := func(body object) reply { return ada.call(http.MethodPut, path, body) }

	if r := ada.get(path); r.Code != 200 || into[scheduleDoc](t, r).Schedule != nil {
		t.Errorf("no schedule: %d %s", r.Code, r.Raw)
	}
	r := put(object{"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "jitter": "10m", "sync_options": object{"mode": "incremental"}})
	made := into[scheduleDoc](t, r)
	if r.Code != 200 || !strings.Contains(r.Message, "shop is synced every day at 02:30 in Europe/Berlin, up to 10 minutes later") || made.Operation == "" ||
		len(made.Schedule.NextRuns) != 5 || !made.Schedule.NextRun.Equal(made.Schedule.NextRuns[0]) || made.Schedule.Options["mode"] != "incremental" {
		t.Errorf("set: %d %s", r.Code, r.Raw)
	}
	if r := ada.get("/data/w1/list"); !strings.Contains(r.Raw, `"schedule":{"cron":"30 2 * * *"`) {
		t.Errorf("list: %s", r.Raw)
	}
	if r := put(object{"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "jitter": "10m", "paused": true}); r.Code != 200 || !into[scheduleDoc](t, r).Schedule.Paused || into[scheduleDoc](t, r).Schedule.NextRun != nil || !strings.HasPrefix(r.Message, "Paused: ") {
		t.Errorf("pause: %d %s", r.Code, r.Raw)
	}
	if op := ada.get("/data/w1/operations/" + made.Operation); !strings.Contains(op.Raw, `"kind":"schedule","status":"completed"`) {
		t.Errorf("operation: %s", op.Raw)
	}
	if r := ada.call(http.MethodDelete, path, nil); r.Code != 200 || into[scheduleDoc](t, r).Schedule != nil {
		t.Errorf("removed: %d %s", r.Code, r.Raw)
	}
	sent := h.worker.count("ChangeSchedule")
	for _, c := range []struct {
		body  object
		code  int
		field string
		says  string
	}{
		{object{}, 422, "cron", "is missing"},
		{object{"cron": "30 2 30 2 *"}, 422, "cron", "never comes true"},
		{object{"cron": "0 0 * * *", "time_zone": "Mars/Olympus"}, 422, "time_zone", "is not known"},
		{object{"every": "10s"}, 422, "every", "must be at least 1m"},
		{object{"every": "1h", "cron": "@daily"}, 422, "every", "cannot be given together with cron"},
		{object{"continuous": true, "every": "1h"}, 422, "continuous", "cannot be given together with every"},
		{object{"continuous": true, "jitter": "5m"}, 422, "continuous", "goes with neither"},
		{object{"continuous": true, "sync_options": object{"mode": "incremental"}}, 422, "sync_options.mode", "must be cdc with continuous"},
		{object{"every": "1h", "sync_options": object{"always": true}}, 422, "sync_options.always", "is of one sync"},
		{object{"every": "1h", "sync_options": object{"mode": "upsert"}}, 400, "sync_options.mode", ""},
		{object{"every": "1h", "missed": "later"}, 400, "missed", ""},
		{object{"evry": "1h"}, 400, "evry", ""},
	} {
		r := put(c.body)
		if r.Code != c.code || !strings.Contains(r.Raw, `"field":"`+c.field+`"`) || !strings.Contains(r.Raw, c.says) {
			t.Errorf("%v: %d %s", c.body, r.Code, r.Raw)
		}
	}
	if r := h.as("acme", "ada", auth.RoleViewer).call(http.MethodPut, path, object{"every": "1h"}); r.Code != 403 {
		t.Errorf("a viewer: %d", r.Code)
	}
	for name, c := range map[string]caller{"another organization": h.as("other", "ada", auth.RoleEditor), "a colleague": h.as("acme", "bob", auth.RoleEditor)} {
		for _, call := range []struct {
			method string
			body   any
		}{{http.MethodGet, nil}, {http.MethodPut, object{"every": "1h"}}, {http.MethodDelete, nil}} {
			foreign, missing := c.call(call.method, path, call.body), c.call(call.method, "/data/w1/sources/src_nobody/schedule", call.body)
			if foreign.Code != 404 || strings.ReplaceAll(foreign.Raw, id, "src_nobody") != missing.Raw {
				t.Errorf("%s, %s: a foreign id is told from a missing one:\n%s\n%s", name, call.method, foreign.Raw, missing.Raw)
			}
		}
	}
	if n := h.worker.count("ChangeSchedule"); n != sent {
		t.Errorf("%d changes were sent for what was refused", n-sent)
	}
	// A repeat with the same key changes nothing.
	first := ada.call(http.MethodPut, path, object{"every": "2h"}, "Idempotency-Key", "one")
	again := ada.call(http.MethodPut, path, object{"every": "2h"}, "Idempotency-Key", "one")
	if first.Code != 200 || again.Code != 200 || h.worker.count("ChangeSchedule") != sent+1 {
		t.Errorf("a repeat: %d %d, %d sent", first.Code, again.Code, h.worker.count("ChangeSchedule")-sent)
	}
}

// Changes are followed of sources whose connector has a log of them; of others mode
// cdc and a continuous schedule are refused, with those that have one.
func TestSourcesWithoutALog(t *testing.T) {
	h := newHouse(t, checked)
	ada := h.ada()
	config := object{"host": "db"}
	ids := map[string]string{}
	for _, s := range into[struct {
		Sources []struct{ ID, Name string } `json:"connected_sources"`
	}](t, ada.post("/data/w1/connect", object{"sources": []object{
		{"name": "pg", "type": "postgresql", "connection_config": config}, {"name": "my", "type": "mysql", "connection_config": config}}})).Sources {
		ids[s.Name] = s.ID
	}
	cdc := func(name string, options object) reply {
		return ada.post("/data/w1/sync", object{"source_ids": []string{ids[name]}, "sync_options": options})
	}
	kept := ada.post("/data/w1/connect", object{"sources": []object{{"name": "other", "type": "mysql", "connection_config": config, "sync": object{"mode": "cdc"}}}})
	if kept.Code != 422 || !strings.Contains(kept.Raw, `"field":"sources[0].sync.mode"`) {
		t.Errorf("cdc kept without a log: %d %s", kept.Code, kept.Raw)
	}
	if r := cdc("my", object{"mode": "cdc"}); r.Code != 422 || !strings.Contains(r.Raw, "a source of mysql has no log of changes that can be read; postgresql has one. Without a mode each sync reads it whole") || !strings.Contains(r.Raw, `"field":"sync_options.mode"`) {
		t.Errorf("a sync without a log: %d %s", r.Code, r.Raw)
	}
	if r := cdc("pg", object{"mode": "cdc", "lookback": "1h"}); r.Code != 422 || !strings.Contains(r.Raw, "sync_options.lookback") {
		t.Errorf("options of another mode: %d %s", r.Code, r.Raw)
	}
	if r := cdc("pg", object{"mode": "incremental", "soft_delete": true}); r.Code != 422 || !strings.Contains(r.Raw, "goes with mode cdc") {
		t.Errorf("options of cdc: %d %s", r.Code, r.Raw)
	}
	if r := cdc("pg", object{"mode": "cdc", "max_delay": "1s"}); r.Code != 200 {
		t.Errorf("a sync with a log: %d %s", r.Code, r.Raw)
	}
	put := func(name string) reply {
		return ada.call(http.MethodPut, "/data/w1/sources/"+ids[name]+"/schedule", object{"continuous": true})
	}
	if r := put("my"); r.Code != 422 || !strings.Contains(r.Raw, `needs change data capture: a source of mysql has no log of changes that can be read; postgresql has one; give every, such as \"1m\""`) {
		t.Errorf("continuous without a log: %d %s", r.Code, r.Raw)
	}
	if r := put("pg"); r.Code != 200 || !strings.Contains(r.Message, "pg is synced continuously, as changes come") || into[scheduleDoc](t, r).Schedule.Options["mode"] != "cdc" {
		t.Errorf("continuous: %d %s", r.Code, r.Raw)
	}
}
