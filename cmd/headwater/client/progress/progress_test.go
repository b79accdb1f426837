package progress

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/cmd/headwater/client/clienttest"
	"headwater/cmd/headwater/client/rest"
)

// A service that restarts while a sync is followed is waited for; one that says
// the operation does not exist is not.
func TestFollowOutlivesAnOutage(t *testing.T) {
	failing := atomic.Int64{}
	failing.Store(3)
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"POST /data/w1/sync": clienttest.Accepts,
		"GET /data/w1/operations/op_1": func(w http.ResponseWriter, r *http.Request) {
			if failing.Add(-1) >= 0 {
				clienttest.Refuses(500, "starting", `[]`)(w, r)
				return
			}
			clienttest.Says(clienttest.OpDone)(w, r)
		},
		"GET /data/w1/syncs/syn_a": clienttest.Looks(clienttest.SyncDone),
	})
	c, err := rest.New(api.URL, "the-token", "w1")
	if err != nil {
		t.Fatal(err)
	}
	c.Poll = time.Millisecond
	s, _, _ := clienttest.Streams("")
	op, syncs, err := Follow(t.Context(), c, "op_1", New(s))
	if err != nil || op.Status != "completed" || len(syncs) != 1 {
		t.Errorf("got %+v, %+v, %v", op, syncs, err)
	}
	if _, _, err := Follow(t.Context(), c, "op_2", New(s)); !rest.NotFound(err) {
		t.Errorf("got %v", err)
	}
	failing.Store(1 << 40)
	if _, _, err := Follow(t.Context(), c, "op_1", New(s)); err == nil || !strings.Contains(err.Error(), "the sync is op_1 and may go on") {
		t.Errorf("got %v", err)
	}
}

func TestLongTablesAreRemarkedOn(t *testing.T) {
	s, _, errs := clienttest.Streams("")
	p := New(s)
	doc := rest.SyncDoc{SyncID: "syn_a", SourceName: "crm", Status: "running", UpdatedAt: time.Now(),
		Tables: []rest.TableSync{{Name: "people", Status: "running", Records: 20_000, RowsRead: 40_000, Rate: 2000}}}
	p.show([]rest.SyncDoc{doc})
	clienttest.Same(t, "too early", errs.String(), "")
	p.spoke = time.Now().Add(-p.remark)
	p.show([]rest.SyncDoc{doc})
	p.show([]rest.SyncDoc{doc})
	clienttest.Same(t, "a remark", errs.String(), "  … crm: people: 40,000 rows, 2,000 rows/s\n")
}
