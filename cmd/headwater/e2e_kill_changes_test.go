package main

import (
	"flag"
	"fmt"
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
// server with SIGKILL at random moments of continuous syncs, cuts their connections and
// pauses them, under writers that insert, update, delete, change keys, truncate, alter and
// write much at once. At the end every row of the lake is that of its source, the source
// keeps nothing for us, and the history tells no other story.
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
	t.Run("MySQL", func(t *testing.T) {
		t.Parallel()
		killChanges(t, changingMySQL(t), max(kills/4, 3))
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

// tracked is a source that is followed: the same database, landed in one of the ways.
type tracked struct {
	name    string
	options object // sync_options
	id      string
	story   story
}

// followedRun is a service that follows a changing database, and what was done to both.
type followedRun struct {
	*killRun
	source  *changingSource
	tracked []*tracked // the first is merged
	random  *rand.Rand
	killed  map[string]int
	again   map[string][]time.Duration // from a kill until something landed
}

// fewKills is how many kills follow one source only.
const fewKills = 3

// harms are what is done to a run, the first three in this order at the beginning.
var harms = []string{"connector", "service", "server", "connector", "service", "server", "service and server", "connection", "pause"}

func killChanges(t *testing.T, source *changingSource, kills int) {
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-kill-seed %d", seed)
	r := &followedRun{source: source, random: rand.New(rand.NewPCG(seed, 1)), killed: map[string]int{}, again: map[string][]time.Duration{}}
	r.killRun = newKillRunOf(t, nil)
	r.tracked = []*tracked{{name: "shop", options: object{}}}
	if kills > fewKills {
		r.tracked = append(r.tracked, &tracked{name: "kept", options: object{"soft_delete": true}}, &tracked{name: "log", options: object{"changes": "append"}})
	}
	source.write(r.random, 200)
	r.follow()
	stop := source.keepWriting(seed)
	defer stop()
	for n := range kills {
		what := harms[n%len(harms)]
		if n >= fewKills {
			what = harms[r.random.IntN(len(harms))]
		}
		time.Sleep(time.Duration(r.random.IntN(500)) * time.Millisecond) // the moment is the point
		began := time.Now()
		r.kill(what)
		if r.killed[what]++; n < fewKills || r.random.IntN(3) > 0 { // else amid what the last one has left
			r.recover(what, began)
		}
		if t.Failed() {
			r.tell()
			return
		}
	}
	stop()
	r.end()
	for _, of := range r.tracked {
		r.compare(of)
	}
	r.purge()
	events := 0
	for _, of := range r.tracked {
		of.story.read(r.caller, of.id)
		of.story.check()
		events += len(of.story.events)
	}
	if !testing.Short() { // TestRebuild has the rule
		r.rebuild()
	}
	if t.Failed() {
		r.tell()
		return
	}
	for _, what := range harms[fewKills:] {
		slices.Sort(r.again[what])
		if n := len(r.again[what]); n > 0 {
			t.Logf("%s: %d times %s; changes landed again after %v (median), %v at most", source.name, r.killed[what], what,
				r.again[what][n/2].Round(10*time.Millisecond), r.again[what][n-1].Round(10*time.Millisecond))
		}
	}
	t.Logf("%s: %d transactions, %d rows in the end, %d events: nothing lost, doubled or left over", source.name, source.written.Load(), source.rows, events)
}

// tell logs what happened to the tables and what the histories have.
func (r *followedRun) tell() {
	r.t.Logf("altered:\n%s", strings.Join(r.source.altered, "\n"))
	for _, of := range r.tracked {
		r.t.Logf("the history of %s:", of.name)
		of.story.t = r.t
		of.story.tell()
	}
}

// follow connects the sources and has them synced continuously.
func (r *followedRun) follow() {
	r.t.Helper()
	for _, of := range r.tracked {
		a := r.caller.post("/data/changes/connect", object{"sources": []object{{"type": r.source.kind, "name": of.name, "connection_config": r.source.settings()}}})
		var connected struct {
			Sources []struct{ ID string } `json:"connected_sources"`
		}
		if a.into(r.t, &connected); len(connected.Sources) != 1 {
			r.t.Fatalf("connect: %s", a.Body)
		}
		of.id, of.story.t = connected.Sources[0].ID, r.t
		r.schedule(of, false)
	}
}

func (of *tracked) with(key string, value any) object {
	all := object{key: value}
	for k, v := range of.options {
		all[k] = v
	}
	return all
}

func (r *followedRun) schedule(of *tracked, paused bool) {
	r.t.Helper()
	a := r.caller.call(http.MethodPut, "/data/changes/sources/"+of.id+"/schedule", object{"continuous": true, "paused": paused, "sync_options": of.with("max_delay", "1s")})
	if a.Code != http.StatusOK {
		r.t.Fatalf("schedule: %d %s", a.Code, a.Body)
	}
}

// told holds that no source was told of more than its history has. It returns how much has
// landed of the first, as its history says.
func (r *followedRun) told() uint64 {
	r.t.Helper()
	for _, of := range r.tracked {
		confirmed := r.source.confirmed(of.id)
		for deadline := time.Now().Add(testLimit); ; time.Sleep(10 * time.Millisecond) { // the read model is a moment behind
			of.story.read(r.caller, of.id)
			landed := of.story.position()
			if confirmed <= landed || landed == 0 {
				break
			}
			if time.Now().After(deadline) {
				r.t.Errorf("the source of %s was told of %x, and the history ends at %x; its server:\n%s", of.name, confirmed, landed, r.source.activity())
				break
			}
		}
	}
	return r.tracked[0].story.position()
}

// kill kills one of those that work together, or what holds them together, and starts
// again what does not come back by itself. What the history and the source say
// beforehand, must be in the lake.
func (r *followedRun) kill(what string) {
	r.t.Helper()
	landed := r.told()
	switch what {
	case "service":
		at := r.place(r.tracked[0], "marks")
		r.process.kill()
		r.wantMarks(landed, at)
		r.restart()
	case "server":
		r.killServer()
		time.Sleep(time.Duration(r.random.IntN(2)*r.random.IntN(1500)) * time.Millisecond) // it is away for a while
		r.restartServer()
	case "service and server":
		r.killServer()
		r.process.kill()
		if r.random.IntN(2) == 0 {
			r.restartServer()
			r.restart()
			break
		}
		r.restart()
		r.restartServer()
	case "connector":
		r.eventually("a connector to be connected", func() bool {
			children := connectorsAt(r.process.cmd.Process.Pid, r.source.server.Port)
			return len(children) > 0 && syscall.Kill(children[r.random.IntN(len(children))], syscall.SIGKILL) == nil
		})
	case "connection":
		r.source.disconnect()
	case "pause":
		of := r.tracked[r.random.IntN(len(r.tracked))]
		r.schedule(of, true)
		time.Sleep(time.Duration(r.random.IntN(1500)) * time.Millisecond) // shorter than its end takes, or longer
		r.schedule(of, false)
	}
}

func (r *followedRun) killServer() {
	r.t.Helper()
	if err := r.source.server.Kill(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *followedRun) restartServer() {
	r.t.Helper()
	if err := r.source.server.Restart(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// recover waits until changes land again, of every source.
func (r *followedRun) recover(what string, killed time.Time) {
	r.t.Helper()
	since := time.Now()
	for _, of := range r.tracked {
		r.eventually("changes of "+of.name+" to land after this: "+what, func() bool {
			found, _ := filepath.Glob(filepath.Join(r.dir, "lake", "acme", "changes", "*", of.id, "*marks*", "metadata", "*.metadata.json"))
			deeper, _ := filepath.Glob(filepath.Join(r.dir, "lake", "acme", "changes", "*", of.id, "*", "*marks*", "metadata", "*.metadata.json"))
			return slices.ContainsFunc(append(found, deeper...), func(name string) bool {
				info, err := os.Stat(name)
				return err == nil && info.ModTime().After(since)
			})
		})
	}
	r.again[what] = append(r.again[what], time.Since(killed))
}

const landsWithin = 90 * time.Second

// eventually waits for something, and fails with all that everybody is at.
func (r *followedRun) eventually(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(landsWithin); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			server := r.source.activity()
			for _, of := range r.tracked {
				of.story.read(r.caller, of.id)
			}
			r.tell()
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
