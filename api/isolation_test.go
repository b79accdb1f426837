package api

import (
	"strings"
	"testing"

	"headwater/api/auth"
)

// TestIsolation tries everything that names something on everything that is
// somebody else's. A foreign id must look exactly like a made-up one.
func TestIsolation(t *testing.T) {
	h := newHouse(t)
	ada := h.ada()
	mine := ada.connected("user", source("landed own", "db"))["landed own"]
	shared := ada.connected("organization", source("shared", "db"))["shared"]
	type synced struct {
		Operation string `json:"operation_id"`
		Syncs     []struct {
			ID string `json:"sync_id"`
		}
	}
	own := into[synced](t, ada.post("/data/w1/sync", object{}))
	common := into[synced](t, ada.post("/data/w1/sync", object{"scope": "organization"}))
	const made = "src_aaaaaaaaaaaaaaaaaaaaaaaaaa"

	for name, c := range map[string]caller{
		"a colleague":            h.as("acme", "bob", auth.RoleEditor),
		"an admin":               h.as("acme", "root", auth.RoleAdmin),
		"another organization":   h.as("other", "ada", auth.RoleEditor),
		"a user named like _":    h.as("acme", "_", auth.RoleEditor),
		"the owner, other scope": ada,
	} {
		scope := "user"
		if c.token == ada.token {
			scope = "organization"
		}
		colleague := !strings.HasPrefix(name, "another")
		alike := func(call func(id string) reply) {
			t.Helper()
			foreign, missing := call(mine), call(made)
			if foreign.Code != 404 || missing.Code != 404 || strings.ReplaceAll(foreign.Raw, mine, made) != missing.Raw {
				t.Errorf("%s: a foreign id is told from a missing one:\n%d %s\n%d %s", name, foreign.Code, foreign.Raw, missing.Code, missing.Raw)
			}
		}
		alike(func(id string) reply { return c.get("/data/w1/schema?source_id=" + id + "&scope=" + scope) })
		alike(func(id string) reply { return c.get("/data/w1/schema/history?source_id=" + id + "&scope=" + scope) })
		alike(func(id string) reply {
			return c.get("/data/w1/schema/columns?table=t&source_id=" + id + "&scope=" + scope)
		})
		alike(func(id string) reply { return c.get("/data/w1/tables?source_id=" + id + "&scope=" + scope) })
		alike(func(id string) reply {
			return c.get("/data/w1/preview?table=customers&source_id=" + id + "&scope=" + scope)
		})
		alike(func(id string) reply {
			return c.post("/data/w1/update", object{"scope": scope, "source_id": id, "connection_config": object{"password": "x"}})
		})
		alike(func(id string) reply {
			return c.post("/data/w1/rename", object{"scope": scope, "source_id": id, "name": "mine"})
		})
		for _, call := range []string{"sync", "cleanup", "restore", "verify", "schema/refresh"} {
			alike(func(id string) reply {
				return c.post("/data/w1/"+call, object{"scope": scope, "source_ids": []string{id}})
			})
			if r := c.post("/data/w1/"+call, object{"scope": scope, "source_ids": []string{shared, mine}}); r.Code != 404 {
				t.Errorf("%s: %s of a foreign id beside another: %d %s", name, call, r.Code, r.Raw)
			}
		}
		if c.token != ada.token {
			for _, path := range []string{"operations/" + own.Operation, "syncs/" + own.Syncs[0].ID} {
				if r := c.get("/data/w1/" + path); r.Code != 404 {
					t.Errorf("%s reads %s: %d", name, path, r.Code)
				}
			}
			if r := c.post("/data/w1/operations/"+own.Operation+"/cancel", `{}`); r.Code != 404 {
				t.Errorf("%s cancels: %d", name, r.Code)
			}
			if r := c.get("/data/w1/list"); string(r.Data) != "[]" {
				t.Errorf("%s lists %s", name, r.Raw)
			}
			if r := c.post("/data/w1/syncs/"+own.Syncs[0].ID+"/cancel", `{}`); r.Code != 404 {
				t.Errorf("%s cancels a sync: %d", name, r.Code)
			}
			if r := c.get("/data/w1/tables"); string(r.Data) != "[]" {
				t.Errorf("%s sees where tables lie: %s", name, r.Raw)
			}
			if r := c.get("/data/w1/operations"); strings.Contains(r.Raw, own.Operation) {
				t.Errorf("%s lists operations: %s", name, r.Raw)
			}
			if r := c.get("/data/w1/syncs"); string(r.Data) != "[]" {
				t.Errorf("%s lists syncs %s", name, r.Raw)
			}
			if r := c.post("/data/w1/cleanup", object{}); !strings.Contains(r.Raw, `"deleted_count":0`) {
				t.Errorf("%s cleans up: %s", name, r.Raw)
			}
		}
		for _, path := range []string{"operations/" + common.Operation, "syncs/" + common.Syncs[0].ID} {
			if r := c.get("/data/w1/" + path); (r.Code == 200) != colleague {
				t.Errorf("%s reads the shared %s: %d", name, path, r.Code)
			}
		}
		if listed := into[[]object](t, c.get("/data/w1/list?scope=organization")); (len(listed) == 1) != colleague {
			t.Errorf("%s sees %d shared sources", name, len(listed))
		}
		if listed := into[[]object](t, c.get("/data/w2/list?scope=organization")); len(listed) != 0 {
			t.Errorf("%s sees %d sources in another workspace", name, len(listed))
		}
	}
	if r := ada.post("/data/w2/cleanup", object{"source_ids": []string{mine}}); r.Code != 404 {
		t.Errorf("the owner in another workspace: %d", r.Code)
	}
	for _, verb := range []string{"RenameSource", "DiscoverSchema", "CancelOperation"} {
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
