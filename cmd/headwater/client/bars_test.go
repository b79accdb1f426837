package client

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clipperhouse/displaywidth"

	"headwater/cmd/headwater/client/clienttest"
)

func TestBars(t *testing.T) {
	now := time.Now()
	third, eta, rows := 0.34, int64(130), int64(5_000_000)
	waiting := now.Add(-3 * time.Minute)
	sync := SyncDoc{SourceName: "shop", Status: "running", UpdatedAt: now.Add(-time.Minute), Progress: &progressDoc{
		measure: measure{Fraction: &third, Rows: 1_700_000, Rate: 26_000, Estimate: &rows, ETA: &eta}, TablesEnded: 2, TablesTotal: 12,
		Tables: []tableProgress{
			{Name: "done", Status: "completed"},
			{Name: "orders", Namespace: "public", Status: "running", measure: measure{Fraction: &third, Rows: 1_700_000, Rate: 26_000, ETA: &eta}},
			{Name: "a_table_with_a_name_that_is_long", Namespace: "public", Status: "running", measure: measure{Rows: 12}},
			{Name: "slow_lake", Status: "running", measure: measure{Fraction: &third, Rows: 1_700_000, ETA: &eta, WaitingFor: "uploading to the lake", Uploaded: 3_500_000}},
			{Name: "still", Status: "running", measure: measure{Rows: 5, WaitingSince: &waiting}},
		},
	}}
	clienttest.Same(t, "bars", strings.Join(barsOf([]SyncDoc{sync, {SourceName: "crm", Status: "running"}, {Status: "completed"}}, now, 79), "\n")+"\n", `
  public.orders          █████░░░░░░░░░  34%   1,700,000    26,000/s 2m10s left
  public.a_table_with_a… ··············               12         0/s
  slow_lake              █████░░░░░░░░░  34%   1,700,000   ↑ 3.3 MiB 2m10s left
  still                  ··············                5  no rows for 3m0s
  shop: 2 of 12          █████░░░░░░░░░  34%   1,700,000    26,000/s 2m10s left
  shop: stalled, no sign of its worker for 1m0s
  crm: reading the schema
`)
	for range 20 {
		sync.Progress.Tables = append(sync.Progress.Tables, tableProgress{Name: "more", Status: "running"})
	}
	lines := barsOf([]SyncDoc{sync}, now, 79)
	if last := lines[len(lines)-1]; len(lines) > mostBars+3 || last != "  and 16 more tables" {
		t.Errorf("%d lines, the last %q", len(lines), last)
	}
	for _, line := range lines {
		if displaywidth.String(line) > 79 {
			t.Errorf("wraps on a terminal of 80 columns: %q", line)
		}
	}
}

func TestSyncFlags(t *testing.T) {
	f := SyncFlags{
		Mode: "incremental", Table: []string{"public.*"}, CursorColumn: []string{"orders=updated_at"}, Merge: true, DeletedColumn: []string{"orders=gone"},
		Exclude: []string{"orders=note", "orders=x=y", "*=secret*"}, Lookback: "15m", Parallelism: 3, Reset: []string{"carts"}, StartFrom: []string{"orders=a=b"},
		Timeout: "2h", TableTimeout: "30m",
	}
	o, err := f.options()
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "options", string(got), `{"columns":{"*":{"exclude":["secret*"]},"orders":{"exclude":["note","x=y"]}},"cursor_columns":{"orders":"updated_at"},"deleted_columns":{"orders":"gone"},"lookback":"15m","merge":true,"mode":"incremental","parallelism":3,"reset":["carts"],"start_from":{"orders":"a=b"},"table_timeout":"30m","tables":["public.*"],"timeout":"2h"}`)
	for _, bad := range []SyncFlags{{CursorColumn: []string{"orders"}}, {StartFrom: []string{"=5"}}, {Exclude: []string{"orders="}}} {
		if _, err := bad.options(); err == nil || !strings.Contains(err.Error(), "write TABLE=") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestCheckpointsCommand(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"GET /data/w1/checkpoints": clienttest.Says(`[{"table":"orders","namespace":"public","cursor_column":"id","cursor":"42","snapshot_id":"7","sync_id":"syn_a","sequence":19,"time":"2026-01-31T12:00:00.5Z","total_records":1042}]`),
	})
	s, out, _ := clienttest.Streams("")
	if err := (&CheckpointsCmd{ClientFlags: flagsFor(api), Source: "src_a", Table: "orders", Limit: 5}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "output", out.String(), `
TIME                  TABLE          CURSOR  VALUE  RECORDS  SEQUENCE  SYNC
2026-01-31T12:00:00Z  public.orders  id      42       1,042        19  syn_a
`)
	if query := api.Asked("GET /data/w1/checkpoints")[0].Query; query != "limit=5&scope=user&source_id=src_a&table=orders" {
		t.Errorf("asked for %q", query)
	}
}
