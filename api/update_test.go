package api

import (
	"encoding/json"
	"strings"
	"testing"

	"headwater/api/auth"
	"headwater/bus/event"
)

// told returns the last secret that a worker opened.
func (w *worker) told() map[string]any {
	w.mu.Lock()
	defer w.mu.Unlock()
	var last map[string]any
	if len(w.secrets) > 0 {
		_ = json.Unmarshal([]byte(w.secrets[len(w.secrets)-1]), &last)
	}
	return last
}

// keepsQuiet checks that no answer and no log line held a secret.
func (h *house) keepsQuiet(secrets ...string) {
	h.t.Helper()
	for _, secret := range secrets {
		if strings.Contains(h.answers.String(), secret) || strings.Contains(h.logs.String(), secret) {
			h.t.Errorf("%s was shown", secret)
		}
	}
}

func TestUpdateKeepsWhatIsNotGiven(t *testing.T) {
	h := newHouse(t)
	ada := h.ada()
	r := ada.post("/data/w1/connect", object{"sources": []object{{"type": "postgresql", "name": "shop", "metadata": object{"team": "sales"},
		"connection_config": object{"host": "db", "username": "reader", "password": "first-secret"}}}})
	id := into[struct {
		Sources []struct{ ID string } `json:"connected_sources"`
	}](t, r).Sources[0].ID
	type updated struct {
		Source struct {
			Name     string         `json:"name"`
			Config   map[string]any `json:"config"`
			Metadata map[string]any `json:"metadata"`
			Version  int            `json:"config_version"`
		}
	}
	update := func(change object) updated {
		t.Helper()
		change["source_id"] = id
		r := ada.post("/data/w1/update", change)
		if r.Code != 200 {
			t.Fatalf("%v: %d %s", change, r.Code, r.Raw)
		}
		return into[updated](t, r)
	}
	if u := update(object{"connection_config": object{"password": "second-secret"}}); u.Source.Version != 2 || u.Source.Config["host"] != "db" ||
		u.Source.Config["username"] != "reader" || u.Source.Metadata["team"] != "sales" || h.worker.told()["password"] != "second-secret" {
		t.Errorf("a new password: %+v, told %v", u, h.worker.told())
	}
	if u := update(object{"connection_config": object{"port": 5433}}); u.Source.Config["port"] != 5433.0 || h.worker.told()["password"] != "second-secret" {
		t.Errorf("a new port: %+v, told %v", u, h.worker.told())
	}
	if u := update(object{"connection_config": object{"port": nil}}); u.Source.Config["port"] != nil || u.Source.Config["host"] != "db" {
		t.Errorf("no port: %+v", u)
	}
	if u := update(object{"metadata": object{"team": "ops"}}); u.Source.Metadata["team"] != "ops" || h.worker.told()["password"] != "second-secret" {
		t.Errorf("other metadata: %+v", u)
	}
	before := h.worker.count("ConnectSource")
	for _, c := range []struct {
		change object
		status int
		field  string
	}{
		{object{}, 400, "connection_config"},
		{object{"connection_config": object{}}, 400, "connection_config"},
		{object{"connection_config": object{"passwrd": "third-secret"}}, 422, "connection_config.passwrd"},
		{object{"connection_config": object{"port": "none"}}, 422, "connection_config.port"},
		{object{"connection_config": object{"host": nil}}, 422, "connection_config.host"},
		{object{"connection_config": object{"password": "x"}, "name": "other"}, 400, "name"},
	} {
		c.change["source_id"] = id
		if r := ada.post("/data/w1/update", c.change); r.Code != c.status || r.fields() != c.field {
			t.Errorf("%v: %d %s", c.change, r.Code, r.Raw)
		}
	}
	if n := h.worker.count("ConnectSource"); n != before {
		t.Errorf("%d refused updates were sent", n-before)
	}
	// What cannot be connected stays as it was.
	if r := ada.post("/data/w1/update", object{"source_id": id, "connection_config": object{"host": "unreachable"}}); r.Code != 422 || r.code() != "unreachable" {
		t.Errorf("an unreachable host: %d %s", r.Code, r.Raw)
	}
	if r := h.as("acme", "ada", auth.RoleViewer).post("/data/w1/update", object{"source_id": id, "metadata": object{}}); r.Code != 403 {
		t.Errorf("a viewer updates: %d", r.Code)
	}
	if listed := into[[]struct{ Config map[string]any }](t, ada.get("/data/w1/list")); listed[0].Config["host"] != "db" {
		t.Errorf("listed: %+v", listed)
	}
	h.keepsQuiet("first-secret", "second-secret", "third-secret")
}

