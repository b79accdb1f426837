package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/bus/bustest"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/buckettest"
)

// storeRun is a whole service on a lake that misbehaves, with what it said.
type storeRun struct {
	t       *testing.T
	cfg     Config
	node    *testNode
	caller  *caller
	proxy   *buckettest.Proxy // nil for a folder
	buckets string            // where the server keeps them
	lake    string            // the lake's own folder on this machine
	all     bytes.Buffer      // logs of nodes that ended, and answers
}

// quickStore is what a store has for an answer in these tests.
var quickStore = bucket.Limits{Connect: time.Second, Stall: time.Second, Outage: 3 * time.Second}

// newBucketRun starts a service whose lake is a bucket behind a proxy.
func newBucketRun(t *testing.T, flags ...string) *storeRun {
	r := &storeRun{t: t, cfg: testConfig(t), buckets: t.TempDir()}
	if err := os.Mkdir(filepath.Join(r.buckets, "lab"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.keys()
	r.proxy = buckettest.NewProxy(t, buckettest.Over(t, r.buckets, buckettest.AccessKey, buckettest.SecretKey, flags...))
	r.lake = filepath.Join(r.buckets, "lab", "lake")
	r.cfg.Lake = "s3://lab/lake?region=us-east-1&endpoint=" + r.proxy.URL
	r.begin()
	return r
}

func (r *storeRun) keys() {
	r.t.Setenv("AWS_ACCESS_KEY_ID", buckettest.AccessKey)
	r.t.Setenv("AWS_SECRET_ACCESS_KEY", buckettest.SecretKey)
	r.t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// begin starts the service; it is closed with the test, or by end.
func (r *storeRun) begin() {
	r.t.Helper()
	r.cfg.FilesRoot = filepath.Join(filepath.Dir(r.cfg.DataDir), "files")
	r.cfg.storeLimits, r.cfg.retryDelay = quickStore, 50*time.Millisecond
	if err := os.MkdirAll(r.cfg.FilesRoot, 0o700); err != nil {
		r.t.Fatal(err)
	}
	logs := new(lockedBuffer)
	n, err := startNode(r.t.Context(), r.cfg, slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		r.t.Fatalf("start: %v", err)
	}
	r.node = &testNode{node: n, cfg: r.cfg, logs: logs}
	r.caller = r.node.as(r.t, "acme", "ada", "editor")
	r.t.Cleanup(r.end)
}

// end closes the service, which takes no longer than a drain.
func (r *storeRun) end() {
	if r.node == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit+busy)
	defer cancel()
	began := time.Now()
	if err := r.node.Close(ctx); err != nil {
		r.t.Errorf("close: %v after %v", err, time.Since(began))
	}
	r.all.Write(r.node.logs.Bytes())
	r.node = nil
}

func (r *storeRun) restart() {
	r.t.Helper()
	r.end()
	r.begin()
}

// call is the API, and keeps what it answered.
func (r *storeRun) call(method, path string, body any) answer {
	r.t.Helper()
	a := r.caller.call(method, path, body, "Prefer", "wait=60")
	r.all.Write(a.Body)
	return a
}

// ready asks /readyz.
func (r *storeRun) ready() answer {
	r.t.Helper()
	began := time.Now()
	a := (&caller{t: r.t, base: r.node.URL}).get("/readyz")
	if took := time.Since(began); took > busy {
		r.t.Errorf("/readyz took %v", took)
	}
	r.all.Write(a.Body)
	return a
}

// subject is one source with one table.
type subject struct {
	r       *storeRun
	name    string
	id      string
	kind    string // full: a CSV file; big: one of several parts; merge: SQLite by key and version
	version int
	want    []string // the rows of the source, sorted
	before  []string // and before its last change
}

func (r *storeRun) connect(name, kind string) *subject {
	r.t.Helper()
	s := &subject{r: r, name: name, kind: kind}
	s.change()
	source := object{"type": "file", "name": name, "connection_config": object{"path": name + ".csv"}}
	if kind == "merge" {
		source = object{"type": "sqlite", "name": name, "connection_config": object{"path": name + ".db"}}
	}
	a := r.call("POST", "/data/w/connect", object{"sources": []object{source}})
	var connected struct {
		Sources []struct{ ID string } `json:"connected_sources"`
	}
	if a.into(r.t, &connected); len(connected.Sources) != 1 {
		r.t.Fatalf("connect: %s", a.Body)
	}
	s.id = connected.Sources[0].ID
	return s
}

// change makes the source's next generation.
func (s *subject) change() {
	s.r.t.Helper()
	s.version++
	s.before, s.want = s.want, nil
	rows, width := 300+10*s.version, 10
	if s.kind == "big" {
		rows, width = 11_000, 1000
	}
	dice := rand.New(rand.NewPCG(uint64(s.version), 7))
	note := func(id int) string {
		if s.kind == "merge" && id > 10*s.version && id <= rows-20 {
			return fmt.Sprint("as it was ", id)
		}
		b := make([]byte, width)
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[dice.IntN(64)]
		}
		return fmt.Sprintf("%d %s", s.version, b)
	}
	var csv strings.Builder
	csv.WriteString("id,note\n")
	notes := make([]string, rows+1)
	for id := 1; id <= rows; id++ {
		notes[id] = note(id)
		fmt.Fprintf(&csv, "%d,%s\n", id, notes[id])
	}
	if s.kind == "merge" {
		s.update(notes)
	} else if err := os.WriteFile(filepath.Join(s.r.cfg.FilesRoot, s.name+".csv"), []byte(csv.String()), 0o600); err != nil {
		s.r.t.Fatal(err)
	}
	for id := 1; id <= rows; id++ {
		s.want = append(s.want, fmt.Sprintf("%d|%s", id, notes[id]))
	}
	slices.Sort(s.want)
}

// update makes the rows of a database those of the notes, with a new version
// where they changed.
func (s *subject) update(notes []string) {
	s.r.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.r.cfg.FilesRoot, s.name+".db"))
	if err != nil {
		s.r.t.Fatal(err)
	}
	defer db.Close()
	run := func(statement string, args ...any) {
		s.r.t.Helper()
		if _, err := db.Exec(statement, args...); err != nil {
			s.r.t.Fatalf("%s: %v", statement, err)
		}
	}
	run("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, note TEXT, version INTEGER NOT NULL)")
	run("BEGIN")
	for id := 1; id < len(notes); id++ {
		run("INSERT INTO t VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET note = excluded.note, version = excluded.version WHERE note <> excluded.note", id, notes[id], s.version)
	}
	run("COMMIT")
}

