package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"headwater/api/iceberg"
	"headwater/api/reads"
	"headwater/bus/event"
)

// paperLake has whatever is asked for, but tables that are called dropped.
type paperLake struct{}

func (paperLake) Place(_ context.Context, a event.Address, namespace, table string) (location, metadata string, err error) {
	if table == "dropped" {
		return "", "", reads.ErrNotLanded
	}
	folder := "file:///lake/" + a.Source + "/" + namespace + "/" + table
	return folder, folder + "/metadata/00007-x.metadata.json", nil
}

func (paperLake) Bucket() map[string]string { return map[string]string{"region": "eu-1"} }

func (l paperLake) Metadata(ctx context.Context, a event.Address, namespace, table string, at time.Time) (iceberg.Table, error) {
	folder, file, err := l.Place(ctx, a, namespace, table)
	if err != nil || !at.IsZero() && at.Before(paperAge) {
		return iceberg.Table{}, iceberg.ErrNoTable
	}
	return iceberg.Table{Folder: folder, Location: file, Metadata: fmt.Appendf(nil, `{"format-version":2,"location":%q,"current-snapshot-id":2,"refs":{"main":{"snapshot-id":2,"type":"branch"}},"snapshots":[{"snapshot-id":1},{"snapshot-id":2}]}`, folder)}, nil
}

// paperAge is when the tables of the paper lake came to be.
var paperAge = time.Now().Add(-time.Hour)

// landedTable is a landed table as clients read it.
type landedTable struct {
	SourceID        string `json:"source_id"`
	Source          string
	Namespace, Name string
	Location        string
	Metadata        string `json:"metadata_location"`
	Records         int64
	SyncID          string `json:"sync_id"`
	Storage         map[string]string
}

func (t landedTable) key() string { return t.SourceID + "\x00" + t.Namespace + "\x00" + t.Name }

