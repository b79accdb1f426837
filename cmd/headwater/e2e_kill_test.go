package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/cmd/headwater/terminal"
)

// killed is a series of syncs of one mode, of which one runs in each round.
type killed struct {
	mode    string
	table   string
	options object
	most    int // the largest id of the source

	source, operation, sync string
	pace                    time.Duration // what a row takes when the sync is left alone
	before                  int64         // rows of the table that the source had read before the round
	fresh                   int64         // rows that the round's sync must read
	kills                   int           // that this round's sync survived

	syncs, hits, rows, again, missing, repeated int64
}

// path is below a workspace of the series' own: syncs of one take turns.
func (k *killed) path(rest string) string { return "/data/" + k.mode + "/" + rest }

// killRun is the service and what was done to it.
type killRun struct {
	t       *testing.T
	source  *killSource
	dir     string
	listen  string
	program string
	flags   []string
	token   string
	process *process
	caller  *caller
}

var killsWanted = flag.Int("kills", 0, "how often TestKilledSyncsLoseAndRepeatNothing kills (200, or 3 in the short suite)")

// killsPerSync stays below the deaths after which a command is given up.
const killsPerSync = 4

// TestKilledSyncsLoseAndRepeatNothing kills the service with SIGKILL at random
// moments of full and incremental syncs, several at once, and compares what
// landed with the source, row by row.
func TestKilledSyncsLoseAndRepeatNothing(t *testing.T) {
	t.Parallel() // it waits more than it computes
	kills, rows := 200, 1_000_000
	if testing.Short() {
		kills, rows = 3, 20_000
	}
	if *killsWanted > 0 {
		kills = *killsWanted
	}
	r := newKillRun(t)
	all := []*killed{
		{mode: "full_refresh", table: "whole", options: object{"mode": "full_refresh"}},
		{mode: "append", table: "added", options: object{"mode": "incremental", "cursor_columns": object{"added": "id"}}},
	}
	if r.offers("merge") {
		all = append(all, &killed{mode: "merge", table: "changed",
			options: object{"mode": "incremental", "merge": true, "cursor_columns": object{"changed": "version"}}})
	}
	for _, k := range all {
		k.options["tables"] = []string{k.table}
		r.source.make(k.table)
		r.source.insert(k.table, 1, rows+1)
		k.most = rows
	}
	done := 0
	for round := 0; done < kills && !t.Failed(); round++ {
		if round > 3*kills+10 {
			t.Fatalf("only %d kills hit a running sync in %d rounds", done, round)
		}
		for _, k := range all {
			r.prepare(k, round, rows)
		}
		if round == 0 {
			// Left alone, to know how long a sync takes.
			r.start(all...)
			r.finish(0, all)
			for _, k := range all {
				r.compare(k)
				r.connect(k, "calibrated")
			}
		}
		r.start(all...)
		for n := 0; n < killsPerSync && done < kills && !t.Failed(); n++ {
			if !r.kill(all, n+1) {
				break // they ended first
			}
			done++
		}
		r.finish(done, all)
		for _, k := range all {
			r.compare(k)
		}
	}
	var table strings.Builder
	for _, k := range all {
		fmt.Fprintf(&table, "\n%-12s %5d syncs of %d rows in all, interrupted %d times: %d rows read again, %d missing, %d repeated",
			k.mode, k.syncs, k.rows, k.hits, k.again, k.missing, k.repeated)
	}
	t.Logf("%d kills of the service:%s", done, &table)
}

func newKillRun(t *testing.T) *killRun { return newKillRunOf(t, newKillSource(t)) }