// sync refreshes the source and returns how its sync ended.
func (s *subject) sync(options object) (status, message string) {
	s.r.t.Helper()
	if s.kind == "merge" && options["mode"] == nil {
		options["mode"], options["merge"], options["cursor_columns"] = "incremental", true, object{"t": "version"}
	}
	options["maintenance"] = "off" // its files come and go while these are counted
	a := s.r.call("POST", "/data/w/sync", object{"source_ids": []string{s.id}, "sync_options": options})
	var data struct {
		Syncs []struct {
			Status string
			Tables []struct {
				Status string
				Error  *struct{ Message string }
			}
		}
	}
	if a.Data != nil {
		_ = json.Unmarshal(a.Data, &data)
	}
	if len(data.Syncs) != 1 {
		if a.Code == 200 {
			s.r.t.Fatalf("sync: %s", a.Body)
		}
		return "failed", string(a.Body)
	}
	return data.Syncs[0].Status, string(a.Body)
}

// seen is what a stranger reads, and what lies in the table's folder.
type seen struct {
	Lines []string
	Files []string
	left  []string // files that no snapshot needs: parts and lists of staged ones
	young []string // and metadata of commits that did not happen, which stay for an hour
}

// read reads the table of a subject with a reader that is none of ours.
func (s *subject) read() (t seen) {
	s.r.t.Helper()
	var tables []struct {
		Location string `json:"metadata_location"`
	}
	s.r.call("GET", "/data/w/tables?source_id="+s.id, nil).into(s.r.t, &tables)
	if len(tables) != 1 || tables[0].Location == "" {
		s.r.t.Fatalf("tables of %s: %+v", s.name, tables)
	}
	c := exec.Command("node", "testdata/iceberg.mjs", s.r.buckets, tables[0].Location)
	c.Env = append(os.Environ(), "NODE_PATH="+bustest.Tool(s.r.t, "npm", "node_modules"))
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err == nil {
		err = json.Unmarshal(out, &t)
	}
	if err != nil {
		s.r.t.Fatalf("%s cannot be read: %v\n%s", tables[0].Location, err, said.Bytes())
	}
	slices.Sort(t.Lines)
	for _, name := range s.r.files(s.id) {
		base := filepath.Base(name)
		switch {
		case slices.Contains(t.Files, base):
		case strings.HasSuffix(base, ".avro"), strings.HasSuffix(base, ".metadata.json"):
			t.young = append(t.young, base)
		default:
			t.left = append(t.left, base)
		}
	}
	return t
}

// files lists what is in the lake of a source, or of all.
func (r *storeRun) files(of string) (found []string) {
	r.t.Helper()
	err := filepath.WalkDir(r.lake, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() && strings.Contains(name, of) {
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

// uploads counts uploads that were begun and are neither complete nor ended.
func (r *storeRun) uploads() (n int) {
	begun, _ := filepath.Glob(filepath.Join(r.buckets, "lab", ".sgwtmp", "multipart", "*", "*"))
	return len(begun)
}

// quiet checks that no key was told anywhere.
func (r *storeRun) quiet() {
	r.t.Helper()
	r.call("GET", "/data/w/events?limit=1000", nil)
	r.ready()
	r.end()
	for _, key := range []string{buckettest.SecretKey, buckettest.AccessKey} {
		if at := bytes.Index(r.all.Bytes(), []byte(key)); at >= 0 {
			r.t.Errorf("a key was told: %s", r.all.Bytes()[max(0, at-200):at+len(key)])
		}
	}
}

// newFolderRun starts a service whose lake is a folder.
func newFolderRun(t *testing.T) *storeRun {
	r := &storeRun{t: t, cfg: testConfig(t), lake: filepath.Join(t.TempDir(), "lake")}
	r.cfg.Lake = r.lake
	r.begin()
	return r
}
