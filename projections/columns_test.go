package projections

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"headwater/bus/event"
)

// columnsOf is a version of one table.
func columnsOf(name string, columns ...string) event.Table {
	t := event.Table{Name: name, Namespace: "public", Kind: "table"}
	for i := 0; i < len(columns); i += 2 {
		t.Columns = append(t.Columns, event.Column{Name: columns[i], Type: columns[i+1], SourceType: "native " + columns[i+1]})
	}
	return t
}

func TestColumns(t *testing.T) {
	var h history
	h.add(connected(ann, final("op_c", "connect", 1, 0), "orders"))
	discover := func(version int, sync string, tables ...event.Table) {
		d := discovered(ann, final("op_d", "discover", 1, 0), version)
		d.Tables, d.SyncID = tables, sync
		if d.Cause = "connect"; sync != "" {
			d.Cause = "sync"
		}
		h.add(d)
	}
	other := event.Table{Name: "orders", Namespace: "archive", Columns: []event.Column{{Name: "id", Type: "int64"}}}
	discover(1, "", columnsOf("orders", "id", "int32", "note", "string"), columnsOf("people", "id", "int32"))
	discover(2, "syn_1", columnsOf("orders", "id", "int64", "note", "string"), other)
	discover(3, "syn_2", columnsOf("orders", "id", "int64", "added", "date"), other)
	discover(4, "syn_3", columnsOf("orders", "id", "int64", "added", "date", "note", "json"))
	s := openMem(t)
	apply(t, s, h.events...)

	page, err := s.Columns(ColumnQuery{Address: ann, Table: "orders"})
	if err != nil || page.Count != 4 || page.Sequence != 5 {
		t.Fatalf("%+v, %v", page, err)
	}
	var told []string
	var lives []columnLife
	if err := json.Unmarshal(page.JSON, &lives); err != nil {
		t.Fatal(err)
	}
	for _, l := range lives {
		text := fmt.Sprintf("%s.%s.%s %s from %d (%s, %s)", l.Namespace, l.Table, l.Name, l.Type, l.FirstSeen.Version, l.FirstSeen.Cause, l.FirstSeen.At.Format("15:04:05"))
		for _, c := range l.Changes {
			text += fmt.Sprintf("; %d %s %s>%s", c.Version, c.What, c.From, c.To)
			if c.SyncID != nil {
				text += " by " + *c.SyncID
			}
		}
		if l.Removed != nil {
			text += fmt.Sprint("; gone at ", l.Removed.Version)
		}
		told = append(told, text)
	}
	want := []string{
		"public.orders.id int64 from 1 (connect, 12:00:02); 2 type int32>int64 by syn_1; 2 source_type native int32>native int64 by syn_1",
		"public.orders.note json from 1 (connect, 12:00:02); 3 removed string> by syn_2; 4 added >json by syn_3; 4 type string>json by syn_3; 4 source_type native string>native json by syn_3",
		"archive.orders.id int64 from 2 (sync, 12:00:03); 4 removed int64> by syn_3; gone at 4",
		"public.orders.added date from 3 (sync, 12:00:04)",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%q\nwanted\n%q", told, want)
	}
	for q, count := range map[ColumnQuery]int{
		{Address: ann, Table: "public.orders"}:               3,
		{Address: ann, Table: "orders", Column: "id"}:        2,
		{Address: ann, Table: "public.people", Column: "id"}: 1,
		{Address: ann, Table: "people", Column: "name"}:      0,
		{Address: ann, Table: "nothing"}:                     0,
		{Address: at("ann", "src_none"), Table: "orders"}:    0,
		{Address: at("bob", ann.Source), Table: "orders"}:    0,
	} {
		page, err := s.Columns(q)
		if page.Count != count || errors.Is(err, ErrNotFound) != (count == 0) {
			t.Errorf("%+v: %d, %v", q, page.Count, err)
		}
	}
	h.add(&event.SourceRemoved{Meta: event.At(ann, final("op_r", "cleanup", 1, 0)), Name: "orders"})
	apply(t, s, h.events...)
	if _, err := s.Columns(ColumnQuery{Address: ann, Table: "orders"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a removed source: %v", err)
	}
}

// TestColumnsTellEveryVersion: going through what Columns tells gives the type
// that the column had in each version.
func TestColumnsTellEveryVersion(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var h history
		h.add(connected(ann, final("op_c", "connect", 1, 0), "orders"))
		versions := rapid.SliceOfN(rapid.MapOfN(rapid.SampledFrom([]string{"x", "y", "z"}), rapid.SampledFrom([]string{"int64", "date"}), 0, 3), 1, 12).Draw(rt, "versions")
		for i, columns := range versions {
			d := discovered(ann, final("op_d", "discover", 1, 0), i+1)
			d.Tables = []event.Table{columnsOf("t")}
			for name, typ := range columns {
				d.Tables[0].Columns = append(d.Tables[0].Columns, event.Column{Name: name, Type: typ})
			}
			h.add(d)
		}
		s := openRapid(rt, vfs.NewMem())
		applyRapid(rt, s, h.events...)
		for _, name := range []string{"x", "y", "z"} {
			page, err := s.Columns(ColumnQuery{Address: ann, Table: "t", Column: name})
			var lives []columnLife
			if err == nil {
				err = json.Unmarshal(page.JSON, &lives)
			}
			if err != nil && !isNotFound(err) || len(lives) > 1 {
				rt.Fatal(err, lives)
			}
			for i, columns := range versions {
				got := ""
				for _, l := range lives {
					got = typeIn(l, i+1)
				}
				if got != columns[name] {
					rt.Fatalf("%s was %q in version %d, told is %q: %s", name, columns[name], i+1, got, page.JSON)
				}
			}
		}
	})
}

// typeIn follows what is told of a column up to a version; "" is not there.
func typeIn(l columnLife, version int) (typ string) {
	if version < l.FirstSeen.Version {
		return ""
	}
	if l.Removed == nil {
		typ = l.Type
	}
	for _, c := range slices.Backward(l.Changes) {
		if c.Version > version && (c.What == "type" || c.What == "added" || c.What == "removed") {
			typ = c.From
		}
	}
	return typ
}