// Whoever may edit a shared source must not have its secrets sent elsewhere.
func TestUpdateSendsNoSharedSecretElsewhere(t *testing.T) {
	h := newHouse(t)
	r := h.ada().post("/data/w1/connect", object{"scope": "organization", "sources": []object{{"type": "postgresql", "name": "shop",
		"connection_config": object{"host": "db", "password": "shared-secret"}}}})
	id := into[struct {
		Sources []struct{ ID string } `json:"connected_sources"`
	}](t, r).Sources[0].ID
	bob := h.as("acme", "bob", auth.RoleEditor)
	update := func(config object) reply {
		return bob.post("/data/w1/update", object{"scope": "organization", "source_id": id, "connection_config": config})
	}
	sent := h.worker.count("ConnectSource")
	for _, config := range []object{{"host": "bobs"}, {"port": 1}, {"host": "bobs", "username": "x"}} {
		if r := update(config); r.Code != 422 || r.fields() != "connection_config.password" {
			t.Errorf("%v: %d %s", config, r.Code, r.Raw)
		}
	}
	if h.worker.count("ConnectSource") != sent {
		t.Error("a worker was told")
	}
	if r := update(object{"host": "db", "password": "known"}); r.Code != 200 || h.worker.told()["password"] != "known" {
		t.Errorf("a new password: %d %s", r.Code, r.Raw)
	}
	if r := update(object{"host": "moved", "password": "known"}); r.Code != 200 {
		t.Errorf("a new host by one who knows the password: %d %s", r.Code, r.Raw)
	}
	if r := update(object{"host": "moved"}); r.Code != 200 {
		t.Errorf("what is there already: %d %s", r.Code, r.Raw)
	}
	h.keepsQuiet("shared-secret")
}

func TestRename(t *testing.T) {
	h := newHouse(t)
	ada := h.ada()
	ids := ada.connected("user", source("landed shop", "db"), source("crm", "db"))
	ids["shop"] = ids["landed shop"]
	if r := ada.post("/data/w1/sync", object{}); r.Code != 200 {
		t.Fatal(r.Raw)
	}
	rename := func(id, name string) reply {
		return ada.post("/data/w1/rename", object{"source_id": id, "name": name})
	}
	if r := rename(ids["shop"], "store"); r.Code != 200 || !strings.Contains(r.Raw, `"name":"store"`) || !strings.Contains(r.Message, "stay where they lie") {
		t.Errorf("%d %s", r.Code, r.Raw)
	}
	if listed := into[[]struct{ ID, Name string }](t, ada.get("/data/w1/list?name=store")); len(listed) != 1 || listed[0].ID != ids["shop"] {
		t.Errorf("listed by the new name: %v", listed)
	}
	if listed := into[[]struct{ ID string }](t, ada.get("/data/w1/list?name=shop")); len(listed) != 0 {
		t.Errorf("listed by the old name: %v", listed)
	}
	tables := into[[]landedTable](t, ada.get("/data/w1/tables?source_id="+ids["shop"]))
	if len(tables) != 1 || tables[0].Source != "store" || !strings.Contains(tables[0].Location, ids["shop"]) {
		t.Errorf("tables: %+v", tables)
	}
	if r := ada.get("/data/w1/schema?source_id=" + ids["shop"]); r.Code != 200 {
		t.Errorf("schema: %s", r.Raw)
	}
	if r := ada.get("/data/w1/events?type=SourceConnected&source_id=" + ids["shop"]); !strings.Contains(r.Raw, `"name":"store"`) {
		t.Errorf("events: %s", r.Raw)
	}
	if r := rename(ids["shop"], "crm"); r.Code != 409 || r.fields() != "name" {
		t.Errorf("a name that is taken: %d %s", r.Code, r.Raw)
	}
	for _, name := range []string{"", " x", "a\nb", strings.Repeat("x", 201)} {
		if r := rename(ids["shop"], name); r.Code != 400 || r.fields() != "name" {
			t.Errorf("%q: %d %s", name, r.Code, r.Raw)
		}
	}
	if next := ada.connected("user", source("landed shop", "db"))["landed shop"]; next == ids["shop"] {
		t.Error("the next source of the name has the id of the renamed one")
	}
	op := into[struct {
		ID string `json:"operation_id"`
	}](t, rename(ids["crm"], "clients"))
	if got := into[struct{ Kind string }](t, ada.get("/data/w1/operations/"+op.ID)); got.Kind != event.KindRename {
		t.Errorf("the operation is a %s", got.Kind)
	}
}
