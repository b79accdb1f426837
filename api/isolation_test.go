package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"headwater/api/auth"
)

// intruder is somebody who asks for what is ada's, and what there is of hers.
type intruder struct {
	caller
	name         string
	scope        string  // in which nothing of ada's own is
	mine, shared string  // sources: her own, and the organization's
	own, common  syncsOf // syncs of the two
	ownHook      string  // a webhook of her own
	ownToken     string  // the id of an API token of her own
}

type syncsOf struct {
	Operation string `json:"operation_id"`
	Syncs     []struct {
		ID string `json:"sync_id"`
	}
}

const madeUp = "src_aaaaaaaaaaaaaaaaaaaaaaaaaa"

// owner reports whether it is ada herself, who asks in another scope.
func (i intruder) owner() bool { return i.scope == "organization" }

// colleague reports whether what is the organization's is theirs, too.
func (i intruder) colleague() bool { return !strings.HasPrefix(i.name, "another") }

// alike holds that a foreign id looks exactly like a made-up one.
func (i intruder) alike(call func(id string) reply) {
	i.t.Helper()
	foreign, missing := call(i.mine), call(madeUp)
	if foreign.Code != 404 || missing.Code != 404 || strings.ReplaceAll(foreign.Raw, i.mine, madeUp) != missing.Raw {
		i.t.Errorf("%s: a foreign id is told from a missing one:\n%d %s\n%d %s", i.name, foreign.Code, foreign.Raw, missing.Code, missing.Raw)
	}
}

// hidden holds that a path of what is ada's own is not there for others, and one
// of what is the organization's is for colleagues alone.
func (i intruder) hidden(own, common string, ask func(path string) reply) {
	i.t.Helper()
	if r := ask(own); !i.owner() && r.Code != 404 {
		i.t.Errorf("%s asks for %s: %d %s", i.name, own, r.Code, r.Raw)
	}
	if common == "" {
		return
	}
	if r := ask(common); (r.Code == 200) != i.colleague() {
		i.t.Errorf("%s asks for the shared %s: %d", i.name, common, r.Code)
	}
}

// nothing holds that a list of the intruder's own has nothing of ada's.
func (i intruder) nothing(path string) {
	i.t.Helper()
	if r := i.get(path); !i.owner() && string(r.Data) != "[]" {
		i.t.Errorf("%s lists %s: %s", i.name, path, r.Raw)
	}
}

// ofSource is a call that reads something of one source.
func ofSource(path string) func(i intruder) {
	return func(i intruder) {
		i.alike(func(id string) reply { return i.get("/data/w1/" + path + "source_id=" + id + "&scope=" + i.scope) })
	}
}

// ofSources is a call that does something to several.
func ofSources(call string) func(i intruder) {
	return func(i intruder) {
		i.alike(func(id string) reply {
			return i.post("/data/w1/"+call, object{"scope": i.scope, "source_ids": []string{id}})
		})
		if r := i.post("/data/w1/"+call, object{"scope": i.scope, "source_ids": []string{i.shared, i.mine}}); r.Code != 404 {
			i.t.Errorf("%s: %s of a foreign id beside another: %d %s", i.name, call, r.Code, r.Raw)
		}
	}
}

// ofSchedule is a call about when a source is synced by itself.
func ofSchedule(method string, body any) func(i intruder) {
	return func(i intruder) {
		i.alike(func(id string) reply {
			return i.call(method, "/data/w1/sources/"+id+"/schedule?scope="+i.scope, body)
		})
	}
}

// ofNobody is a call that names nothing that is anybody's.
func ofNobody(intruder) {}

