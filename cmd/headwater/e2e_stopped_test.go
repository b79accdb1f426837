package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"headwater/bus/bustest"
	"headwater/handlers/landing/landingtest"
)

// TestStoppedOwner stops a worker in the middle of a sync for longer than its
// lease, lets another one finish the sync, and lets the first go on: it believes
// that the sync is its own, and nothing of it may land any more.
func TestStoppedOwner(t *testing.T) {
	t.Parallel() // it waits more than it computes
	if testing.Short() {
		t.Skip("each round waits for a lease to end: 30 s")
	}
	const rounds, rows = 4, 1_000_000
	shared := t.TempDir()
	if err := os.Mkdir(filepath.Join(shared, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	servers := bustest.Start(t, 3)
	cfg := clusterConfig(t, servers, shared, roleAPI)
	node := startTestNode(t, cfg)
	worker := func() *process {
		return startProcessOf(t, "", filepath.Join(t.TempDir(), "data"), freePort(t), "--roles", "worker", "--nats-url", servers.URL,
			"--lake", cfg.Lake, "--files-root", cfg.FilesRoot, "--master-key-file", cfg.MasterKeyFile, "--jwt-secret-file", cfg.JWTSecretFile)
	}
	r := &killRun{t: t, source: newKillSource(t), caller: node.as(t, "acme", "ada", "editor")}
	k := &killed{mode: "append", table: "added", most: rows, options: object{"mode": "incremental", "tables": []string{"added"}, "cursor_columns": object{"added": "id"}}}
	r.source.make(k.table)
	r.source.insert(k.table, 1, rows+1)
	k.fresh = rows

	hits := 0
	for round := 0; hits < rounds && !t.Failed(); round++ {
		if round > 5*rounds {
			t.Fatalf("only %d of %d stops fell into a sync", hits, round)
		}
		owner := worker()
		r.connect(k, time.Now().Format("150405.000000"))
		r.start(k)
		if k.pace > 0 {
			r.await(k, 1)
			time.Sleep(rand.N(k.pace * rows)) // the moment is the point
			if err := owner.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			if on, _ := r.state(k); on {
				hits++
				k.kills++
			}
		}
		other := worker()
		r.finish(round, []*killed{k})
		if k.kills > 0 {
			r.await(k, 2)
		}
		if err := owner.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		// It ends by itself, and has then done with the sync.
		owner.end(t)
		other.end(t)
		r.unmoved(k)
		r.compare(k)
	}
	t.Logf("%d owners stopped and resumed: %d rows read again, %d missing, %d repeated", hits, k.again, k.missing, k.repeated)
}

// await waits until the sync of a series was started so many times.
func (r *killRun) await(k *killed, attempts int) {
	r.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, n := r.state(k); n >= attempts {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("attempt %d of the sync has not begun", attempts)
		}
	}
}

// unmoved checks that what the sync landed is what is there now, and that the
// sync ended once.
func (r *killRun) unmoved(k *killed) {
	r.t.Helper()
	var s struct {
		Tables []struct {
			Location string
			Snapshot int64 `json:"snapshot_id,string"`
		}
	}
	r.caller.get(k.path("syncs/"+k.sync)).into(r.t, &s)
	now, err := landingtest.Newest(s.Tables[0].Location)
	if err != nil || now != s.Tables[0].Snapshot {
		r.t.Errorf("the table is at snapshot %d, the sync ended with %d: %v", now, s.Tables[0].Snapshot, err)
	}
	var ends []struct {
		Type string
		Data struct {
			Sync string `json:"sync_id"`
		}
	}
	r.caller.get(k.path("events?type=SyncCompleted,SyncFailed,SyncCancelled&limit=100&source_id="+k.source)).into(r.t, &ends)
	if len(ends) != 1 || ends[0].Data.Sync != k.sync || !strings.Contains(ends[0].Type, "SyncCompleted") {
		r.t.Errorf("the sync's ends: %+v", ends)
	}
}

// end asks the process to end and waits until it has.
func (p *process) end(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("SIGTERM: %v\n%s", err, p.log.Bytes())
		}
	case <-time.After(drainLimit + busy):
		_ = p.cmd.Process.Kill()
		t.Errorf("SIGTERM did not end the worker:\n%s", p.log.Bytes())
	}
}