// newKillRunOf starts a service, with further flags, beside a source.
func newKillRunOf(t *testing.T, source *killSource, flags ...string) *killRun {
	t.Helper()
	r := &killRun{t: t, source: source, flags: flags, dir: filepath.Join(t.TempDir(), "data"), listen: freePort(t)}
	if !testing.Short() {
		// The program as it is shipped: the race detector would make each round
		// several times as long.
		r.program = filepath.Join(t.TempDir(), "headwater")
		build := exec.Command("go", "build", "-o", r.program, ".")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
	}
	if err := os.MkdirAll(filepath.Join(r.dir, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.LoadOrCreateKey(filepath.Join(r.dir, "keys", "jwt.key")); err != nil {
		t.Fatal(err)
	}
	token := new(bytes.Buffer)
	tokens := &TokenCmd{Org: "acme", User: "ada", Role: "editor", TTL: 12 * time.Hour, DataDir: r.dir}
	if err := tokens.Run(t.Context(), terminal.Streams{Out: token, Err: io.Discard}); err != nil {
		t.Fatal(err)
	}
	r.token = strings.TrimSpace(token.String())
	r.restart()
	t.Cleanup(func() {
		r.process.kill()
		if t.Failed() {
			t.Logf("the service said at last:\n%s", r.process.log.Bytes())
		}
	})
	return r
}

// restart starts the service over what the last one left.
func (r *killRun) restart() {
	r.t.Helper()
	r.process = startProcessOf(r.t, r.program, r.dir, r.listen, r.flags...)
	r.caller = &caller{t: r.t, base: r.process.base, token: r.token}
}

// offers reports whether syncs take an option.
func (r *killRun) offers(option string) bool {
	res, err := http.Get("http://" + r.listen + "/openapi.yaml")
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return bytes.Contains(text, []byte(" "+option+": {"))
}

// prepare changes the source for the next sync. Every second one goes into a new
// table. Full refreshes read all of the source each time. Incremental ones read all of it into a new table, and in the next
// round what came since, into the same one.
func (r *killRun) prepare(k *killed, round, rows int) {
	r.t.Helper()
	more := round%2 == 1
	switch {
	case !more && round > 0:
		if k.mode != "full_refresh" {
			r.source.exec(fmt.Sprintf("DELETE FROM %s WHERE id > %d", k.table, rows), "VACUUM "+k.table)
			k.most = rows
		}
		r.connect(k, fmt.Sprint(round))
	case round == 0:
		r.connect(k, "0")
	case more && k.mode == "append":
		r.source.insert(k.table, k.most+1, k.most+rows/2+1)
		k.most += rows / 2
	case more && k.mode == "merge":
		r.source.insert(k.table, k.most+1, k.most+rows/4+1)
		k.most += rows / 4
		r.source.exec(fmt.Sprintf("UPDATE %[1]s SET version = nextval('%[1]s_versions'), note = note || ' again' WHERE id %% 4 = 1 AND id <= %[2]d", k.table, rows))
	}
	k.fresh = r.source.contents(k.table).rows
	if more && k.mode != "full_refresh" {
		k.fresh = int64(rows / 2)
	}
}

// connect connects the source anew, for a table that nothing has landed in, and
// removes the one before.
func (r *killRun) connect(k *killed, name string) {
	r.t.Helper()
	if k.source != "" {
		if a := r.caller.post(k.path("cleanup"), object{"source_ids": []string{k.source}}); a.Code != 200 {
			r.t.Fatalf("cleanup: %s", a.Body)
		}
	}
	a := r.caller.post(k.path("connect"), object{"sources": []object{{"type": "postgresql", "name": k.mode + "-" + name, "connection_config": r.source.settings()}}})
	var connected struct {
		Sources []struct{ ID string } `json:"connected_sources"`
	}
	if a.into(r.t, &connected); len(connected.Sources) != 1 {
		r.t.Fatalf("connect: %s", a.Body)
	}
	k.source = connected.Sources[0].ID
}

// start asks for a sync of each series and does not wait for it.
func (r *killRun) start(all ...*killed) {
	r.t.Helper()
	for _, k := range all {
		k.before, k.kills = r.source.read(k.table), 0
	}
	for _, k := range all {
		a := r.caller.call("POST", k.path("sync"), object{"source_ids": []string{k.source}, "sync_options": k.options}, "Prefer", "respond-async")
		var accepted struct {
			ID string `json:"operation_id"`
		}
		if a.into(r.t, &accepted); a.Code != 202 {
			r.t.Fatalf("sync: %d %s", a.Code, a.Body)
		}
		k.operation, k.sync = accepted.ID, ""
	}
}

// state returns whether a series' sync still runs, and how often a worker
// started it.
func (r *killRun) state(k *killed) (running bool, attempts int) {
	r.t.Helper()
	var o struct {
		Status  string
		Targets []struct {
			Sync string `json:"sync_id"`
		}
	}
	a := r.caller.get(k.path("operations/" + k.operation))
	if a.into(r.t, &o); a.Code != 200 || len(o.Targets) != 1 {
		r.t.Fatalf("operation: %d %s", a.Code, a.Body)
	}
	k.sync = o.Targets[0].Sync
	var events []struct {
		Data struct {
			Sync string `json:"sync_id"`
		}
	}
	r.caller.get(k.path("events?type=SyncStarted&limit=100&source_id="+k.source)).into(r.t, &events)
	for _, e := range events {
		if e.Data.Sync == k.sync && k.sync != "" {
			attempts++
		}
	}
	return o.Status == "running", attempts
}

// kill waits until the nth attempt of every sync that has not ended is begun,
// and a random part of the time that a sync takes, kills the service and starts
// it again. It reports whether that hit a sync.
func (r *killRun) kill(all []*killed, nth int) bool {
	r.t.Helper()
	var moments []time.Duration // of the syncs that run, how long each takes
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(time.Millisecond) {
		begun, running := 0, 0
		moments = moments[:0]
		for _, k := range all {
			if on, attempts := r.state(k); on {
				running++
				moments = append(moments, time.Duration(float64(k.pace)*float64(k.fresh)))
				if attempts > k.kills {
					begun++
				}
			}
		}
		if running == 0 {
			return false
		}
		if begun == running {
			break
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("attempt %d of a sync has not begun", nth)
		}
	}
	time.Sleep(rand.N(moments[rand.IntN(len(moments))])) // the moment is the point
	if !slices.ContainsFunc(all, func(k *killed) bool { on, _ := r.state(k); return on }) {
		return false
	}
	r.process.kill()
	r.restart()
	hit := false
	for _, k := range all {
		// Its lease keeps the sync from ending before it is looked at.
		if on, _ := r.state(k); on {
			k.kills++
			k.hits++
			hit = true
		}
	}
	return hit
}

// finish waits until the syncs of a round have ended.
func (r *killRun) finish(kills int, all []*killed) {
	r.t.Helper()
	for _, k := range all {
		for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
			running, attempts := r.state(k)
			if !running {
				if attempts <= k.kills {
					r.t.Errorf("%s: %d attempts after %d interruptions: a kill did not hit it", k.mode, attempts, k.kills)
				}
				break
			}
			if time.Now().After(deadline) {
				r.t.Fatalf("%s, after %d kills: the sync has not ended", k.mode, kills)
			}
		}
	}
}

// compare compares what a series' sync landed with the source.
func (r *killRun) compare(k *killed) {
	r.t.Helper()
	var s struct {
		Status     string
		DurationMS int64 `json:"duration_ms"`
		Records    int64 `json:"records_processed"`
		Tables     []struct {
			Location string
			Snapshot int64 `json:"snapshot_id,string"`
		}
	}
	a := r.caller.get(k.path("syncs/" + k.sync))
	if a.into(r.t, &s); s.Status != "completed" || len(s.Tables) != 1 {
		r.t.Errorf("%s: the sync ended as %s", k.mode, a.Body)
		return
	}
	if k.kills == 0 {
		k.pace = max(time.Duration(s.DurationMS)*time.Millisecond/time.Duration(k.fresh), 1)
	}
	read := r.source.read(k.table) - k.before - k.fresh
	want := r.source.contents(k.table)
	got := landedContents(r.t, s.Tables[0].Location, s.Tables[0].Snapshot, k.most)
	k.syncs++
	k.rows += k.fresh
	k.again += max(0, read)
	k.missing += want.distinct - got.distinct
	k.repeated += got.rows - got.distinct
	if got != want {
		r.t.Errorf("%s, interrupted %d times: %+v landed, the source has %+v", k.mode, k.kills, got, want)
	}
	if s.Records != k.fresh {
		r.t.Errorf("%s, interrupted %d times: the sync says %d records, it had %d to read", k.mode, k.kills, s.Records, k.fresh)
	}
}
