package client

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/cmd/headwater/client/clienttest"
	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
)

const (
	opRunning = `{"operation_id":"op_1","kind":"sync","status":"running","targets":[
		{"source_id":"src_a","name":"airports","status":"running","sync_id":"syn_a"},
		{"source_id":"src_b","name":"crm","status":"running","sync_id":"syn_b"}]}`
	opPartial = `{"operation_id":"op_1","kind":"sync","status":"partial","targets":[
		{"source_id":"src_a","name":"airports","status":"completed","sync_id":"syn_a"},
		{"source_id":"src_b","name":"crm","status":"failed","sync_id":"syn_b","reason":"permission","message":"not allowed to read people"}]}`
	syncRunning = `{"sync_id":"syn_a","source_id":"src_a","source_name":"airports","status":"running","mode":"full_refresh","records_processed":1000,"tables":[
		{"name":"airports","status":"running","mode":"full_refresh","records_processed":1000,"duration_ms":200}]}`
	syncFailed = `{"sync_id":"syn_b","source_id":"src_b","source_name":"crm","status":"failed","mode":"full_refresh","records_processed":0,"duration_ms":40,"tables":[
		{"name":"people","namespace":"public","status":"failed","mode":"full_refresh","message":"not allowed to read people","duration_ms":40}],
		"error":{"reason":"permission","message":"not allowed to read people"}}`
)

func TestSyncFollowsToTheEnd(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"POST /data/w1/sync":           clienttest.Accepts,
		"GET /data/w1/operations/op_1": clienttest.Looks(opRunning, opRunning, opRunning, opPartial),
		"GET /data/w1/syncs/syn_a":     clienttest.Looks("", syncRunning, clienttest.SyncDone),
		"GET /data/w1/syncs/syn_b":     clienttest.Looks("", "", syncFailed),
	})
	s, out, errs := clienttest.Streams("")
	err := (&SyncCmd{ClientFlags: flagsFor(api), Sources: []string{"src_a", "src_b", "src_a"}, SyncFlags: flags.SyncFlags{Mode: "full_refresh", Table: []string{"airports"}, BatchSize: 500}}).Run(t.Context(), s)
	if err == nil {
		t.Fatal("a sync that failed in part is no success")
	}
	clienttest.Same(t, "error", err.Error(), "sync partial\n  crm: failed: permission: not allowed to read people")
	clienttest.Same(t, "output", out.String(), `
SOURCE    TABLE          STATUS     MODE           ROWS    BYTES    TIME  ROWS/S
airports  airports       completed  full_refresh  3,376  146 KiB  500 ms   6,752
crm       public.people  failed     full_refresh      0      0 B   40 ms
3,376 rows, 146 KiB in 2 tables of 2 sources
`)
	clienttest.Same(t, "progress", errs.String(), `
  ✓ airports: airports: 3,376 rows, 6,752 rows/s, 500 ms
  ✗ crm: public.people: not allowed to read people
`)
	if asked := api.Asked("GET /data/w1/syncs/syn_a"); len(asked) != 3 {
		t.Errorf("a sync that is over was read again: %d times in all", len(asked))
	}
	asked := api.Asked("POST /data/w1/sync")[0]
	clienttest.Same(t, "request", asked.Body, `{"scope":"user","source_ids":["src_a","src_b"],"sync_options":{"batch_size":500,"mode":"full_refresh","tables":["airports"]}}`)
	clienttest.Same(t, "preference", asked.Header.Get("Prefer"), "respond-async")
}

// A table that failed in a sync whose other tables landed is an error too.
func TestPartialSyncIsAnError(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"POST /data/w1/sync": clienttest.Accepts, "GET /data/w1/operations/op_1": clienttest.Looks(clienttest.OpDone),
		"GET /data/w1/syncs/syn_a": clienttest.Looks(`{"sync_id":"syn_a","source_name":"crm","status":"partial","records_processed":5,"tables":[
			{"name":"a","status":"completed","records_processed":5},{"name":"b","status":"failed","message":"cannot be read"}]}`),
	})
	s, _, _ := clienttest.Streams("")
	err := (&SyncCmd{ClientFlags: flagsFor(api)}).Run(t.Context(), s)
	if err == nil || err.Error() != "1 table not synced\n  crm: b: failed: cannot be read" {
		t.Errorf("got %v", err)
	}
}

