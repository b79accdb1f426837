package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"headwater/cmd/headwater/terminal"
)

// end pauses the schedules while nobody has the syncs, which end all the same, and has
// one last sync of each source land what is left.
func (r *followedRun) end() {
	r.t.Helper()
	r.process.kill()
	r.restart()
	for _, of := range r.tracked {
		r.schedule(of, true)
		r.eventually("the sync of "+of.name+" to end", func() bool {
			of.story.read(r.caller, of.id)
			return of.story.running() == ""
		})
		a := r.caller.post("/data/changes/sync", object{"source_ids": []string{of.id}, "sync_options": of.with("mode", "cdc")})
		of.story.read(r.caller, of.id)
		if last := of.story.last("SyncCompleted"); last == nil || last.Data.Status != "completed" {
			r.t.Errorf("the last sync of %s: %d %s", of.name, a.Code, a.Body)
		}
	}
}

// compare compares each row of a source's tables with the database's, by the md5 of all
// of its columns.
func (r *followedRun) compare(of *tracked) {
	r.t.Helper()
	for table, key := range r.source.tables() {
		at := r.place(of, table)
		if at.Metadata == "" {
			r.t.Errorf("table %s of %s has not landed", table, of.name)
			continue
		}
		columns, landed := r.source.columns(table), r.rows(at)
		rows, want := r.source.contents(table, columns)
		r.source.rows += len(rows)
		if total := of.story.total(table); total != int64(len(landed)) {
			r.t.Errorf("table %s of %s: %d rows landed, and the history tells %d", table, of.name, len(landed), total)
		}
		if of.options["changes"] == "append" {
			if wrong := replay(landed, rows, columns, key, r.source.maria()); wrong != "" {
				r.t.Errorf("table %s as a log: %s", table, wrong)
			}
			continue
		}
		if of.options["soft_delete"] == true {
			var wrong string
			if landed, wrong = living(landed, rows, key); wrong != "" {
				r.t.Errorf("table %s with the deleted rows: %s", table, wrong)
			}
		}
		if got := sumsOf(landed, columns); !got.equal(want) {
			r.t.Errorf("table %s of %s: %d rows landed, the source has %d; not the same are, of columns %v:\n%s\nof the source:\n%s",
				table, of.name, len(landed), len(rows), columns, got.besides(want), want.besides(got))
		}
	}
	if len(of.options) > 0 {
		return
	}
	a := r.caller.post("/data/changes/verify", object{"source_ids": []string{of.id}})
	if a.Code != http.StatusOK || bytes.Contains(a.Body, []byte(`"different"`)) {
		r.t.Errorf("verify: %d %s", a.Code, a.Body)
	}
}

// purge removes the sources, and holds that nothing of them is left at the server, in the
// lake or at work.
func (r *followedRun) purge() {
	r.t.Helper()
	for _, of := range r.tracked {
		if a := r.caller.post("/data/changes/cleanup", object{"source_ids": []string{of.id}, "purge": true}); a.Code != http.StatusOK {
			r.t.Fatalf("cleanup: %s", a.Body)
		}
	}
	if left := r.source.left(); left != "" {
		r.t.Errorf("after the purge the server still has %s", left)
	}
	if children := connectorsAt(r.process.cmd.Process.Pid, r.source.server.Port); len(children) > 0 {
		r.t.Errorf("after the purge %d connectors are connected", len(children))
	}
	r.eventually("the files of the sources to be removed", func() bool { return len(r.files()) == 0 })
}

// files returns the files of tables that the data directory has, at most a few.
func (r *followedRun) files() (all []string) {
	_ = filepath.WalkDir(r.dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".parquet") {
			all = append(all, path)
		}
		return nil
	})
	return all[:min(len(all), 5)]
}

