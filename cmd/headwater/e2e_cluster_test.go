package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headwater/bus"
	"headwater/bus/bustest"
	"headwater/cmd/headwater/terminal"
)

// clusterRows are in the file that the nodes of a cluster sync.
const clusterRows = 500

// clusterConfig is of one of several nodes over one cluster: what they share
// lies in one folder, what is a node's own in another.
func clusterConfig(t *testing.T, c *bustest.Cluster, shared string, roles ...string) Config {
	t.Helper()
	cfg := testConfig(t)
	cfg.NATSURL, cfg.Replicas, cfg.Roles, cfg.Wait = c.URL, 3, roles, 30*time.Second
	cfg.Lake, cfg.FilesRoot = filepath.Join(shared, "lake"), filepath.Join(shared, "files")
	cfg.MasterKeyFile, cfg.JWTSecretFile = filepath.Join(shared, "master.key"), filepath.Join(shared, "jwt.key")
	return cfg
}

// TestCluster runs three nodes, one of each kind, over three NATS servers:
// every promise that names one node must hold between two.
func TestCluster(t *testing.T) {
	t.Parallel() // it waits more than it computes
	shared := t.TempDir()
	if err := os.Mkdir(filepath.Join(shared, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	var csv bytes.Buffer
	csv.WriteString("id,name\n")
	for i := range clusterRows {
		fmt.Fprintf(&csv, "%d,name %d\n", i, i)
	}
	if err := os.WriteFile(filepath.Join(shared, "files", "rows.csv"), csv.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	servers := bustest.Start(t, 3)
	configs := []Config{
		clusterConfig(t, servers, shared, roleAPI),
		clusterConfig(t, servers, shared, roleWorker),
		clusterConfig(t, servers, shared, roleAPI, roleWorker),
	}
	split, worker := startTestNode(t, configs[0]), startTestNode(t, configs[1])
	if !t.Run("split roles", func(t *testing.T) { connectFile(t, split.as(t, "acme", "ada", "editor"), "split", 200) }) {
		t.FailNow()
	}
	both := startTestNode(t, configs[2])
	one, two := split.as(t, "acme", "ada", "editor"), both.as(t, "acme", "ada", "editor")
	t.Run("six calls", func(t *testing.T) { sixCallsOnTwo(t, one, two) })
	t.Run("repeat on the other node", func(t *testing.T) { repeatOnTheOther(t, one, two) })
	t.Run("follow and cancel from the other node", func(t *testing.T) { followAndCancel(t, one, two) })
	t.Run("servers die", func(t *testing.T) { serversDie(t, servers, one, two) })
	if !testing.Short() {
		t.Run("no majority", func(t *testing.T) { noMajority(t, servers, both, one, two) })
	}
	if t.Failed() {
		for i, n := range []*testNode{split, worker, both} {
			all := n.logs.Bytes()
			t.Logf("node %d said at the end:\n%s", i, all[max(0, len(all)-6<<10):])
		}
	}

	for _, n := range []*testNode{split, worker, both} {
		if err := n.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	sameEverywhere(t, configs)
}

// connectFile connects the file of rows and returns the source's id.
func connectFile(t *testing.T, c *caller, name string, code int, headers ...string) (id string, a answer) {
	t.Helper()
	a = c.call("POST", "/data/w/connect", object{"sources": []object{{
		"type": "file", "name": name, "connection_config": object{"path": "rows.csv"}}}}, headers...)
	var connected struct {
		Sources []struct{ ID string } `json:"connected_sources"`
	}
	if a.Code != code || json.Unmarshal(a.Data, &connected) != nil || len(connected.Sources) != 1 {
		t.Fatalf("connect %s: %d %s", name, a.Code, a.Body)
	}
	return connected.Sources[0].ID, a
}

// sixCallsOnTwo makes each call on another node than the one before, which is
// given only the sequence of that one's answer.
func sixCallsOnTwo(t *testing.T, one, two *caller) {
	tested := one.call("POST", "/data/w/test-connection", object{"source_config": object{"type": "file", "connection_config": object{"path": "rows.csv"}}})
	if tested.Code != 200 || tested.Status != "success" {
		t.Fatalf("test: %s", tested.Body)
	}
	for i, pair := range [][2]*caller{{one, two}, {two, one}} {
		here, there := pair[0], pair[1]
		name := "six-" + strconv.Itoa(i)
		after := func(a answer) []string {
			return []string{"X-Headwater-Min-Sequence", a.Header.Get("X-Headwater-Sequence")}
		}
		id, connected := connectFile(t, here, name, 200)
		if list := there.call("GET", "/data/w/list?name="+name, nil, after(connected)...); !bytes.Contains(list.Body, []byte(id)) {
			t.Errorf("the other node does not list what was connected: %s", list.Body)
		}
		synced := there.call("POST", "/data/w/sync", object{"source_ids": []string{id}}, after(connected)...)
		if synced.Code != 200 || !bytes.Contains(synced.Data, []byte(`"records_processed":`+strconv.Itoa(clusterRows))) {
			t.Fatalf("sync: %d %s", synced.Code, synced.Body)
		}
		if schema := here.call("GET", "/data/w/schema?source_id="+id, nil, after(synced)...); schema.Code != 200 || !bytes.Contains(schema.Data, []byte(`"rows"`)) {
			t.Errorf("schema: %d %s", schema.Code, schema.Body)
		}
		if list := here.call("GET", "/data/w/list?name="+name, nil, after(synced)...); !bytes.Contains(list.Data, []byte(`"records":`+strconv.Itoa(clusterRows))) {
			t.Errorf("the other node does not list what was landed: %s", list.Body)
		}
		removed := here.call("POST", "/data/w/cleanup", object{"source_ids": []string{id}})
		if removed.Code != 200 {
			t.Errorf("cleanup: %s", removed.Body)
		}
		if list := there.call("GET", "/data/w/list?name="+name, nil, after(removed)...); string(list.Data) != "[]" {
			t.Errorf("the other node still lists what was removed: %s", list.Body)
		}
	}
}

func repeatOnTheOther(t *testing.T, one, two *caller) {
	key := []string{"Idempotency-Key", "once"}
	id, first := connectFile(t, one, "repeated", 200, key...)
	again, second := connectFile(t, two, "repeated", 200, key...)
	if id != again || !bytes.Equal(first.Data, second.Data) || first.Header.Get("X-Headwater-Sequence") != second.Header.Get("X-Headwater-Sequence") {
		t.Errorf("the repeat was answered\n%s\nwanted\n%s", second.Body, first.Body)
	}
	if other := two.call("POST", "/data/w/connect", object{"sources": []object{{"type": "file", "name": "x", "connection_config": object{"path": "rows.csv"}}}}, key...); other.Code != 422 {
		t.Errorf("another body under the same key: %d", other.Code)
	}
}

// followAndCancel syncs a source that never ends by itself.
func followAndCancel(t *testing.T, one, two *caller) {
	reading := make(chan struct{}, 1)
	var pages atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := pages.Add(1)
		if r.URL.Query().Get("cursor") != "" {
			select {
			case reading <- struct{}{}:
			default:
			}
			select {
			case <-r.Context().Done():
			case <-time.After(200 * time.Millisecond): // a slow source
			}
		}
		_ = json.NewEncoder(w).Encode(object{"sales": []object{{"id": n}}, "next_cursor": strconv.FormatInt(n, 10)})
	}))
	defer web.Close()

	connected := two.post("/data/w/connect", object{"sources": []object{{"type": "api", "name": "endless", "connection_config": object{"base_url": web.URL + "/sales"}}}})
	var sources struct {
		Connected []struct{ ID string } `json:"connected_sources"`
	}
	connected.into(t, &sources)
	if len(sources.Connected) != 1 {
		t.Fatalf("connect: %s", connected.Body)
	}
	id := sources.Connected[0].ID
	for len(reading) > 0 {
		<-reading
	}
	begun := one.call("POST", "/data/w/sync", object{"source_ids": []string{id}}, "Prefer", "respond-async", "X-Headwater-Min-Sequence", connected.Header.Get("X-Headwater-Sequence"))
	var accepted struct {
		ID string `json:"operation_id"`
	}
	if begun.into(t, &accepted); begun.Code != 202 {
		t.Fatalf("sync: %d %s", begun.Code, begun.Body)
	}
	select {
	case <-reading:
	case <-time.After(testLimit):
		t.Fatal("the sync did not begin")
	}
	var o struct{ Status string }
	followed := two.call("GET", "/data/w/operations/"+accepted.ID, nil, "X-Headwater-Min-Sequence", begun.Header.Get("X-Headwater-Sequence"))
	if followed.into(t, &o); o.Status != "running" {
		t.Errorf("followed from the other node: %s", followed.Body)
	}
	cancelled := two.post("/data/w/operations/"+accepted.ID+"/cancel", object{})
	if cancelled.into(t, &o); cancelled.Code != 200 || o.Status != "cancelled" {
		t.Errorf("cancelled from the other node: %d %s", cancelled.Code, cancelled.Body)
	}
	seen := one.call("GET", "/data/w/operations/"+accepted.ID, nil, "X-Headwater-Min-Sequence", cancelled.Header.Get("X-Headwater-Sequence"))
	if seen.into(t, &o); o.Status != "cancelled" {
		t.Errorf("the node it began on says: %s", seen.Body)
	}
}

// told is what clients were told, and the faults they were told it through.
type told struct {
	mu                  sync.Mutex
	promised            map[string]*promise
	operations          []string
	ok, unknown, faults int
	slowest             time.Duration
}

// serversDie kills a server that follows, then the leader of the events, while
// clients connect and sync on both nodes.
func serversDie(t *testing.T, servers *bustest.Cluster, one, two *caller) {
	known := &told{promised: map[string]*promise{}}
	for round, leads := range []bool{false, true} {
		servers.WaitCurrent(t)
		victim := servers.Leader(t, bus.StreamEvents)
		if !leads {
			victim = (victim + 1) % 3
		}
		ctx, stop := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for client := range 3 {
			clients.Go(func() { known.work(ctx, t, fmt.Sprintf("r%d-c%d", round, client), one, two) })
		}
		known.waitOK(t, 3)
		servers.Kill(victim)
		known.faults++
		known.waitOK(t, 6) // without it
		servers.Start(t, victim)
		known.waitOK(t, 3) // with it again
		stop()
		clients.Wait()
		for _, c := range []*caller{one, two} {
			checkPromises(t, c, known.promised, known.operations, clusterRows)
		}
	}
	t.Logf("%d servers killed: %d requests acknowledged (%d sources, %d syncs), %d unknown, slowest answer %s",
		known.faults, known.ok, len(known.promised), len(known.operations), known.unknown, known.slowest.Round(time.Millisecond))
}

// noMajority leaves one server of three, the events' leader, which takes itself
// for one for a while: nodes say that they are not ready, go on answering reads,
// and a request waits for the others to come back.
func noMajority(t *testing.T, servers *bustest.Cluster, n *testNode, one, two *caller) {
	servers.WaitCurrent(t)
	leader := servers.Leader(t, bus.StreamEvents)
	victims := []int{(leader + 1) % 3, (leader + 2) % 3}
	for _, i := range victims {
		servers.Kill(i)
	}
	root := &caller{t: t, base: n.URL, token: two.token}
	for deadline := time.Now().Add(18 * time.Second); ; { // 10 s, and what the machine takes; after 20 s the leader gives up by itself
		began := time.Now()
		ready := root.get("/readyz")
		if took := time.Since(began); took > 5*time.Second+busy/3 { // its own limit, and what the machine takes
			t.Errorf("/readyz took %s", took)
		}
		if ready.Code == 503 && ready.Header.Get("Retry-After") != "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("/readyz without a majority: %d %s", ready.Code, ready.Body)
		}
	}
	for _, c := range []*caller{one, two} {
		if list := c.get("/data/w/list?limit=1"); list.Code != 200 {
			t.Errorf("list without a majority: %d %s", list.Code, list.Body)
		}
	}
	waiting := make(chan answer, 1)
	go func() {
		a, err := one.try("POST", "/data/w/connect", object{"sources": []object{{
			"type": "file", "name": "patient", "connection_config": object{"path": "rows.csv"}}}}, "Idempotency-Key", "patient")
		if err != nil {
			t.Error(err)
		}
		waiting <- a
	}()
	for _, i := range victims {
		servers.Start(t, i)
	}
	if a := <-waiting; a.Code == 503 && a.Header.Get("Retry-After") != "" {
		t.Logf("the request that waited was told: %s", a.Message)
	} else if a.Code != 200 {
		t.Errorf("the request that waited: %d %s", a.Code, a.Body)
	}
	for deadline := time.Now().Add(testLimit); ; time.Sleep(100 * time.Millisecond) {
		a, err := two.try("POST", "/data/w/connect", object{"sources": []object{{
			"type": "file", "name": "patient", "connection_config": object{"path": "rows.csv"}}}}, "Idempotency-Key", "patient")
		if err != nil || a.Code != 503 && a.Code != 409 || time.Now().After(deadline) {
			if a.Code != 200 {
				t.Errorf("the repeat, with all servers back: %v %d %s", err, a.Code, a.Body)
			}
			break
		}
	}
}

