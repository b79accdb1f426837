package api

import (
	"strings"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/api/call"
)

type back struct {
	Count     int      `json:"restored_count"`
	Restored  []string `json:"restored_sources"`
	Unchanged []string `json:"unchanged_sources"`
	Failed    []struct {
		SourceID string `json:"source_id"`
		Reason   string
	} `json:"failed_sources"`
	DryRun bool `json:"dry_run"`
}

type removedDoc struct {
	ID, Name, Status string
	RemovedAt        time.Time `json:"removed_at"`
	DestroyedAfter   time.Time `json:"destroyed_after"`
}

func TestRestore(t *testing.T) {
	h := newHouse(t)
	h.worker.keepFor(time.Hour)
	c := h.ada()
	ids := c.connected("user", source("one", "db"))
	ids["two"] = c.connected("user", source("two", "db"))["two"] // after it: lists are in this order
	before := c.get("/data/w1/list")
	r := c.post("/data/w1/cleanup", object{})
	gone := into[struct {
		Count int       `json:"deleted_count"`
		Until time.Time `json:"restorable_until"`
	}](t, r)
	if r.Code != 200 || gone.Count != 2 || time.Until(gone.Until) < 59*time.Minute || !strings.Contains(r.Message, "restore brings back") {
		t.Fatalf("cleanup: %s", r.Raw)
	}
	if r = c.get("/data/w1/list"); string(r.Data) != "[]" {
		t.Errorf("left: %s", r.Raw)
	}
	removed := into[[]removedDoc](t, c.get("/data/w1/list?removed=true"))
	if len(removed) != 2 || removed[0].ID != ids["one"] || removed[0].Status != "removed" || time.Since(removed[0].RemovedAt) > time.Minute || time.Until(removed[0].DestroyedAfter) < 59*time.Minute {
		t.Errorf("removed: %+v", removed)
	}
	page := c.get("/data/w1/list?removed=true&limit=1")
	if rest := c.get("/data/w1/list?removed=true&limit=1&cursor=" + page.NextCursor); page.NextCursor == "" || !strings.Contains(rest.Raw, ids["two"]) || strings.Contains(rest.Raw, ids["one"]) {
		t.Errorf("pages: %s\n%s", page.Raw, rest.Raw)
	}

	dry := into[back](t, c.post("/data/w1/restore", object{"source_ids": []string{ids["one"]}, "dry_run": true}))
	if !dry.DryRun || dry.Count != 1 || h.worker.count("RestoreSource") != 0 {
		t.Errorf("dry run: %+v", dry)
	}
	r = c.post("/data/w1/restore", object{"source_ids": []string{ids["one"], ids["two"]}}, "Idempotency-Key", "undo")
	if b := into[back](t, r); r.Code != 200 || b.Count != 2 {
		t.Fatalf("restore: %s", r.Raw)
	}
	if again := c.post("/data/w1/restore", object{"source_ids": []string{ids["one"], ids["two"]}}, "Idempotency-Key", "undo"); again.Raw != r.Raw {
		t.Errorf("repeated: %s", again.Raw)
	}
	if n := h.worker.count("RestoreSource"); n != 2 {
		t.Errorf("%d restores were commanded, want 2", n)
	}
	for _, name := range []string{"id", "name", "created_at", "config_version"} {
		was, is := into[[]object](t, before), into[[]object](t, c.get("/data/w1/list"))
		if len(is) != 2 || was[0][name] != is[0][name] || was[1][name] != is[1][name] {
			t.Errorf("%s of the restored: %v, was %v", name, is, was)
		}
	}
	if r = c.post("/data/w1/restore", object{"source_ids": []string{ids["one"]}}); into[back](t, r).Unchanged[0] != ids["one"] {
		t.Errorf("restore of what is there: %s", r.Raw)
	}
	if r = c.get("/data/w1/list?removed=true"); string(r.Data) != "[]" {
		t.Errorf("still removed: %s", r.Raw)
	}
}

