package progress

import (
	"strings"
	"testing"
	"time"

	"github.com/clipperhouse/displaywidth"

	"headwater/cmd/headwater/client/clienttest"
	"headwater/cmd/headwater/client/rest"
)

func TestBars(t *testing.T) {
	now := time.Now()
	third, eta, rows := 0.34, int64(130), int64(5_000_000)
	waiting := now.Add(-3 * time.Minute)
	sync := rest.SyncDoc{SourceName: "shop", Status: "running", UpdatedAt: now.Add(-time.Minute), Progress: &rest.ProgressDoc{
		Measure: rest.Measure{Fraction: &third, Rows: 1_700_000, Rate: 26_000, Estimate: &rows, ETA: &eta}, TablesEnded: 2, TablesTotal: 12,
		Tables: []rest.TableProgress{
			{Name: "done", Status: "completed"},
			{Name: "orders", Namespace: "public", Status: "running", Measure: rest.Measure{Fraction: &third, Rows: 1_700_000, Rate: 26_000, ETA: &eta}},
			{Name: "a_table_with_a_name_that_is_long", Namespace: "public", Status: "running", Measure: rest.Measure{Rows: 12}},
			{Name: "slow_lake", Status: "running", Measure: rest.Measure{Fraction: &third, Rows: 1_700_000, ETA: &eta, WaitingFor: "uploading to the lake", Uploaded: 3_500_000}},
			{Name: "still", Status: "running", Measure: rest.Measure{Rows: 5, WaitingSince: &waiting}},
		},
	}}
	clienttest.Same(t, "bars", strings.Join(barsOf([]rest.SyncDoc{sync, {SourceName: "crm", Status: "running"}, {Status: "completed"}}, now, 79), "\n")+"\n", `
  public.orders          █████░░░░░░░░░  34%   1,700,000    26,000/s 2m10s left
  public.a_table_with_a… ··············               12         0/s
  slow_lake              █████░░░░░░░░░  34%   1,700,000   ↑ 3.3 MiB 2m10s left
  still                  ··············                5  no rows for 3m0s
  shop: 2 of 12          █████░░░░░░░░░  34%   1,700,000    26,000/s 2m10s left
  shop: stalled, no sign of its worker for 1m0s
  crm: reading the schema
`)
	for range 20 {
		sync.Progress.Tables = append(sync.Progress.Tables, rest.TableProgress{Name: "more", Status: "running"})
	}
	lines := barsOf([]rest.SyncDoc{sync}, now, 79)
	if last := lines[len(lines)-1]; len(lines) > MostBars+3 || last != "  and 16 more tables" {
		t.Errorf("%d lines, the last %q", len(lines), last)
	}
	for _, line := range lines {
		if displaywidth.String(line) > 79 {
			t.Errorf("wraps on a terminal of 80 columns: %q", line)
		}
	}
}
