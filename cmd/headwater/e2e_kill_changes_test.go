package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"headwater/connectors/drivertest/servers"
)

var killSeed = flag.Uint64("kill-seed", 0, "the seed of TestKilledWhileChangesAreFollowed, 0 for a new one")

// postgresPrograms is where the programs of other PostgreSQL are: a folder each.
const postgresPrograms = "HEADWATER_TEST_POSTGRES"

// TestKilledWhileChangesAreFollowed kills the service, its connectors and the database
// server with SIGKILL at random moments of a continuous sync, under a writer that
// inserts, updates, deletes, changes keys, truncates and alters. At the end every row
// of the lake is that of its source, the source keeps nothing for us, and the history
// tells no other story.
func TestKilledWhileChangesAreFollowed(t *testing.T) {
	t.Parallel() // it waits more than it computes
	kills, others := 200, 40
	if testing.Short() {
		kills, others = 3, 0
	}
	if *killsWanted > 0 {
		kills, others = *killsWanted, *killsWanted
	}
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		killChanges(t, changingPostgres(t, servers.PostgresWith(t, logicalSettings...)), kills)
	})
	t.Run("MariaDB", func(t *testing.T) {
		t.Parallel()
		killChanges(t, changingMariaDB(t), max(kills/4, 3))
	})
	programs := os.Getenv(postgresPrograms)
	if programs == "" || others == 0 {
		return
	}
	found, _ := filepath.Glob(filepath.Join(programs, "*", "initdb"))
	deeper, _ := filepath.Glob(filepath.Join(programs, "*", "bin", "initdb"))
	for _, initdb := range append(found, deeper...) {
		name, _ := filepath.Rel(programs, filepath.Dir(initdb))
		t.Run("PostgreSQL "+name, func(t *testing.T) {
			killChanges(t, changingPostgres(t, servers.PostgresOf(t, filepath.Dir(initdb), logicalSettings...)), others)
		})
	}
}

// followedRun is a service that follows a changing source, and what was done to both.
type followedRun struct {
	*killRun
	source *changingSource
	id     string
	random *rand.Rand
	killed map[string]int
	again  map[string][]time.Duration // from a kill until something landed
	story  story
}

func killChanges(t *testing.T, source *changingSource, kills int) {
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-kill-seed %d", seed)
	r := &followedRun{source: source, random: rand.New(rand.NewPCG(seed, 1)), killed: map[string]int{}, again: map[string][]time.Duration{}}
	r.killRun = newKillRunOf(t, nil)
	r.story.t = t
	source.write(r.random, 200)
	r.follow()
	stop := source.keepWriting(rand.New(rand.NewPCG(seed, 2)))
	defer stop()
	order := []string{"connector", "service", "server"}
	for n := range kills {
		what := order[n%len(order)]
		if n >= len(order) {
			what = order[r.random.IntN(len(order))]
		}
		time.Sleep(time.Duration(r.random.IntN(500)) * time.Millisecond) // the moment is the point
		began := time.Now()
		r.kill(what)
		if r.killed[what]++; n < len(order) || r.random.IntN(3) > 0 { // else amid what the last one has left
			r.recover(what, began)
		}
		if t.Failed() {
			return
		}
	}
	stop()
	r.end()
	r.compare()
	r.purge()
	r.story.read(r.caller, r.id)
	r.story.check()
	if t.Failed() {
		t.Logf("altered:\n%s", strings.Join(source.altered, "\n"))
	}
	for _, what := range order {
		slices.Sort(r.again[what])
		if n := len(r.again[what]); n > 0 {
			t.Logf("%s: %d kills of the %s; changes landed again after %v (median), %v at most", source.name, r.killed[what], what,
				r.again[what][n/2].Round(10*time.Millisecond), r.again[what][n-1].Round(10*time.Millisecond))
		}
	}
	t.Logf("%s: %d transactions, %d rows in the end, %d events: nothing lost, doubled or left over", source.name, source.written.Load(), source.rows, len(r.story.events))
}

// follow connects the source and has it synced continuously.
func (r *followedRun) follow() {
	r.t.Helper()
	a := r.caller.post("/data/changes/connect", object{"sources": []object{{"type": r.source.kind, "name": "shop", "connection_config": r.source.settings()}}})
	var connected struct {
		Sources []struct{ ID string } `json:"connected_sources"`
	}
	if a.into(r.t, &connected); len(connected.Sources) != 1 {
		r.t.Fatalf("connect: %s", a.Body)
	}
	r.id = connected.Sources[0].ID
	r.schedule(false)
}

func (r *followedRun) schedule(paused bool) {
	r.t.Helper()
	a := r.caller.call(http.MethodPut, "/data/changes/sources/"+r.id+"/schedule", object{"continuous": true, "paused": paused, "sync_options": object{"max_delay": "1s"}})
	if a.Code != http.StatusOK {
		r.t.Fatalf("schedule: %d %s", a.Code, a.Body)
	}
}