// As of a time: what was there then and is gone, and nothing else.
func TestRestoreAsOf(t *testing.T) {
	h := newHouse(t)
	h.worker.keepFor(time.Hour)
	c := h.ada()
	ids := c.connected("user", source("gone before", "db"), source("one", "db"))
	c.post("/data/w1/cleanup", object{"source_ids": []string{ids["gone before"]}})
	then := c.get("/data/w1/list").Header.Get(call.HeaderSequence)
	later := c.connected("user", source("later", "db"))
	shared := c.connected("organization", source("one", "db"))
	c.post("/data/w1/cleanup", object{})
	c.post("/data/w1/cleanup", object{"scope": "organization"})
	for _, dry := range []bool{true, false} {
		r := c.post("/data/w1/restore", object{"as_of": then, "dry_run": dry})
		if b := into[back](t, r); b.Count != 1 || b.Restored[0] != ids["one"] {
			t.Errorf("dry %v: %s; later %v shared %v", dry, r.Raw, later, shared)
		}
	}
	if r := c.post("/data/w1/restore", object{"as_of": then}); r.Code != 200 || into[back](t, r).Count != 0 {
		t.Errorf("of nothing: %s", r.Raw)
	}
}

func TestRestoreTellsWhyNot(t *testing.T) {
	h := newHouse(t)
	h.worker.keepFor(time.Hour)
	c := h.ada()
	old := c.connected("user", source("one", "db"), source("two", "db"))
	c.post("/data/w1/cleanup", object{})
	c.connected("user", source("one", "db"))

	both := []string{old["one"], old["two"]}
	if b := into[back](t, c.post("/data/w1/restore", object{"source_ids": both, "dry_run": true})); b.Count != 1 || len(b.Failed) != 1 || b.Failed[0].Reason != "conflict" {
		t.Errorf("dry run: %+v", b)
	}
	r := c.post("/data/w1/restore", object{"source_ids": both})
	if b := into[back](t, r); r.Code != 200 || b.Count != 1 || len(b.Failed) != 1 || b.Failed[0].SourceID != old["one"] || b.Failed[0].Reason != "conflict" {
		t.Errorf("one of two: %s", r.Raw)
	}
	if r = c.post("/data/w1/restore", object{"source_ids": []string{old["one"]}}); r.Code != 409 || r.Error.Code != "conflict" || r.Error.Details[0].Field != "source_ids[0]" {
		t.Errorf("the name is taken: %d %s", r.Code, r.Raw)
	}
	if r = c.post("/data/w1/restore", object{"source_ids": []string{old["one"]}, "names": object{old["one"]: "first one"}}); r.Code != 200 {
		t.Errorf("another name: %s", r.Raw)
	}
	if listed := into[[]removedDoc](t, c.get("/data/w1/list?name=first+one")); len(listed) != 1 || listed[0].ID != old["one"] {
		t.Errorf("under the other name: %+v", listed)
	}

	h.worker.keepFor(time.Nanosecond)
	c.post("/data/w1/cleanup", object{"source_ids": []string{old["one"]}})
	h.worker.keepFor(time.Hour)
	c.post("/data/w1/cleanup", object{"source_ids": []string{old["two"]}})
	if r = c.post("/data/w1/cleanup", object{"source_ids": []string{old["two"]}}); r.Code != 404 {
		t.Errorf("a removed source is removed again: %s", r.Raw)
	}
	if r = c.post("/data/w1/cleanup", object{"source_ids": []string{old["two"]}, "purge": true}); r.Code != 200 {
		t.Errorf("purge of a removed source: %s", r.Raw)
	}
	for _, id := range both { // too late, and purged
		if r = c.post("/data/w1/restore", object{"source_ids": []string{id}}); r.Code != 410 || r.Error.Code != "purged" {
			t.Errorf("restore of what is destroyed: %d %s", r.Code, r.Raw)
		}
		if b := into[back](t, c.post("/data/w1/restore", object{"source_ids": []string{id}, "dry_run": true})); b.Count != 0 || b.Failed[0].Reason != "purged" {
			t.Errorf("dry run of it: %+v", b)
		}
	}
	if r = c.post("/data/w1/cleanup", object{"source_ids": []string{old["two"]}, "purge": true}); r.Code != 404 {
		t.Errorf("purge of what is purged: %s", r.Raw)
	}
	if viewer := h.as("acme", "ada", auth.RoleViewer); viewer.post("/data/w1/restore", object{"as_of": "1"}).Code != 403 {
		t.Error("a viewer restores")
	}
}