// intrusions are what an intruder tries, by the call of the contract.
var intrusions = map[string]func(i intruder){
	"GET /healthz":        ofNobody,
	"GET /readyz":         ofNobody,
	"GET /openapi.yaml":   ofNobody,
	"GET /asyncapi.yaml":  ofNobody,
	"GET /schemas/{name}": ofNobody,
	"GET /connectors":     ofNobody,
	"POST /data/{workspace_id}/test-connection": ofNobody,
	"POST /data/{workspace_id}/connect":         ofNobody, // the names of the caller's own
	"GET /data/{workspace_id}/schema":           ofSource("schema?"),
	"GET /data/{workspace_id}/schema/history":   ofSource("schema/history?"),
	"GET /data/{workspace_id}/schema/columns":   ofSource("schema/columns?table=t&"),
	"GET /data/{workspace_id}/checkpoints":      ofSource("checkpoints?"),
	"GET /data/{workspace_id}/preview":          ofSource("preview?table=customers&"),
	"POST /data/{workspace_id}/sync":            ofSources("sync"),
	"POST /data/{workspace_id}/restore":         ofSources("restore"),
	"POST /data/{workspace_id}/verify":          ofSources("verify"),
	"POST /data/{workspace_id}/maintenance":     ofSources("maintenance"),
	"POST /data/{workspace_id}/schema/refresh":  ofSources("schema/refresh"),
	"GET /data/{workspace_id}/tables": func(i intruder) {
		ofSource("tables?")(i)
		i.nothing("/data/w1/tables")
	},
	"POST /data/{workspace_id}/update": func(i intruder) {
		i.alike(func(id string) reply {
			return i.post("/data/w1/update", object{"scope": i.scope, "source_id": id, "connection_config": object{"password": "x"}})
		})
	},
	"POST /data/{workspace_id}/rename": func(i intruder) {
		i.alike(func(id string) reply {
			return i.post("/data/w1/rename", object{"scope": i.scope, "source_id": id, "name": "mine"})
		})
	},
	"GET /data/{workspace_id}/sources/{source_id}/schedule":    ofSchedule(http.MethodGet, nil),
	"PUT /data/{workspace_id}/sources/{source_id}/schedule":    ofSchedule(http.MethodPut, object{"every": "1h"}),
	"DELETE /data/{workspace_id}/sources/{source_id}/schedule": ofSchedule(http.MethodDelete, nil),
	"POST /data/{workspace_id}/cleanup": func(i intruder) {
		ofSources("cleanup")(i)
		if i.owner() {
			return
		}
		if r := i.post("/data/w1/cleanup", object{}); !strings.Contains(r.Raw, `"deleted_count":0`) {
			i.t.Errorf("%s cleans up: %s", i.name, r.Raw)
		}
	},
	"GET /data/{workspace_id}/list": func(i intruder) {
		i.nothing("/data/w1/list")
		if listed := into[[]object](i.t, i.get("/data/w1/list?scope=organization")); (len(listed) == 1) != i.colleague() {
			i.t.Errorf("%s sees %d shared sources", i.name, len(listed))
		}
		if listed := into[[]object](i.t, i.get("/data/w2/list?scope=organization")); len(listed) != 0 {
			i.t.Errorf("%s sees %d sources in another workspace", i.name, len(listed))
		}
	},
	"GET /data/{workspace_id}/syncs": func(i intruder) { i.nothing("/data/w1/syncs") },
	"GET /data/{workspace_id}/syncs/{sync_id}": func(i intruder) {
		i.hidden("syncs/"+i.own.Syncs[0].ID, "syncs/"+i.common.Syncs[0].ID, func(path string) reply { return i.get("/data/w1/" + path) })
	},
	"POST /data/{workspace_id}/syncs/{sync_id}/cancel": func(i intruder) {
		i.hidden("syncs/"+i.own.Syncs[0].ID+"/cancel", "", func(path string) reply { return i.post("/data/w1/"+path, `{}`) })
	},
	"GET /data/{workspace_id}/operations": func(i intruder) {
		if r := i.get("/data/w1/operations"); !i.owner() && strings.Contains(r.Raw, i.own.Operation) {
			i.t.Errorf("%s lists operations: %s", i.name, r.Raw)
		}
	},
	"GET /data/{workspace_id}/operations/{operation_id}": func(i intruder) {
		i.hidden("operations/"+i.own.Operation, "operations/"+i.common.Operation, func(path string) reply { return i.get("/data/w1/" + path) })
	},
	"POST /data/{workspace_id}/operations/{operation_id}/cancel": func(i intruder) {
		i.hidden("operations/"+i.own.Operation+"/cancel", "", func(path string) reply { return i.post("/data/w1/"+path, `{}`) })
	},
	"GET /data/{workspace_id}/events": func(i intruder) {
		r := i.get("/data/w1/events?limit=500&scope=user")
		// What the intruder was refused stands in the intruder's own history.
		if !i.owner() && strings.Contains(r.Raw, `"subject":"`+i.mine) {
			i.t.Errorf("%s reads events of %s: %s", i.name, i.mine, r.Raw)
		}
	},
	// An admin sees the tokens of all, and another scope's are the owner's own: how
	// far each may is TestTokensAreBounded.
	"POST /data/{workspace_id}/tokens": ofNobody,
	"GET /data/{workspace_id}/tokens": func(i intruder) {
		if !i.owner() && i.name != "an admin" {
			i.nothing("/data/w1/tokens?all=true")
		}
	},
	"DELETE /data/{workspace_id}/tokens/{token_id}": func(i intruder) {
		if !i.owner() && i.name != "an admin" {
			i.hidden("tokens/"+i.ownToken, "", func(path string) reply { return i.call(http.MethodDelete, "/data/w1/"+path, nil) })
		}
	},
	"POST /data/{workspace_id}/webhooks": ofNobody,
	"GET /data/{workspace_id}/webhooks":  func(i intruder) { i.nothing("/data/w1/webhooks") },
	"GET /data/{workspace_id}/webhooks/{webhook_id}": func(i intruder) {
		i.hidden("webhooks/"+i.ownHook, "", func(path string) reply { return i.get("/data/w1/" + path) })
	},
	"DELETE /data/{workspace_id}/webhooks/{webhook_id}": func(i intruder) {
		if !i.owner() {
			i.hidden("webhooks/"+i.ownHook, "", func(path string) reply { return i.call(http.MethodDelete, "/data/w1/"+path, nil) })
		}
	},
	"POST /data/{workspace_id}/webhooks/{webhook_id}/test": func(i intruder) {
		i.hidden("webhooks/"+i.ownHook+"/test", "", func(path string) reply { return i.post("/data/w1/"+path, nil) })
	},
	"POST /data/{workspace_id}/webhooks/{webhook_id}/rotate": func(i intruder) {
		i.hidden("webhooks/"+i.ownHook+"/rotate", "", func(path string) reply { return i.post("/data/w1/"+path, nil) })
	},
}