func TestSyncJSON(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"POST /data/w1/sync": clienttest.Accepts, "GET /data/w1/operations/op_1": clienttest.Looks(clienttest.OpDone), "GET /data/w1/syncs/syn_a": clienttest.Looks(clienttest.SyncDone),
	})
	flags := flagsFor(api)
	flags.JSON = true
	s, out, _ := clienttest.Streams("")
	if err := (&SyncCmd{ClientFlags: flags}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"records_processed": 3376`, `"operation_id": "op_1"`, `"sync_id": "syn_a"`} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%s is not in %s", part, out)
		}
	}
}

func TestNothingToSync(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{"POST /data/w1/sync": clienttest.Says(`{"records_processed":0,"syncs":[]}`)})
	s, out, errs := clienttest.Streams("")
	if err := (&SyncCmd{ClientFlags: flagsFor(api)}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "output", out.String()+errs.String(), "there is nothing to sync with scope user in workspace w1\n")
}

// A sync that only waited for a continuous one says so, and not that nothing was done.
func TestSyncBesideAContinuousOne(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"POST /data/w1/sync": clienttest.Accepts, "GET /data/w1/operations/op_1": clienttest.Looks(clienttest.OpDone),
		"GET /data/w1/syncs/syn_a": clienttest.Looks(`{"sync_id":"syn_a","source_name":"crm","status":"completed","mode":"cdc","tables":[]}`),
	})
	s, out, _ := clienttest.Streams("")
	if err := (&SyncCmd{ClientFlags: flagsFor(api)}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "output", out.String(), "what there was has landed, by the sync that goes on\n")
}

const half = `{"fraction":0.5,"rows":1000,"rows_per_second":500,"row_estimate":2000,"eta_seconds":2,"tables_ended":0,"tables_total":1,"tables":[
	{"name":"airports","status":"running","fraction":0.5,"rows":1000,"rows_per_second":500,"row_estimate":2000,"eta_seconds":2}]}`

// On a terminal a bar counts rows, and the lines of tables stand above it.
func TestSyncBar(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"POST /data/w1/sync":           clienttest.Accepts,
		"GET /data/w1/operations/op_1": clienttest.Looks(opRunning, clienttest.OpDone),
		"GET /data/w1/syncs/syn_a":     clienttest.Looks(strings.TrimSuffix(syncRunning, "}")+`,"progress":`+half+`}`, clienttest.SyncDone),
		"GET /data/w1/syncs/syn_b":     clienttest.Looks(""),
	})
	s, _, errs := clienttest.Streams("")
	s.Terminal = true
	if err := (&SyncCmd{ClientFlags: flagsFor(api), Sources: []string{"src_a"}}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	shown := errs.String()
	bar := strings.Index(shown, "  airports               ███████░░░░░░░  50%       1,000       500/s   2s left\n")
	line := strings.Index(shown, "✓ airports: airports: 3,376 rows")
	if bar < 0 || line < bar {
		t.Errorf("want a bar at half its way, then the table's line; got %q", shown)
	}
	if !strings.HasSuffix(shown, "\x1b[1A\r\x1b[J") {
		t.Errorf("the bar still stands: %q", shown)
	}
}

func TestInterruptLeavesTheSyncRunning(t *testing.T) {
	for name, cancels := range map[string]bool{"goes on": false, "--cancel": true} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithTimeout(t.Context(), time.Minute)
			defer interrupt()
			var cancelled atomic.Bool
			api := clienttest.New(t, map[string]http.HandlerFunc{
				"POST /data/w1/sync": clienttest.Accepts,
				"GET /data/w1/operations/op_1": func(w http.ResponseWriter, r *http.Request) {
					if cancelled.Load() {
						clienttest.Says(`{"operation_id":"op_1","kind":"sync","status":"cancelled","targets":[]}`)(w, r)
						return
					}
					clienttest.Says(opRunning)(w, r)
					interrupt()
				},
				"POST /data/w1/operations/op_1/cancel": func(w http.ResponseWriter, r *http.Request) {
					cancelled.Store(true)
					clienttest.Says(`{"operation_id":"op_1"}`)(w, r)
				},
			})
			s, _, _ := clienttest.Streams("")
			err := (&SyncCmd{ClientFlags: flagsFor(api), Cancel: cancels}).Run(ctx, s)
			want := "stopped following (context canceled); it goes on in the service: 'headwater operation op_1' shows it, with --cancel it ends"
			if cancels {
				want = "interrupted; the sync ended as cancelled"
			}
			if err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			if cancelled.Load() != cancels {
				t.Errorf("cancelled: %v", cancelled.Load())
			}
		})
	}
}

func TestOperationAndSyncs(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"GET /data/w1/operations/op_1": clienttest.Looks(opPartial),
		"GET /data/w1/syncs":           clienttest.Says(`[` + syncFailed + `]`),
		"GET /data/w1/syncs/syn_b":     clienttest.Looks(syncFailed),
	})
	s, out, _ := clienttest.Streams("")
	err := (&OperationCmd{ClientFlags: flagsFor(api), ID: "op_1", Wait: true}).Run(t.Context(), s)
	if err == nil || !strings.HasPrefix(err.Error(), "sync partial") {
		t.Errorf("got %v", err)
	}
	_, table, _ := strings.Cut(out.String(), "\n")
	clienttest.Same(t, "operation", table, `