// kill kills one of the three that work together, and starts again what does not come
// back by itself. What the history and the source say beforehand, must be in the lake.
func (r *followedRun) kill(what string) {
	r.t.Helper()
	confirmed, landed := r.source.confirmed(), uint64(0)
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(10 * time.Millisecond) { // the read model is a moment behind
		r.story.read(r.caller, r.id)
		if landed = r.story.position(); confirmed <= landed || landed == 0 {
			break
		}
		if time.Now().After(deadline) {
			r.t.Errorf("the source was told of %x, and the history ends at %x; the source's server:\n%s", confirmed, landed, r.source.activity())
			r.story.tell()
			break
		}
	}
	switch what {
	case "service":
		at := r.place("marks")
		r.process.kill()
		r.wantMarks(landed, at)
		r.restart()
	case "server":
		if err := r.source.server.Kill(); err != nil {
			r.t.Fatal(err)
		}
		if err := r.source.server.Restart(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	case "connector":
		r.eventually("a connector to be connected", func() bool {
			children := connectorsAt(r.process.cmd.Process.Pid, r.source.server.Port)
			return len(children) > 0 && syscall.Kill(children[r.random.IntN(len(children))], syscall.SIGKILL) == nil
		})
	}
}

// recover waits until changes land again.
func (r *followedRun) recover(what string, killed time.Time) {
	r.t.Helper()
	since := time.Now()
	r.eventually("changes to land after the "+what+" was killed", func() bool {
		found, _ := filepath.Glob(filepath.Join(r.dir, "lake", "acme", "changes", "*", r.id, "*marks*", "metadata", "*.metadata.json"))
		deeper, _ := filepath.Glob(filepath.Join(r.dir, "lake", "acme", "changes", "*", r.id, "*", "*marks*", "metadata", "*.metadata.json"))
		return slices.ContainsFunc(append(found, deeper...), func(name string) bool {
			info, err := os.Stat(name)
			return err == nil && info.ModTime().After(since)
		})
	})
	r.again[what] = append(r.again[what], time.Since(killed))
}

const landsWithin = 90 * time.Second

// eventually waits for something, and fails with all that everybody is at.
func (r *followedRun) eventually(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(landsWithin); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			server := r.source.activity()
			_ = r.process.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines are in its log, which is shown
			_ = r.process.cmd.Wait()
			r.t.Fatalf("waited %v in vain for %s; the source's server:\n%s", landsWithin, what, server)
		}
	}
}

// wantMarks holds that the lake has all that was committed before a position that the
// history tells. at is where the table lay after that was told.
func (r *followedRun) wantMarks(landed uint64, at landedPlace) {
	r.t.Helper()
	if at.Metadata == "" || landed == 0 {
		return
	}
	have := map[int64]bool{}
	for _, row := range r.rows(at) {
		id, _ := strconv.ParseInt(row["id"], 10, 64)
		have[id] = true
	}
	for _, m := range r.source.marked() {
		if m.at <= landed && !have[m.id] {
			r.t.Errorf("the history says that %x has landed; row %d was committed at %x and is not in the lake", landed, m.id, m.at)
			return
		}
	}
}

// end pauses the schedule while nobody has the sync, which ends all the same, and has
// one last sync land what is left.
func (r *followedRun) end() {
	r.t.Helper()
	r.process.kill()
	r.restart()
	r.schedule(true)
	r.eventually("the sync to end", func() bool {
		r.story.read(r.caller, r.id)
		return r.story.running() == ""
	})
	a := r.caller.post("/data/changes/sync", object{"source_ids": []string{r.id}, "sync_options": object{"mode": "cdc"}})
	r.story.read(r.caller, r.id)
	if last := r.story.last("SyncCompleted"); last == nil || last.Data.Status != "completed" {
		r.t.Fatalf("the last sync: %d %s", a.Code, a.Body)
	}
}

// compare compares each row with its source's, by the md5 of all of its columns.
func (r *followedRun) compare() {
	r.t.Helper()
	for _, table := range r.source.tables {
		at := r.place(table)
		if at.Metadata == "" {
			r.t.Errorf("table %s has not landed", table)
			continue
		}
		want, rows := r.source.sums(table), r.rows(at)
		got := sumsOf(rows, r.source.columns(table))
		r.source.rows += len(want)
		if len(rows) != len(got) || !maps.Equal(got, want) {
			r.t.Errorf("table %s: %d rows landed, the source has %d; not the same are, of columns %v:\n%s\nof the source:\n%s",
				table, len(rows), len(want), r.source.columns(table), besides(got, want), besides(want, got))
		}
	}
	a := r.caller.post("/data/changes/verify", object{"source_ids": []string{r.id}})
	if a.Code != http.StatusOK || bytes.Contains(a.Body, []byte(`"different"`)) {
		r.t.Errorf("verify: %d %s", a.Code, a.Body)
	}
}

// besides returns a few of the rows that others are not.
func besides(rows, others map[string]string) string {
	var all []string
	for sum, text := range rows {
		if _, ok := others[sum]; !ok {
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return strings.Join(all[:min(len(all), 8)], "\n")
}

// purge removes the source, and holds that nothing of it is left at the server or runs.
func (r *followedRun) purge() {
	r.t.Helper()
	if a := r.caller.post("/data/changes/cleanup", object{"source_ids": []string{r.id}, "purge": true}); a.Code != http.StatusOK {
		r.t.Fatalf("cleanup: %s", a.Body)
	}
	if left := r.source.left(); left != "" {
		r.t.Errorf("after the purge the server still has %s", left)
	}
	if children := connectorsAt(r.process.cmd.Process.Pid, r.source.server.Port); len(children) > 0 {
		r.t.Errorf("after the purge %d connectors are connected", len(children))
	}
}

// connectorsAt returns the children of a process that are connected to a port.
func connectorsAt(parent, port int) (children []int) {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return nil
	}
	sockets := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 9 && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", port)) {
			sockets["socket:["+f[9]+"]"] = true
		}
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, _ := os.ReadFile(name)
		_, after, _ := strings.Cut(string(text), ") ")
		f := strings.Fields(after)
		if len(f) < 2 || f[1] != strconv.Itoa(parent) {
			continue
		}
		files, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "fd", "*"))
		if slices.ContainsFunc(files, func(file string) bool { to, _ := os.Readlink(file); return sockets[to] }) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			children = append(children, pid)
		}
	}
	return children
}
