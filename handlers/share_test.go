package handlers

import (
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/connectors/drivertest/servers"
)

// The tables of one sync are of one moment: an item does not land without its
// order. A table that fails takes the moment from no other, and what cannot be of
// it says so.
func TestTablesOfASyncAreOfOneMoment(t *testing.T) {
	fresh := postgresShop(t)
	for name, mode := range map[string]string{"full refresh": "", "incremental": "incremental"} {
		t.Run(name, func(t *testing.T) {
			o := quick()
			o.TableParallelism = 1
			s := fresh(t, o)
			s.exec("CREATE VIEW a_broken AS SELECT 1 / (random() * 0)::int AS id",
				"CREATE TABLE orders (id int PRIMARY KEY)", "CREATE TABLE items (id int PRIMARY KEY, of int)", "CREATE TABLE z_emptied (id int)",
				"CREATE VIEW shown AS SELECT o.id FROM orders o JOIN items i ON i.of = o.id",
				"INSERT INTO orders SELECT generate_series(1, 100)", "INSERT INTO items SELECT g, g FROM generate_series(1, 100) g", "INSERT INTO z_emptied VALUES (1)")
			s.open()
			// Tables come in the order of their names: items first.
			s.once("committed", 1, func() {
				s.exec("INSERT INTO orders VALUES (101)", "INSERT INTO items VALUES (101, 101)", "DELETE FROM items WHERE id < 10", "DELETE FROM orders WHERE id < 10",
					"TRUNCATE z_emptied", "INSERT INTO z_emptied VALUES (2), (3)")
			})
			all := s.sync(command.SyncOptions{Mode: mode})
			for _, table := range []string{"items", "orders", "shown"} {
				r := all[table]
				if r.Total == nil || *r.Total != 100 || r.AsOf == nil || !r.AsOf.Equal(*all["items"].AsOf) || strings.Contains(notesOf(r), "moment") {
					t.Errorf("%s: %+v", table, r)
				}
			}
			apart := all["z_emptied"]
			if s.want(s.rows(apart, "id"), []string{"2", "3"}); !strings.Contains(notesOf(apart), "truncated") || !apart.AsOf.After(*all["items"].AsOf) {
				t.Errorf("%+v", apart)
			}
			if r := all["a_broken"]; r.Status != tableFailed {
				t.Errorf("%+v", r)
			}
			// The next sync has a moment of its own, and nobody holds one between them.
			servers.Await(t, s.db, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'headwater' AND xact_start IS NOT NULL")
			all = s.sync(command.SyncOptions{Mode: mode})
			for _, table := range []string{"items", "orders", "shown", "z_emptied"} {
				if r := all[table]; !r.AsOf.Equal(*all["items"].AsOf) || strings.Contains(notesOf(r), "moment") {
					t.Errorf("%s: %+v", table, r)
				}
			}
			if mode == "" {
				s.same(all["items"], "items", "id", "of")
				s.same(all["orders"], "orders", "id")
			}
		})
	}
}

// Where there is no such moment the result of each table says why.
func TestTablesWithoutAMomentInCommon(t *testing.T) {
	s := postgresShop(t)(t, quick())
	s.exec("CREATE TABLE a (id int)", "CREATE TABLE b (id int)")
	s.config = strings.Replace(s.config, "{", `{"max_connections":1,`, 1)
	s.open()
	for name, r := range s.sync(command.SyncOptions{}) {
		if r.Status != tableCompleted || !strings.Contains(notesOf(r), "max_connections") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := s.sync(command.SyncOptions{Tables: []string{"public.a"}})["a"]; len(r.Notes) > 0 {
		t.Errorf("one table alone: %+v", r)
	}
}
