package client

import (
	"testing"
	"time"
)

func TestLiveLines(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	fresh, bytes, seconds, kept := now.Add(-3*time.Second), int64(4096), int64(2), int64(16<<20)
	sync := SyncDoc{SourceName: "shop", Tables: []TableSync{
		{Namespace: "public", Name: "orders", Inserted: 1200, Updated: 30, Deleted: 4},
		{Namespace: "public", Name: "carts", RowsRead: 7},
		{Namespace: "public", Name: "users", SetAside: true, Message: "it has no replica identity"},
	}}
	want := []string{
		"  shop: reading its tables, 0 changes/s",
		"  public.orders                  +1,200 ~30 -4",
		"  public.carts                   +0 ~0 -0  read whole: 7 rows",
		"  public.users                   +0 ~0 -0  set aside: it has no replica identity",
	}
	check := func(got []string) {
		t.Helper()
		for i, line := range want {
			if i >= len(got) || got[i] != line {
				t.Errorf("line %d: %q, want %q", i, got, line)
			}
		}
	}
	check(liveLines(sync, 0, now))
	sync.Changes = &ChangesDoc{Position: "0/1A2B", FreshUntil: &fresh, BehindBytes: &bytes, BehindSeconds: &seconds, RetainedBytes: &kept, Message: "it is tried again"}
	want = []string{"  shop: up to 0/1A2B, complete up to 3s ago, behind 4.0 KiB and 2s, the source keeps 16 MiB, 1,234 changes/s", "  it is tried again"}
	check(liveLines(sync, 1234, now))
	on := &ScheduleDoc{Continuous: true}
	if got := sync.Changes.lag(on); got != ", 2s behind" {
		t.Errorf("lag %q", got)
	}
	if got := (*ChangesDoc)(nil).lag(on); got != "" {
		t.Errorf("no lag is %q", got)
	}
}
