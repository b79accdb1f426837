package handlers

import (
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/handlers/landing"
)

// Rows are merged by keys as their server compares them, a table without a key
// is read whole beside the others, and what was appended before is one row of a
// key afterwards.
func TestMergeByKeysOfTheServer(t *testing.T) {
	merge := command.SyncOptions{Mode: landing.Incremental, Merge: true}
	for server, open := range map[string]func(*testing.T) func(*testing.T, Options) *served{"postgresql": postgresShop, "mariadb": mariaShop} {
		t.Run(server, func(t *testing.T) {
			shop := open(t)
			t.Run("spelled otherwise", func(t *testing.T) {
				s := shop(t, Options{})
				key, other, changed := "numeric", "7.00", "UPDATE things SET k = 7.00, version = 3 WHERE k = 7"
				if server == "mariadb" {
					key, other, changed = "varchar(20)", "ADA", "UPDATE things SET k = 'ADA', version = 3 WHERE k = 'ada'"
				}
				first := map[string]string{"7.00": "7.0", "ADA": "Ada"}[other]
				s.exec("CREATE TABLE things (k "+key+" PRIMARY KEY, version int NOT NULL)", "INSERT INTO things VALUES ('"+first+"', 1), ('8', 2)")
				s.open()
				merge := merge
				merge.CursorField = map[string]string{"things": "version"}
				s.same(s.sync(merge)["things"], "things", "k", "version")
				s.exec(changed)
				r := s.sync(merge)["things"]
				s.same(r, "things", "k", "version")
				// And nothing is read twice once that is settled.
				if again := s.sync(merge)["things"]; again.Records != 0 || *again.Total != 2 {
					t.Errorf("a sync of nothing new read %d rows, and there are %d", again.Records, *again.Total)
				}
			})
			t.Run("a whole database", func(t *testing.T) {
				s := shop(t, Options{})
				s.exec("CREATE TABLE keyed (id int PRIMARY KEY, updated_at timestamp(6) NOT NULL)", "INSERT INTO keyed VALUES (1, '2024-01-01 00:00:00'), (2, '2024-01-02 00:00:00')",
					"CREATE TABLE loose (name varchar(20), updated_at timestamp(6) NOT NULL)", "INSERT INTO loose VALUES ('a', '2024-01-01 00:00:00'), ('a', '2024-01-01 00:00:00')")
				s.open()
				appended := s.sync(command.SyncOptions{Mode: landing.Incremental})
				s.same(appended["keyed"], "keyed", "id")
				s.exec("UPDATE keyed SET updated_at = '2024-02-01 00:00:00' WHERE id = 1")
				s.sync(command.SyncOptions{Mode: landing.Incremental})
				s.exec("DELETE FROM loose", "INSERT INTO loose VALUES ('b', '2024-01-01 00:00:00')")
				tables := s.sync(merge)
				s.same(tables["keyed"], "keyed", "id")
				s.same(tables["loose"], "loose", "name")
				if r := tables["loose"]; r.Mode != landing.FullRefresh || !strings.Contains(r.Message, "no key to merge by") {
					t.Errorf("a table without a key: %s, %q", r.Mode, r.Message)
				}
			})
			t.Run("a key of the caller's", func(t *testing.T) {
				s := shop(t, Options{})
				s.exec("CREATE TABLE loose (name varchar(20), version int NOT NULL, gone int NOT NULL)", "INSERT INTO loose VALUES ('a', 1, 0), ('b', 1, 0), ('c', 1, 0)")
				s.open()
				merge := merge
				merge.CursorField = map[string]string{"loose": "version"}
				merge.KeyColumns = map[string][]string{"loose": {"name"}}
				merge.Deleted = map[string]string{"loose": "gone"}
				s.sync(merge)
				s.exec("UPDATE loose SET version = 2 WHERE name = 'a'", "UPDATE loose SET version = 2, gone = 1 WHERE name = 'c'")
				r := s.sync(merge)["loose"]
				s.want(s.rows(r, "name", "version"), []string{"a|2", "b|1"})
				if r.Deleted != 1 {
					t.Errorf("%d rows came as deleted, want 1", r.Deleted)
				}
			})
		})
	}
}
