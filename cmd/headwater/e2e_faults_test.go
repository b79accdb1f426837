package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/bus/bustest"
	"headwater/bus/seal"
	"headwater/cmd/headwater/clustertest"
)

var faultsWanted = flag.Int("faults", 0, "how many faults TestFaults does to a cluster (36, or 4 in the short suite)")

// faultRun is a cluster of two API nodes and two workers, each a process, over
// three NATS servers, what clients do on it, and what is done to it.
type faultRun struct {
	t       *testing.T
	program string
	shared  string
	servers *bustest.Cluster
	source  *killSource
	auth    *auth.Authenticator
	bulk    int // rows of the tables that are meant to be interrupted

	nodes   []*faultNode // the two API nodes
	workers []*faultNode
	clients []*faultClient
	history *clustertest.History
	faults  []clustertest.Fault
}

// faultNode is a process that comes and goes over a data directory.
type faultNode struct {
	name, role, dir, listen string
	process                 *process
}

// TestFaults kills, stops and cuts off the parts of a cluster while clients use
// it, and then compares what each client was told, or was not, with all streams,
// all projections and all landed tables.
func TestFaults(t *testing.T) {
	t.Parallel() // it waits more than it computes
	faults := 36
	if testing.Short() {
		faults = 4
	}
	if *faultsWanted > 0 {
		faults = *faultsWanted
	}
	r := newFaultRun(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var working sync.WaitGroup
	for _, c := range r.clients {
		working.Go(func() { c.work(ctx) })
	}
	r.settle(clustertest.Fault{Name: "none", Began: time.Now()})
	for i := 0; i < faults && !t.Failed(); i++ {
		r.fault(i)
	}
	if !t.Failed() {
		r.busy()
	}
	stop()
	working.Wait()
	if t.Failed() {
		return
	}
	evidence := r.evidence()
	history := r.history.Operations()
	found := clustertest.Check(history, evidence)
	t.Log(clustertest.Report(r.faults, history, evidence, found, len(r.nodes)))
	for _, v := range found {
		t.Errorf("%s: %s", v.Rule, v.Message)
	}
}

// busy waits until clients have done some of everything: a run in which they did
// not has tested nothing.
func (r *faultRun) busy() {
	r.t.Helper()
	kinds := []clustertest.Kind{clustertest.Connect, clustertest.Sync, clustertest.Cleanup, clustertest.List, clustertest.Schema}
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		idle := slices.DeleteFunc(slices.Clone(kinds), func(k clustertest.Kind) bool { return r.history.Count(k, clustertest.OK) > 1 })
		if len(idle) == 0 {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("clients got no %s done", idle)
		}
	}
}

func newFaultRun(t *testing.T) *faultRun {
	t.Helper()
	r := &faultRun{t: t, shared: t.TempDir(), bulk: 20_000, history: new(clustertest.History)}
	if !testing.Short() {
		r.program, r.bulk = filepath.Join(t.TempDir(), "headwater"), 400_000
		if out, err := exec.Command("go", "build", "-o", r.program, ".").CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
	}
	if err := os.Mkdir(filepath.Join(r.shared, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadOrCreateMasterKey(filepath.Join(r.shared, "master.key")); err != nil {
		t.Fatal(err)
	}
	key, err := auth.LoadOrCreateKey(filepath.Join(r.shared, "jwt.key"))
	if err != nil {
		t.Fatal(err)
	}
	if r.auth, err = auth.New(t.Context(), auth.Config{Key: key, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	r.source = newKillSource(t)
	r.servers = bustest.StartParted(t, 3)
	for i := range 2 {
		r.nodes = append(r.nodes, &faultNode{name: fmt.Sprint("api ", i), role: roleAPI, dir: filepath.Join(t.TempDir(), "data"), listen: freePort(t)})
		r.workers = append(r.workers, &faultNode{name: fmt.Sprint("worker ", i), role: roleWorker, dir: filepath.Join(t.TempDir(), "data"), listen: freePort(t)})
	}
	t.Cleanup(func() {
		for _, n := range append(r.nodes, r.workers...) {
			if n.process == nil {
				continue
			}
			n.process.kill()
			if t.Failed() {
				all := n.process.log.Bytes()
				t.Logf("%s said at the end:\n%s", n.name, all[max(0, len(all)-3<<10):])
			}
		}
	})
	for _, n := range append(r.nodes, r.workers...) {
		r.start(n)
	}
	small, rest := 2, 500*time.Millisecond // what they do shall be there to be broken, not to be much
	if !testing.Short() {
		small, rest = 6, 0
	}
	for i := range small {
		r.clients = append(r.clients, newFaultClient(r, fmt.Sprint("small", i), 0))
	}
	for i := range 2 {
		r.clients = append(r.clients, newFaultClient(r, fmt.Sprint("bulk", i), r.bulk))
	}
	for _, c := range r.clients {
		c.rest = rest
	}
	return r
}

// start runs a node over what its last process left.
func (r *faultRun) start(n *faultNode) {
	r.t.Helper()
	n.process = startProcessOf(r.t, r.program, n.dir, n.listen, "--roles", n.role, "--nats-url", r.servers.URL, "--wait", "20s",
		"--lake", filepath.Join(r.shared, "lake"), "--files-root", filepath.Join(r.shared, "files"),
		"--master-key-file", filepath.Join(r.shared, "master.key"), "--jwt-secret-file", filepath.Join(r.shared, "jwt.key"))
}

// send makes one request in the name of a user. Its error is that there was no
// whole answer.
func (r *faultRun) send(node int, actor, method, path string, body []byte, headers ...string) (a answer, err error) {
	token, err := r.auth.Issue(auth.Claims{Organization: "acme", Username: actor, Role: auth.RoleEditor}, time.Hour)
	if err != nil {
		return a, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit+busy)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.nodes[node].listen+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	a.Code, a.Header = res.StatusCode, res.Header
	if a.Body, err = io.ReadAll(res.Body); err != nil {
		return a, err
	}
	return a, a.decode()
}

// pick returns a random element.
func pick[T any](all []T) T { return all[rand.IntN(len(all))] }
