package progress

import (
	"testing"
	"time"

	"headwater/cmd/headwater/client/clienttest"
	"headwater/cmd/headwater/client/rest"
)

func TestLiveLines(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	fresh, bytes, seconds, kept := now.Add(-3*time.Second), int64(4096), int64(2), int64(16<<20)
	sync := rest.SyncDoc{SourceName: "shop", Tables: []rest.TableSync{
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
	sync.Changes = &rest.ChangesDoc{Position: "0/1A2B", FreshUntil: &fresh, BehindBytes: &bytes, BehindSeconds: &seconds, RetainedBytes: &kept, Message: "it is tried again"}
	want = []string{"  shop: up to 0/1A2B, complete up to 3s ago, behind 4.0 KiB and 2s, the source keeps 16 MiB, 1,234 changes/s", "  it is tried again"}
	check(liveLines(sync, 1234, now))
	old := now.Add(-7900 * time.Millisecond)
	sync.Changes.At = &old // an answer that is older than the display says so
	want[0] = "  shop: up to 0/1A2B, complete up to 3s ago, behind 4.0 KiB and 2s (7s ago), the source keeps 16 MiB, 1,234 changes/s"
	check(liveLines(sync, 1234, now))
}

// Without a terminal a sync is told of as soon as it has moved, now and then while it
// has not, and each message once.
func TestLiveWithoutATerminal(t *testing.T) {
	s, _, errs := clienttest.Streams("")
	v := NewLive(s)
	start := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	sync := rest.SyncDoc{SourceName: "shop", Status: "running", Changes: &rest.ChangesDoc{Position: "0/1"}, Tables: []rest.TableSync{{Name: "users"}}}
	for _, step := range []struct {
		after             time.Duration
		position, message string
		aside             bool
		want              string
	}{
		{0, "0/1", "", false, "shop: up to 0/1, 0 changes/s\n"},
		{2 * time.Second, "0/1", "", false, ""},
		{2500 * time.Millisecond, "0/2", "", false, "shop: up to 0/2, 0 changes/s\n"},
		{3 * time.Second, "0/3", "it is tried again", false, "it is tried again\n"},
		{3600 * time.Millisecond, "0/3", "it is tried again", false, "shop: up to 0/3, 0 changes/s\n"},
		{4 * time.Second, "0/3", "", true, "users: set aside: no key\n"},
		{5 * time.Second, "0/3", "it is tried again", true, "it is tried again\n"},
		{13 * time.Second, "0/3", "it is tried again", true, ""},
		{14 * time.Second, "0/3", "it is tried again", true, "shop: up to 0/3, 0 changes/s\n"},
	} {
		errs.Reset()
		sync.Changes = &rest.ChangesDoc{Position: step.position, Message: step.message}
		if sync.Tables[0].SetAside = step.aside; step.aside {
			sync.Tables[0].Message = "no key"
		}
		v.Show(sync, start.Add(step.after))
		if errs.String() != step.want {
			t.Errorf("after %s: %q, want %q", step.after, errs.String(), step.want)
		}
	}
}
