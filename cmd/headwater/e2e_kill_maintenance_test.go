package main

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/handlers/landing/landingtest"
)

// TestKilledMaintenancesLoseNothing kills the service with SIGKILL at random moments of
// the maintenance of a table that is merged into, and compares its rows with the
// source's: while the maintenance is not over, and once it has been.
func TestKilledMaintenancesLoseNothing(t *testing.T) {
	t.Parallel() // it waits more than it computes
	kills, rows := 60, 60_000
	if testing.Short() {
		kills, rows = 2, 20_000
	}
	if *killsWanted > 0 {
		kills = *killsWanted
	}
	r := newKillRunOf(t, nil)
	db, err := sql.Open("sqlite", filepath.Join(r.dir, "files", "shop.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	do := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	do("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT, version INTEGER NOT NULL)")
	do(fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO orders SELECT i, 'note ' || i, i FROM n", rows))
	if a := r.caller.post("/data/w/connect", object{"sources": []object{{"type": "file", "name": "shop", "connection_config": object{"path": "shop.db"}}}}); a.Code != 200 {
		t.Fatalf("connect: %s", a.Body)
	}
	version, location := rows, ""
	merge := func() {
		t.Helper()
		version++
		do(fmt.Sprintf("UPDATE orders SET note = note || '.', version = %d WHERE id %% 20 = %d", version, version%20))
		a := r.caller.post("/data/w/sync", object{"sync_options": object{"mode": "incremental", "merge": true, "maintenance": "off", "cursor_columns": object{"orders": "version"}}})
		var synced struct {
			Syncs []struct{ Tables []struct{ Location string } }
		}
		if a.into(t, &synced); a.Code != 200 {
			t.Fatalf("sync: %s", a.Body)
		}
		location = synced.Syncs[0].Tables[0].Location
	}
	compare := func(when string) {
		t.Helper()
		var want, got [4]int64
		if err := db.QueryRow("SELECT count(*), count(DISTINCT id), sum(version), sum(length(note) * id) FROM orders").Scan(&want[0], &want[1], &want[2], &want[3]); err != nil {
			t.Fatal(err)
		}
		snapshot, err := landingtest.Newest(location)
		if err != nil {
			t.Fatal(err)
		}
		ids := map[int64]bool{}
		for rec, err := range landingtest.Rows(t.Context(), location, snapshot) {
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			column := func(name string) int { return rec.Schema().FieldIndices(name)[0] }
			id, v, note := rec.Column(column("id")).(*array.Int64), rec.Column(column("version")).(*array.Int64), rec.Column(column("note")).(*array.String)
			for row := range int(rec.NumRows()) {
				ids[id.Value(row)] = true
				got[0], got[2], got[3] = got[0]+1, got[2]+v.Value(row), got[3]+int64(len(note.Value(row)))*id.Value(row)
			}
		}
		if got[1] = int64(len(ids)); got != want {
			t.Fatalf("%s: rows, keys, versions and notes are %v, want %v", when, got, want)
		}
	}
	// ended waits for the maintenance and returns how long it took.
	ended := func(operation string) time.Duration {
		t.Helper()
		for began := time.Now(); ; time.Sleep(2 * time.Millisecond) {
			var o struct {
				Status  string
				Targets []struct {
					Result struct {
						Maintained []struct {
							Status  string
							Rows    int64
							Files   int `json:"files_after"`
							Deletes int `json:"delete_files_after"`
						}
					}
				}
			}
			a := r.caller.get("/data/w/operations/" + operation)
			if a.into(t, &o); o.Status != "running" {
				if o.Status != "completed" || len(o.Targets) != 1 || len(o.Targets[0].Result.Maintained) != 1 {
					t.Fatalf("the maintenance ended as %s", a.Body)
				}
				// One that fails, or does nothing, loses nothing either.
				if did := o.Targets[0].Result.Maintained[0]; did.Status != "maintained" && did.Status != "nothing_to_do" || did.Rows != int64(rows) || did.Files != 1 || did.Deletes != 0 {
					t.Fatalf("the table is not maintained: %s", a.Body)
				}
				return time.Since(began)
			}
			if time.Since(began) > 3*time.Minute {
				t.Fatal("the maintenance does not end")
			}
		}
	}
	ask := func() string {
		t.Helper()
		a := r.caller.call("POST", "/data/w/maintenance", object{}, "Prefer", "respond-async")
		var accepted struct {
			ID string `json:"operation_id"`
		}
		if a.into(t, &accepted); a.Code != 202 {
			t.Fatalf("maintenance: %d %s", a.Code, a.Body)
		}
		return accepted.ID
	}
	merge()
	var took []time.Duration
	hits := 0
	for round := 0; hits < kills; round++ {
		if round > 5*kills+10 {
			t.Fatalf("only %d kills hit a maintenance in %d rounds", hits, round)
		}
		for range 3 {
			merge()
		}
		operation := ask()
		if round%4 == 0 { // left alone, to know how long one takes
			took = append(took, ended(operation))
			compare("left alone")
			continue
		}
		time.Sleep(rand.N(slices.Max(took))) // the moment is the point
		var o struct{ Status string }
		r.caller.get("/data/w/operations/"+operation).into(t, &o)
		r.process.kill()
		if o.Status == "running" {
			hits++
		}
		compare("killed amid a maintenance")
		r.restart()
		ended(operation)
		compare("after it began again")
	}
	ended(ask())
	compare("in the end")
	files, err := filepath.Glob(filepath.Join(r.dir, "lake", "*", "*", "*", "*", "*", "data", "*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are %v, %v", files, err)
	}
	t.Logf("%d kills of a maintenance of %v; %d files within the grace", hits, slices.Max(took), len(files))
}