// waitOK waits until n more requests were acknowledged.
func (k *told) waitOK(t *testing.T, n int) {
	t.Helper()
	k.mu.Lock()
	target := k.ok + n
	k.mu.Unlock()
	for deadline := time.Now().Add(2 * testLimit); ; time.Sleep(20 * time.Millisecond) {
		k.mu.Lock()
		done := k.ok >= target
		k.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the service did not go on within %s", 2*testLimit)
		}
	}
}

// work connects a source on one node and syncs it on the other, again and
// again. A request whose outcome is unknown is repeated under its key.
func (k *told) work(ctx context.Context, t *testing.T, client string, nodes ...*caller) {
	for i := 0; ctx.Err() == nil; i++ {
		if i > 0 && testing.Short() {
			time.Sleep(200 * time.Millisecond) // the servers' end is to meet requests, not many
		}
		name := fmt.Sprintf("%s-%d", client, i)
		a, done := k.until(ctx, t, nodes, i, "/data/w/connect", object{"sources": []object{{
			"type": "file", "name": name, "connection_config": object{"path": "rows.csv"}}}}, "Idempotency-Key", "connect-"+name)
		var connected struct {
			Sources []struct{ ID string } `json:"connected_sources"`
		}
		if !done {
			return
		}
		if json.Unmarshal(a.Data, &connected) != nil || a.Code == 200 && len(connected.Sources) != 1 {
			t.Errorf("connect answered %d %s", a.Code, a.Body)
			return
		}
		if a.Code != 200 {
			continue
		}
		id := connected.Sources[0].ID
		k.mu.Lock()
		k.promised[name] = &promise{name: name, id: id}
		k.mu.Unlock()
		a, done = k.until(ctx, t, nodes, i+1, "/data/w/sync", object{"source_ids": []string{id}},
			"Idempotency-Key", "sync-"+name, "X-Headwater-Min-Sequence", a.Header.Get("X-Headwater-Sequence"))
		var synced struct {
			ID string `json:"operation_id"`
		}
		if done && json.Unmarshal(a.Data, &synced) == nil && synced.ID != "" {
			k.mu.Lock()
			k.operations = append(k.operations, synced.ID)
			k.mu.Unlock()
		}
	}
}

