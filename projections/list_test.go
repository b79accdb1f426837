package projections

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"headwater/bus/event"
)

func TestList(t *testing.T) {
	var h history
	for i, name := range []string{"zebra", "Alpha", "beta", "gamma"} {
		d := connected(at("ann", fmt.Sprint("src_", i)), going("op_1", "connect", 4, i), name)
		if i%2 == 1 {
			d.Type, d.Connector = "file", "csv"
		}
		h.add(d)
	}
	h.connect(shared, "op_2", "shared")
	h.connect(event.Address{Organization: "acme", Workspace: "w2", Owner: "ann", Source: "src_x"}, "op_3", "elsewhere")
	h.connect(event.Address{Organization: "acm", Workspace: "ew1", Owner: "ann", Source: "src_y"}, "op_4", "foreign")
	h.add(started(at("ann", "src_2"), going("op_5", "sync", 1, 0), "syn_1", 1))
	s := openMem(t)
	apply(t, s, h.events...)
	mine := ListQuery{Organization: "acme", Workspace: "w1", Owner: "ann"}
	for _, c := range []struct {
		change func(q *ListQuery)
		want   string
	}{
		{func(q *ListQuery) {}, "zebra Alpha beta gamma"},
		{func(q *ListQuery) { q.Owner = "" }, "shared"},
		{func(q *ListQuery) { q.Workspace = "w2" }, "elsewhere"},
		{func(q *ListQuery) { q.Workspace = "w3" }, ""},
		{func(q *ListQuery) { q.Type = "file" }, "Alpha gamma"},
		{func(q *ListQuery) { q.Type = "postgresql" }, "zebra beta"},
		{func(q *ListQuery) { q.Status = "syncing" }, "beta"},
		{func(q *ListQuery) { q.Search = "ALP" }, "Alpha"},
		{func(q *ListQuery) { q.Name = "beta" }, "beta"},
		{func(q *ListQuery) { q.Name, q.Type = "beta", "file" }, ""},
		{func(q *ListQuery) { q.Name = "bet" }, ""},
		{func(q *ListQuery) { q.AsOf = 2 }, "zebra Alpha"},
		{func(q *ListQuery) { q.AsOf, q.Name = 2, "Alpha" }, "Alpha"},
	} {
		q := mine
		c.change(&q)
		page, err := s.List(q)
		if err != nil || column(t, page.JSON, "name") != c.want || page.Next != "" {
			t.Errorf("%+v: %s (%v), want %s", q, column(t, page.JSON, "name"), err, c.want)
		}
	}
	if all, _, err := s.Sources(mine); err != nil || len(all) != 4 || all[2].Running == nil {
		t.Errorf("%d sources, %v", len(all), err)
	}
	if version, count, err := s.ListVersion("acme", "w1", "ann"); version != uint64(len(h.events)) || count != 4 || err != nil {
		t.Error(version, count, err)
	}
	if version, count, err := s.ListVersion("acme", "w1", ""); version != 6 || count != 1 || err != nil {
		t.Error(version, count, err)
	}
}