SOURCE    STATUS     REASON      SYNC   MESSAGE
airports  completed              syn_a
crm       failed     permission  syn_b  not allowed to read people
`)
	for id, want := range map[string]string{"": "syn_b  crm     failed  full_refresh     0    0 B  40 ms", "syn_b": "permission: not allowed to read people"} {
		s, out, _ := clienttest.Streams("")
		if err := (&SyncsCmd{ClientFlags: flagsFor(api), ID: id, Limit: 5}).Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if query := api.Asked("GET /data/w1/syncs")[0].Query; query != "limit=5&scope=user" {
		t.Errorf("asked for %q", query)
	}
}

// A followed sync of which a table was not synced is no success, and says why.
func TestFollowedSyncIsPartial(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"GET /data/w1/sources": clienttest.Says(`[{"id":"src_a","name":"crm"}]`),
		"GET /data/w1/syncs":   clienttest.Says(`[{"sync_id":"syn_a","status":"running"}]`),
		"GET /data/w1/syncs/syn_a": clienttest.Looks(`{"sync_id":"syn_a","source_name":"crm","status":"partial","tables":[
			{"name":"a","status":"completed","records_processed":5},{"name":"b","status":"failed","set_aside":true,"message":"it has no key"}]}`),
	})
	s, _, errs := clienttest.Streams("")
	err := (&SyncCmd{ClientFlags: flagsFor(api), Sources: []string{"src_a"}, Follow: true}).Run(t.Context(), s)
	if err == nil || err.Error() != "1 table not synced\n  crm: b: failed: it has no key" {
		t.Errorf("got %v", err)
	}
	if !strings.HasSuffix(errs.String(), "the sync ended as partial\n") || strings.Contains(errs.String(), "no key") {
		t.Errorf("said %q", errs)
	}
}

// A running sync has taken the time since it began.
func TestTimeOfARunningSync(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	running := rest.SyncDoc{Status: "running", StartedAt: now.Add(-90 * time.Second)}
	ended := rest.SyncDoc{Status: "completed", StartedAt: now.Add(-90 * time.Second), DurationMS: 1500}
	if syncTook(&running, now) != "1m30s" || syncTook(&ended, now) != "1.5 s" {
		t.Errorf("%q and %q", syncTook(&running, now), syncTook(&ended, now))
	}
	if got := tableTook(&rest.TableSync{Status: "running"}) + tableTook(&rest.TableSync{Status: "completed"}); got != "0 ms" {
		t.Errorf("of tables: %q", got)
	}
}

// A source that is synced continuously says how far it is behind.
func TestLag(t *testing.T) {
	seconds, now := int64(2), time.Now()
	at := now.Add(-7900 * time.Millisecond)
	on := &rest.ScheduleDoc{Continuous: true}
	if got := lag(&rest.ChangesDoc{BehindSeconds: &seconds, At: &now}, on, now); got != ", 2s behind" {
		t.Errorf("lag %q", got)
	}
	if got := lag(&rest.ChangesDoc{BehindSeconds: &seconds, At: &at}, on, now); got != ", 2s behind (7s ago)" {
		t.Errorf("an older lag %q", got)
	}
	if got := lag((*rest.ChangesDoc)(nil), on, now); got != "" {
		t.Errorf("no lag is %q", got)
	}
}