// until sends a request to one node after the other until one knows its
// outcome. done is false when the test ended before.
func (k *told) until(ctx context.Context, t *testing.T, nodes []*caller, from int, path string, body object, headers ...string) (a answer, done bool) {
	for try := from; ; try++ {
		began := time.Now()
		a, err := nodes[try%len(nodes)].try("POST", path, body, headers...)
		k.mu.Lock()
		k.slowest = max(k.slowest, time.Since(began))
		known := err == nil && (a.Code == 200 || a.Code == 202)
		if known {
			k.ok++
		} else {
			k.unknown++
		}
		k.mu.Unlock()
		if known {
			return a, true
		}
		if err != nil || a.Code != 503 && a.Code != 409 {
			t.Errorf("POST %s: %v %d %s", path, err, a.Code, a.Body)
			return a, false
		}
		if a.Code == 503 && a.Header.Get("Retry-After") == "" {
			t.Errorf("a 503 without Retry-After: %s", a.Body)
		}
		select {
		case <-ctx.Done():
			return a, false
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// sameEverywhere compares the projections of closed nodes with each other and
// with one that is built anew from history.
func sameEverywhere(t *testing.T, configs []Config) {
	t.Helper()
	var first folded
	for i, cfg := range configs {
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		log := newLog(io.Discard, 0)
		wire, err := bus.Open(t.Context(), bus.Config{URL: cfg.NATSURL, Replicas: cfg.Replicas, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		stored, err := fold(t.Context(), wire, cfg.path("projection"), log)
		if err := wire.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		stored.took = 0
		if i == 0 {
			first = stored
		} else if !reflect.DeepEqual(stored, first) {
			t.Errorf("node %d has\n%+v\nnode 0 has\n%+v", i, stored, first)
		}
	}
	var out strings.Builder
	if err := (&RebuildCmd{Config: configs[0], Verify: true}).Run(t.Context(), terminal.Streams{Out: &out, Err: io.Discard}); err != nil {
		t.Errorf("rebuild --verify: %v\n%s", err, out.String())
	}
	t.Logf("%d nodes agree at event %d", len(configs), first.position)
}