// TestListPages walks every list by pages of every size, now and as of then.
func TestListPages(t *testing.T) {
	var h history
	for i := range 7 {
		h.connect(at("ann", fmt.Sprint("src_", i)), "op", fmt.Sprint("n", i))
	}
	h.add(&event.SourceRemoved{Meta: event.At(at("ann", "src_3"), final("op_r", "cleanup", 1, 0)), Name: "n3"})
	s := openMem(t)
	apply(t, s, h.events...)
	for asOf, want := range map[uint64]string{0: "n0 n1 n2 n4 n5 n6", 15: "n0 n1 n2 n4 n5 n6", 14: "n0 n1 n2 n3 n4 n5 n6", 1: "n0", 4: "n0 n1"} {
		for limit := range 9 {
			q := ListQuery{Organization: "acme", Workspace: "w1", Owner: "ann", Limit: limit, AsOf: asOf}
			got, pages := "", 0
			for {
				page, err := s.List(q)
				if err != nil {
					t.Fatal(err)
				}
				if limit > 0 && page.Count > limit {
					t.Errorf("%d documents on a page of %d", page.Count, limit)
				}
				if pages++; page.Count > 0 && got != "" {
					got += " "
				}
				got += column(t, page.JSON, "name")
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
			if got != want {
				t.Errorf("as of %d by %d: %s, want %s", asOf, limit, got, want)
			}
		}
	}
	page, _ := s.List(ListQuery{Organization: "acme", Workspace: "w1", Owner: "ann", Limit: 1})
	for _, q := range []ListQuery{
		{Organization: "acme", Workspace: "w1", Owner: "bob", Cursor: page.Next},
		{Organization: "acme", Workspace: "w1", Owner: "ann", Type: "x", Cursor: page.Next},
		{Organization: "acme", Workspace: "w1", Owner: "ann", Cursor: "!"},
		{Organization: "acme", Workspace: "w1", Owner: "ann", Cursor: "AAAA"},
	} {
		if _, err := s.List(q); !errors.Is(err, ErrBadCursor) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if _, err := s.List(ListQuery{AsOf: 16}); !errors.Is(err, ErrFuture) {
		t.Error(err)
	}
}

func TestSchemas(t *testing.T) {
	var h history
	s := openMem(t)
	h.add(connected(ann, going("op_1", "connect", 1, 0), "a"))
	apply(t, s, h.events...)
	if _, err := s.SchemaPage(SchemaQuery{Address: ann}); !errors.Is(err, ErrNotFound) {
		t.Errorf("schema before the first: %v", err)
	}
	h.add(discovered(ann, final("op_1", "connect", 1, 0), 1, "x", "y", "z"))
	second := discovered(ann, going("op_2", "sync", 1, 0), 2, "w", "x")
	second.Cause, second.SyncID, second.Diff = "sync", "syn_1", event.SchemaDiff{Added: []string{"public.w"}, Removed: []string{"public.y"}, Breaking: true}
	second.Tables = append(second.Tables, event.Table{Name: "x", Namespace: "other", Kind: "view"})
	h.add(second)
	apply(t, s, h.events...)
	for _, c := range []struct {
		q       SchemaQuery
		version int
		want    string
	}{
		{SchemaQuery{}, 2, "w x x"},
		{SchemaQuery{AsOf: 2}, 1, "x y z"},
		{SchemaQuery{AsOf: 3}, 2, "w x x"},
		{SchemaQuery{Table: "x"}, 2, "x x"},
		{SchemaQuery{Table: "other.x"}, 2, "x"},
		{SchemaQuery{Table: "y"}, 2, ""},
		{SchemaQuery{Table: "y", AsOf: 2}, 1, "y"},
	} {
		for limit := range 4 {
			q, got := c.q, ""
			q.Address, q.Limit = ann, limit
			for {
				page, err := s.SchemaPage(q)
				if err != nil || page.Version != c.version || page.Sequence != uint64(c.version+1) {
					t.Fatalf("%+v: version %d at %d, %v", q, page.Version, page.Sequence, err)
				}
				for _, table := range fields(t, page.JSON)["tables"].([]any) {
					got += " " + table.(map[string]any)["name"].(string)
				}
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
			if got != "" {
				got = got[1:]
			}
			if got != c.want {
				t.Errorf("%+v: %s, want %s", q, got, c.want)
			}
		}
	}
	typed, err := s.Schema(ann, 0)
	if err != nil || typed.Version != 2 || len(typed.Tables) != 3 || typed.Tables[2].Kind != "view" || !typed.DiscoveredAt.Equal(epoch.Add(3*time.Second)) {
		t.Errorf("%+v, %v", typed, err)
	}
	all, err := s.SchemaHistory(ann, 0, "")
	if err != nil || column(t, all.JSON, "version") != "2 1" || column(t, all.JSON, "cause") != "sync connect" || column(t, all.JSON, "sync_id") != "syn_1 <nil>" {
		t.Errorf("%s, %v", all.JSON, err)
	}
	one, _ := s.SchemaHistory(ann, 1, "")
	two, err := s.SchemaHistory(ann, 1, one.Next)
	if err != nil || column(t, one.JSON, "version") != "2" || column(t, two.JSON, "version") != "1" || two.Next != "" {
		t.Errorf("%s then %s, %v", one.JSON, two.JSON, err)
	}
	// A cursor stays with the version it was made for.
	first, _ := s.SchemaPage(SchemaQuery{Address: ann, Limit: 1})
	apply(t, s, h.add(discovered(ann, final("op_3", "discover", 1, 0), 3, "new")))
	rest, err := s.SchemaPage(SchemaQuery{Address: ann, Cursor: first.Next})
	if err != nil || rest.Version != 2 || rest.Tables != 2 {
		t.Errorf("%+v, %v", rest, err)
	}
	// A refresh that finds nothing new is no version of its own, wherever a page ends.
	for range 2 {
		again := discovered(ann, final("op_4", "discover", 1, 0), 3, "new")
		again.Cause = "discover"
		apply(t, s, h.add(again))
	}
	for limit := range 4 {
		got, cursor := "", ""
		for {
			page, err := s.SchemaHistory(ann, limit, cursor)
			if err != nil {
				t.Fatal(err)
			}
			got += column(t, page.JSON, "version") + " " + column(t, page.JSON, "cause") + ", "
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		want := map[int]string{0: "3 2 1 connect sync connect, ", 1: "3 connect, 2 sync, 1 connect, ", 2: "3 2 connect sync, 1 connect, ", 3: "3 2 1 connect sync connect, "}[limit]
		if got != want {
			t.Errorf("limit %d: %s, want %s", limit, got, want)
		}
	}
}

func TestSyncs(t *testing.T) {
	var h history
	s := openMem(t)
	h.connect(ann, "op_1", "a")
	h.connect(shared, "op_2", "s")
	for i := range 6 {
		a := []event.Address{ann, shared}[i%2]
		op, id := fmt.Sprint("op_s", i), fmt.Sprint("syn_", i)
		h.add(started(a, going(op, "sync", 1, 0), id, 1))
		if i != 5 {
			h.add(completed(a, final(op, "sync", 1, 0), id, "completed", holding(1, table("completed", "full_refresh", 1))))
		}
	}
	apply(t, s, h.events...)
	for _, c := range []struct {
		q    SyncQuery
		want string
	}{
		{SyncQuery{Owners: []string{"ann", "", "ann"}}, "syn_5 syn_4 syn_3 syn_2 syn_1 syn_0"},
		{SyncQuery{Owners: []string{"ann"}}, "syn_4 syn_2 syn_0"},
		{SyncQuery{Owners: []string{"bob"}}, ""},
		{SyncQuery{Owners: []string{"", "ann"}, SourceID: "src_s"}, "syn_5 syn_3 syn_1"},
		{SyncQuery{Owners: []string{"", "ann"}, Status: "running"}, "syn_5"},
	} {
		for limit := range 7 {
			q, got := c.q, ""
			q.Organization, q.Workspace, q.Limit = "acme", "w1", limit
			for {
				page, err := s.Syncs(q)
				if err != nil {
					t.Fatal(err)
				}
				if got != "" {
					got += " "
				}
				got += column(t, page.JSON, "sync_id")
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
			if got != c.want {
				t.Errorf("%+v: %s, want %s", q, got, c.want)
			}
		}
	}
	if y, _ := s.Sync("acme", "w1", "syn_0"); len(fields(t, y.JSON)["tables"].([]any)) != 1 {
		t.Errorf("%s", y.JSON)
	}
}

func TestSequenceAt(t *testing.T) {
	var h history
	for range 5 {
		h.add(connected(ann, going("op_1", "connect", 1, 0), "a"))
	}
	h.events[4].Time = h.events[3].Time.Add(100 * time.Microsecond)
	s := openMem(t)
	apply(t, s, h.events...)
	for offset, want := range map[time.Duration]uint64{0: 0, time.Second: 1, 1500 * time.Millisecond: 1, 3999 * time.Millisecond: 3, 4 * time.Second: 5, time.Hour: 5, -1000000 * time.Hour: 0} {
		if got, err := s.SequenceAt(epoch.Add(offset)); got != want || err != nil {
			t.Errorf("at %v: %d, want %d (%v)", offset, got, want, err)
		}
	}
}