func TestTables(t *testing.T) {
	h := newHouse(t)
	ada := h.ada()
	ids := ada.connected("user", source("landed shop", "db"), source("landed crm", "db"), source("empty", "db"))
	ids["shop"] = ids["landed shop"]
	if r := ada.post("/data/w1/sync", object{"source_ids": []string{ids["landed shop"], ids["landed crm"]}}); r.Code != 200 {
		t.Fatal(r.Raw)
	}
	all := into[[]landedTable](t, ada.get("/data/w1/tables"))
	if len(all) != 2 || all[0].key() >= all[1].key() || all[0].Records != 42 {
		t.Fatalf("%+v", all)
	}
	one := into[[]landedTable](t, ada.get("/data/w1/tables?table=public.customers&source_id="+ids["landed shop"]))
	if len(one) != 1 || one[0].Source != "landed shop" || one[0].Metadata != "file:///lake/"+ids["landed shop"]+"/public/customers/metadata/00007-x.metadata.json" || one[0].SyncID == "" || one[0].Storage["region"] != "eu-1" {
		t.Errorf("%+v", one)
	}
	first := ada.get("/data/w1/tables?limit=1")
	rest := into[[]landedTable](t, ada.get("/data/w1/tables?limit=1&cursor="+first.NextCursor))
	if page := into[[]landedTable](t, first); len(page) != 1 || len(rest) != 1 || page[0].key() != all[0].key() || rest[0].key() != all[1].key() {
		t.Errorf("pages %+v and %+v", page, rest)
	}
	for path, want := range map[string]int{"tables?table=orders": 0, "tables?source_id=" + ids["empty"]: 0, "tables?scope=organization": 0} {
		if got := into[[]landedTable](t, ada.get("/data/w1/"+path)); len(got) != want {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if r := ada.get("/data/w1/tables?cursor=%21"); r.Code != 400 {
		t.Errorf("a bad cursor: %d", r.Code)
	}
}

func TestRefresh(t *testing.T) {
	h := newHouse(t)
	ada := h.ada()
	ids := ada.connected("user", source("shop", "db"), source("crm", "db"))
	r := ada.post("/data/w1/schema/refresh", object{"source_ids": []string{ids["shop"]}})
	if r.Code != 200 || !strings.Contains(r.Raw, `"schema_version":2`) || h.worker.count("DiscoverSchema") != 1 {
		t.Errorf("%d %s", r.Code, r.Raw)
	}
	if r := ada.post("/data/w1/schema/refresh", object{}); r.Code != 200 || h.worker.count("DiscoverSchema") != 3 {
		t.Errorf("all: %d %s", r.Code, r.Raw)
	}
	if r := ada.post("/data/w2/schema/refresh", object{}); r.Code != 200 {
		t.Errorf("none: %d %s", r.Code, r.Raw)
	}
	if r := ada.post("/data/w1/schema/refresh", object{"source_ids": []string{}}); r.Code != 400 {
		t.Errorf("an empty list: %d", r.Code)
	}
}

func TestOperationsAreListed(t *testing.T) {
	h := newHouse(t)
	ada := h.ada()
	ada.connected("user", source("shop", "db"))
	ada.connected("organization", source("shared", "db"))
	var synced []string
	for range 3 {
		synced = append(synced, into[struct {
			ID string `json:"operation_id"`
		}](t, ada.post("/data/w1/sync", object{})).ID)
	}
	type head struct {
		ID      string `json:"operation_id"`
		Kind    string
		Status  string
		Targets int `json:"targets_total"`
	}
	all := into[[]head](t, ada.get("/data/w1/operations"))
	if len(all) != 4 || all[0].ID != synced[2] || all[2].ID != synced[0] || all[3].Kind != "connect" || all[0].Targets != 1 || all[0].Status != "completed" {
		t.Fatalf("%+v", all)
	}
	if got := into[[]head](t, ada.get("/data/w1/operations?kind=sync&status=completed")); len(got) != 3 {
		t.Errorf("syncs: %+v", got)
	}
	if got := into[[]head](t, ada.get("/data/w1/operations?status=failed")); len(got) != 0 {
		t.Errorf("failed: %+v", got)
	}
	if got := into[[]head](t, ada.get("/data/w1/operations?scope=organization")); len(got) != 1 || got[0].Kind != "connect" {
		t.Errorf("shared: %+v", got)
	}
	seen, path := []string{}, "/data/w1/operations?limit=3&kind=sync"
	for cursor := ""; ; {
		r := ada.get(path + cursor)
		for _, o := range into[[]head](t, r) {
			seen = append(seen, o.ID)
		}
		if r.NextCursor == "" {
			break
		}
		cursor = "&cursor=" + r.NextCursor
		path = "/data/w1/operations?limit=3&kind=sync"
	}
	if strings.Join(seen, " ") != synced[2]+" "+synced[1]+" "+synced[0] {
		t.Errorf("paged: %v", seen)
	}
	if r := ada.get("/data/w1/operations?kind=dance"); r.Code != 400 {
		t.Errorf("an unknown kind: %d", r.Code)
	}
}

// One sync of an operation is cancelled, and the other ends as it would have.
func TestOneSyncIsCancelled(t *testing.T) {
	h := newHouse(t)
	ada := h.ada()
	ada.connected("user", source("slow one", "db"), source("slow two", "db"))
	op := into[struct {
		ID string `json:"operation_id"`
	}](t, ada.post("/data/w1/sync", object{}, "Prefer", "respond-async")).ID
	type sync struct {
		ID     string `json:"sync_id"`
		Source string `json:"source_name"`
		Status string
	}
	var running []sync
	for deadline := time.Now().Add(testLimit); len(running) < 2 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		running = into[[]sync](t, ada.get("/data/w1/syncs?status=running"))
	}
	r := ada.post("/data/w1/syncs/"+running[0].ID+"/cancel", `{}`)
	if got := into[sync](t, r); r.Code != 200 || got.ID != running[0].ID || got.Status != "cancelled" {
		t.Errorf("%d %s", r.Code, r.Raw)
	}
	if still := into[[]sync](t, ada.get("/data/w1/syncs?status=running")); len(still) != 1 || still[0].ID != running[1].ID {
		t.Errorf("still running: %+v", still)
	}
	if r := ada.post("/data/w1/syncs/"+running[0].ID+"/cancel", `{}`); r.Code != 200 || !strings.Contains(r.Message, "had ended") {
		t.Errorf("again: %d %s", r.Code, r.Raw)
	}
	h.worker.open()
	for deadline := time.Now().Add(testLimit); ; time.Sleep(5 * time.Millisecond) {
		got := into[struct{ Status string }](t, ada.get("/data/w1/operations/"+op))
		if got.Status == "partial" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the operation is %s", got.Status)
		}
	}
}
