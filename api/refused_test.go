package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/api/web"
	"headwater/bus/event"
)

// historyOf returns the payloads of the named events that the caller may read.
func historyOf[T any](t *testing.T, c caller, name string) (all []T) {
	t.Helper()
	r := c.get("/data/w/events?limit=500&type=" + name)
	if r.Code != 200 {
		t.Fatalf("events: %s", r.Raw)
	}
	for _, e := range into[[]struct {
		Data T `json:"data"`
	}](t, r) {
		all = append(all, e.Data)
	}
	return all
}

// TestWhatWasRefusedIsHistory holds that a refusal is told in the caller's own
// history with what was asked for, and nothing of a connection.
func TestWhatWasRefusedIsHistory(t *testing.T) {
	h := newHouse(t)
	ada, viewer := h.as("acme", "ada", auth.RoleEditor), h.as("acme", "vic", auth.RoleViewer)
	for _, c := range []struct {
		method, path string
		body         any
		by           caller
		status       int
	}{
		{"POST", "/data/w/sync", object{"source_ids": []string{"src_nobody"}, "sync_options": object{"mode": "incremental"}}, ada, 404},
		{"POST", "/data/w/operations/op_nobody/cancel", nil, ada, 404},
		{"DELETE", "/data/w/webhooks/whk_nobody", nil, ada, 404},
		{"POST", "/data/w/connect", object{"sources": []object{{"type": "no-such-type", "name": "crm", "connection_config": object{"password": "canary-3"}}}}, ada, 422},
		{"POST", "/data/w/connect", object{"sources": []object{{"type": "postgresql", "name": "crm", "connection_config": object{"password": "canary-1", "passwort": "canary-2"}}}}, viewer, 403},
	} {
		if a := c.by.call(c.method, c.path, c.body); a.Code != c.status {
			t.Fatalf("%s %s: %d %s", c.method, c.path, a.Code, a.Raw)
		}
	}
	got := historyOf[event.RequestRefused](t, ada, "RequestRefused")
	if len(got) != 4 {
		t.Fatalf("the history of ada tells of %d: %+v", len(got), got)
	}
	if r := got[0]; r.Method != "POST" || r.Route != "/api/v1/data/{workspace_id}/sync" || r.Status != 404 || r.Code != "not_found" || r.Operation.Actor != "ada" ||
		string(r.Options) != `{"source_ids":["src_nobody"],"sync_options":{"mode":"incremental"}}` {
		t.Errorf("a sync: %+v %s", r, r.Options)
	}
	if string(got[1].Options) != `{"operation_id":"op_nobody"}` || string(got[2].Options) != `{"webhook_id":"whk_nobody"}` {
		t.Errorf("%s %s", got[1].Options, got[2].Options)
	}
	if string(got[3].Options) != `{"sources":[{"type":"no-such-type","name":"crm"}]}` {
		t.Errorf("a connect: %s", got[3].Options)
	}
	if hers := historyOf[event.RequestRefused](t, viewer, "RequestRefused"); len(hers) != 1 || hers[0].Status != 403 {
		t.Errorf("the history of the viewer: %+v", hers)
	}
	admin := h.as("acme", "root", auth.RoleAdmin)
	if all := admin.get("/data/w/events?limit=500&type=RequestRefused"); strings.Contains(all.Raw, "canary") {
		t.Errorf("%s", all.Raw)
	}
	if others := historyOf[event.RequestRefused](t, h.as("other", "ada", auth.RoleAdmin), "RequestRefused"); len(others) != 0 {
		t.Errorf("another organization reads %+v", others)
	}
}

// TestWebhooksAreHistory holds that who made, rotated or deleted a webhook is
// told, without what is secret of it.
func TestWebhooksAreHistory(t *testing.T) {
	h := newHouse(t)
	ada := h.as("acme", "ada", auth.RoleEditor)
	in := newInbox(t)
	made := ada.post("/data/w/webhooks", object{"url": in.URL + "/canary-path?token=canary-token", "types": []string{"SyncFailed"}, "scope": "organization"})
	var hook struct{ ID, Secret string }
	if err := json.Unmarshal(made.Data, &hook); err != nil || made.Code != 200 {
		t.Fatalf("%v %s", err, made.Raw)
	}
	if a := ada.post("/data/w/webhooks/"+hook.ID+"/rotate", nil); a.Code != 200 {
		t.Fatalf("%s", a.Raw)
	}
	if a := ada.call("DELETE", "/data/w/webhooks/"+hook.ID, nil); a.Code != 200 {
		t.Fatalf("%s", a.Raw)
	}
	created := historyOf[event.WebhookCreated](t, ada, "WebhookCreated")
	if len(created) != 1 || created[0].Receiver != in.URL || created[0].SourceID != hook.ID || created[0].Owner != "" || created[0].Operation.Actor != "ada" || created[0].Types[0] != "SyncFailed" {
		t.Errorf("created: %+v", created)
	}
	if r := historyOf[event.WebhookRotated](t, ada, "WebhookRotated"); len(r) != 1 || r[0].PreviousUntil.IsZero() || r[0].SourceID != hook.ID {
		t.Errorf("rotated: %+v", r)
	}
	if d := historyOf[event.WebhookDeleted](t, ada, "WebhookDeleted"); len(d) != 1 || d[0].Receiver != in.URL || d[0].Operation.Actor != "ada" {
		t.Errorf("deleted: %+v", d)
	}
	all := ada.get("/data/w/events?limit=500").Raw
	for _, secret := range []string{"canary", strings.TrimPrefix(hook.Secret, "whsec_")} {
		if strings.Contains(all, secret) {
			t.Errorf("the history holds %q", secret)
		}
	}
}

// What the caller is told to try again is no refusal: nothing was decided.
func TestWhatCanBeTriedAgainIsNoHistory(t *testing.T) {
	decided := web.Fail(http.StatusConflict, "conflict", "no")
	if !recorded(http.MethodPost, decided) || recorded(http.MethodGet, decided) {
		t.Error("a conflict is told of a request that changes something, and of no other")
	}
	if recorded(http.MethodPost, decided.Later(time.Second)) {
		t.Error("a request that may be tried again is told of")
	}
}
