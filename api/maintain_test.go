package api

import "testing"

// A maintenance answers what it did to each table, and names the sources of which
// nothing has landed.
func TestMaintenance(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	ids := c.connected("user", source("shop", "db"), source("empty", "db"))
	type maintained struct {
		Sources []struct {
			SourceID string `json:"source_id"`
			Tables   []struct {
				Name, Status string
				SnapshotID   string `json:"snapshot_id"`
				Before       int    `json:"files_before"`
				After        int    `json:"files_after"`
			}
		} `json:"maintained_sources"`
		Failed []struct {
			SourceID string `json:"source_id"`
			Reason   string
		} `json:"failed_sources"`
		OperationID string `json:"operation_id"`
	}
	r := c.post("/data/w1/maintenance", object{"tables": []string{"public.*"}})
	m := into[maintained](t, r)
	if r.Code != 200 || len(m.Sources) != 1 || m.Sources[0].SourceID != ids["shop"] || len(m.Sources[0].Tables) != 1 || len(m.Failed) != 1 || m.Failed[0].SourceID != ids["empty"] {
		t.Fatalf("%d %s", r.Code, r.Raw)
	}
	if v := m.Sources[0].Tables[0]; v.Name != "customers" || v.Status != "maintained" || v.SnapshotID != "5000000000000001000" || v.Before != 9 || v.After != 1 {
		t.Errorf("the table is %+v", v)
	}
	if r := c.get("/data/w1/operations?kind=maintain"); r.Code != 200 || len(into[[]struct{}](t, r)) != 1 {
		t.Errorf("listed are %s", r.Raw)
	}
	if r := c.post("/data/w1/maintenance", object{"source_ids": []string{ids["empty"]}}); r.Code != 422 {
		t.Errorf("of nothing that landed: %d %s", r.Code, r.Raw)
	}
}