// rebuild stops the service and holds that its read model is that of its history.
func (r *followedRun) rebuild() {
	r.t.Helper()
	_ = r.process.cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.process.cmd.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		r.t.Error("the service does not stop")
		return
	}
	cfg := testConfig(r.t)
	cfg.DataDir = r.dir
	var out bytes.Buffer
	if err := (&RebuildCmd{Config: cfg, Verify: true}).Run(r.t.Context(), terminal.Streams{Out: &out, Err: io.Discard}); err != nil {
		r.t.Errorf("rebuild --verify: %v\n%s", err, &out)
	}
}

// living returns the rows that the source had not deleted. It says what is wrong with the
// others: a row that is there twice, or is deleted and in the source.
func living(landed, rows []map[string]string, key []string) (live []map[string]string, wrong string) {
	columns := make([]column, len(key))
	for i, name := range key {
		columns[i].name = name
	}
	there, seen := map[string]bool{}, map[string]bool{}
	for _, row := range rows {
		there[rowText(row, columns)] = true
	}
	for _, row := range landed {
		name := rowText(row, columns)
		deleted := row["_headwater_deleted"] == "1"
		switch {
		case len(key) == 0:
		case seen[name]:
			wrong = "row " + name + " is there twice"
		case deleted && there[name]:
			wrong = "row " + name + " is deleted, and in the source"
		}
		if seen[name] = true; !deleted {
			live = append(live, row)
		}
	}
	return live, wrong
}

// replay carries out the changes of a log, and says what is wrong with the rows that come
// of it. What the last transaction did to a row is not told apart. again says that rows
// which were there at the first may come again.
func replay(landed, rows []map[string]string, columns []column, key []string, again bool) string {
	if len(key) == 0 {
		return replayLoose(landed, rows, columns, again)
	}
	keys := make([]column, len(key))
	for i, name := range key {
		keys[i].name = name
	}
	var emptied uint64
	history := map[string][]map[string]string{}
	for _, row := range landed {
		if row["_headwater_op"] == "truncate" {
			emptied = max(emptied, happenedAt(row))
			continue
		}
		history[rowText(row, keys)] = append(history[rowText(row, keys)], row)
	}
	there := map[string]map[string]string{}
	for _, row := range rows {
		there[rowText(row, keys)] = row
	}
	for name := range there {
		if history[name] == nil {
			return "row " + name + " is not in it"
		}
	}
	for name, changes := range history {
		slices.SortStableFunc(changes, func(a, b map[string]string) int {
			return cmp.Compare(happenedAt(a), happenedAt(b))
		})
		last := happenedAt(changes[len(changes)-1])
		ok, gone := false, last <= emptied && emptied > 0
		for i := len(changes) - 1; i >= 0 && happenedAt(changes[i]) == last; i-- {
			gone = gone || changes[i]["_headwater_op"] == "delete"
			ok = ok || changes[i]["_headwater_op"] != "delete" && same(changes[:i+1], there[name], columns)
		}
		if want := there[name]; want == nil && !gone || want != nil && !ok {
			return "row " + name + " ends as " + rowText(changes[len(changes)-1], columns) + ", in the source it is " + rowText(want, columns)
		}
	}
	return ""
}

// happenedAt makes the positions of a log's rows comparable: that of PostgreSQL, or the
// number of a transaction of MariaDB or MySQL. A row of a whole read has none.
func happenedAt(row map[string]string) uint64 {
	position := row["_headwater_position"]
	if i := strings.LastIndexAny(position, "-:"); i > 0 {
		n, _ := strconv.ParseUint(position[i+1:], 10, 64)
		return n
	}
	return placeOf(position)
}

// same reports whether the last of the changes of a row left it as the source has it. A
// value that a change does not repeat is an earlier one's, if that is known.
func same(changes []map[string]string, want map[string]string, columns []column) bool {
	for _, c := range columns {
		i := len(changes) - 1
		for i >= 0 && strings.Contains(changes[i]["_headwater_unchanged"], `"`+c.name+`"`) {
			i--
		}
		if i < len(changes)-1 && (i < 0 || changes[i]["_headwater_op"] == "delete") {
			continue // a row that had another key had it
		}
		if changes[i][c.name] != want[c.name] {
			return false
		}
	}
	return true
}