// TestIsolation has intruders try every call of the contract on everything that
// is somebody else's. A call that it does not know fails.
func TestIsolation(t *testing.T) {
	h := newHouse(t)
	ada := h.ada()
	mine := ada.connected("user", source("landed own", "db"))["landed own"]
	shared := ada.connected("organization", source("shared", "db"))["shared"]
	own := into[syncsOf](t, ada.post("/data/w1/sync", object{}))
	common := into[syncsOf](t, ada.post("/data/w1/sync", object{"scope": "organization"}))
	hook := into[webhookDoc](t, ada.post("/data/w1/webhooks", object{"url": "http://127.0.0.1:1/in"}))

	token, _ := ada.made(object{"name": "own"})

	var calls []string
	for path, item := range h.contract.Paths.Map() {
		for method := range item.Operations() {
			calls = append(calls, method+" "+path)
		}
	}
	slices.Sort(calls)
	for _, call := range calls {
		if intrusions[call] == nil {
			t.Errorf("the contract has %s, and TestIsolation does not try it: say in intrusions what of another's it could name", call)
		}
	}
	for call := range intrusions {
		if !slices.Contains(calls, call) {
			t.Errorf("TestIsolation tries %s, which the contract has not", call)
		}
	}
	for name, c := range map[string]caller{
		"a colleague":            h.as("acme", "bob", auth.RoleEditor),
		"an admin":               h.as("acme", "root", auth.RoleAdmin),
		"another organization":   h.as("other", "ada", auth.RoleEditor),
		"a user named like _":    h.as("acme", "_", auth.RoleEditor),
		"the owner, other scope": ada,
	} {
		i := intruder{caller: c, name: name, scope: "user", mine: mine, shared: shared, own: own, common: common, ownHook: hook.ID, ownToken: token.ID}
		if c.token == ada.token {
			i.scope = "organization"
		}
		for _, call := range calls {
			if try := intrusions[call]; try != nil {
				try(i)
			}
		}
	}
	if r := ada.post("/data/w2/cleanup", object{"source_ids": []string{mine}}); r.Code != 404 {
		t.Errorf("the owner in another workspace: %d", r.Code)
	}
	for _, verb := range []string{"RenameSource", "ChangeSchedule", "DiscoverSchema", "CancelOperation"} {
		if n := h.worker.count(verb); n != 0 {
			t.Errorf("%d of %s were sent", n, verb)
		}
	}
	if n := h.worker.count("ConnectSource"); n != 2 {
		t.Errorf("%d connects, want the owner's 2", n)
	}
	if n := h.worker.count("RemoveSource"); n != 0 {
		t.Errorf("%d sources were removed by others", n)
	}
	if n := h.worker.count("SyncSource"); n != 2 {
		t.Errorf("%d syncs, want the owner's 2", n)
	}
}