// replayLoose does the same without a key: how often a row was inserted, less how often it
// was deleted.
func replayLoose(landed, rows []map[string]string, columns []column, again bool) string {
	left := map[string]int{}
	for _, row := range landed {
		if row["_headwater_op"] == "delete" {
			left[rowText(row, columns)]--
		} else {
			left[rowText(row, columns)]++
		}
	}
	for _, row := range rows {
		left[rowText(row, columns)]--
	}
	for text, n := range left {
		if n != 0 && !again {
			return fmt.Sprintf("row %s is there %d times too often", text, n)
		}
	}
	return ""
}

// The kill loop finds a log, or rows that were kept, that are not what happened.
func TestLogsThatTellAnotherStoryAreFound(t *testing.T) {
	change := func(op, position, id, note, unchanged string) map[string]string {
		return map[string]string{"_headwater_op": op, "_headwater_position": position, "_headwater_unchanged": unchanged, "id": id, "note": note}
	}
	columns, key := []column{{name: "id"}, {name: "note"}}, []string{"id"}
	one := []map[string]string{{"id": "1", "note": "b"}}
	whole, updated := change("-", "-", "1", "a", "-"), change("update", "0/10", "1", "b", "-")
	for name, c := range map[string]struct {
		landed, rows []map[string]string
		right        bool
	}{
		"all":                      {[]map[string]string{updated, whole}, one, true},
		"a lost update":            {[]map[string]string{whole}, one, false},
		"a lost insert":            {nil, one, false},
		"a lost delete":            {[]map[string]string{whole, updated}, nil, false},
		"a delete":                 {[]map[string]string{whole, updated, change("delete", "0/20", "1", "-", "-")}, nil, true},
		"a delete of another":      {[]map[string]string{whole, updated, change("delete", "0/20", "2", "-", "-")}, nil, false},
		"a truncation":             {[]map[string]string{whole, updated, change("truncate", "0/20", "-", "-", "-")}, nil, true},
		"a truncation, as MariaDB": {[]map[string]string{whole, change("update", "0-7-9", "1", "b", "-"), change("truncate", "0-7-10", "-", "-", "-")}, nil, true},
		"a row after that":         {[]map[string]string{whole, change("truncate", "0/20", "-", "-", "-"), change("insert", "0/30", "1", "b", "-")}, one, true},
		"a truncation before":      {[]map[string]string{change("truncate", "0/8", "-", "-", "-"), updated}, nil, false},
		"a value that is kept":     {[]map[string]string{updated, change("update", "0/20", "1", "-", `["note"]`)}, one, true},
		"a value that is lost":     {[]map[string]string{updated, change("update", "0/20", "1", "-", "-")}, one, false},
		"another value is kept":    {[]map[string]string{whole, change("update", "0/20", "1", "-", `["note"]`)}, one, false},
	} {
		if wrong := replay(c.landed, c.rows, columns, key, false); (wrong == "") != c.right {
			t.Errorf("%s: %q", name, wrong)
		}
	}
	twice := append(one, one...)
	if replay(twice, one, columns, nil, false) == "" || replay(one, twice, columns, nil, false) == "" || replay(twice, twice, columns, nil, false) != "" {
		t.Error("rows without a key")
	}
	kept := func(id, deleted string) map[string]string {
		return map[string]string{"id": id, "note": "b", "_headwater_deleted": deleted}
	}
	if live, wrong := living([]map[string]string{kept("1", "0"), kept("2", "1")}, one, key); len(live) != 1 || wrong != "" {
		t.Errorf("%v, %s", live, wrong)
	}
	for _, landed := range [][]map[string]string{{kept("1", "1")}, {kept("1", "0"), kept("1", "0")}} {
		if _, wrong := living(landed, one, key); wrong == "" {
			t.Errorf("%v are taken for right", landed)
		}
	}
}
