package main

import (
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"time"

	"headwater/bus"
	"headwater/cmd/headwater/clustertest"
)

// leaseEnds is longer than the lease of a command.
const leaseEnds = 33 * time.Second

// fault does the nth thing to the cluster, heals it, and returns when each node has
// acknowledged a write that began after that.
func (r *faultRun) fault(n int) {
	r.t.Helper()
	kinds := []struct {
		name  string
		syncs bool // it is aimed at syncs
		do    func()
	}{
		{"worker killed amid syncs, another started", true, r.workerDies},
		{"leader of the events killed, started again", false, r.leaderDies},
		{"API node killed, started again", false, r.nodeDies},
		{"leader of the events cut off from its peers", false, func() { r.cut(r.servers.CutPeers, true, 10*time.Second) }},
		// The short suite ends here.
		{"server cut off from peers and clients", false, func() { r.cut(r.servers.CutOff, rand.IntN(2) == 0, 20*time.Second) }},
		{"worker stopped beyond its lease, then resumed", true, r.workerStops},
		{"API node stopped for 8 s, then resumed", false, r.nodeStops},
		{"every NATS server killed, started again", false, r.serversDie},
		{"leader of the events and a worker killed", true, func() { r.workerDies(); r.leaderDies() }},
	}
	kind := kinds[n%len(kinds)]
	r.servers.WaitCurrent(r.t)
	f := clustertest.Fault{Name: kind.name, Syncs: kind.syncs}
	if kind.syncs {
		r.waitSyncs()
	}
	f.Began = time.Now()
	r.faults = append(r.faults, f)
	kind.do()
	f.Began = time.Now() // healed
	r.settle(f)
}

// settle waits until every API node has acknowledged a write that began after the
// fault.
func (r *faultRun) settle(f clustertest.Fault) {
	r.t.Helper()
	began := time.Now()
	f.Syncs = false
	for deadline := began.Add(90 * time.Second); !r.t.Failed(); time.Sleep(50 * time.Millisecond) {
		if took, ok := clustertest.Recovery(f, r.history.Operations(), nil, len(r.nodes)); ok {
			r.t.Logf("%s: writes go on after %s", f.Name, took.Round(time.Millisecond))
			return
		}
		if time.Now().After(deadline) {
			for _, op := range r.history.Operations() {
				if op.End == 0 || op.Completed.After(f.Began) {
					r.t.Logf("%s's %s of %s (%s): begun after %s, %s: %s", op.Client, op.Kind, op.Source, op.Actor, op.Invoked.Sub(f.Began), op.Outcome, op.Answer)
				}
			}
			r.t.Fatalf("%s: within 90 s not every node acknowledged a write", f.Name)
		}
	}
}

// waitSyncs waits, not for ever, until the long syncs of both clients run.
func (r *faultRun) waitSyncs() {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		running := 0
		for _, c := range r.clients {
			a, err := r.send(0, c.name, "GET", "/data/"+c.name+"/syncs?scope=organization&limit=1", nil)
			var syncs []struct{ Status string }
			if err == nil && json.Unmarshal(a.Data, &syncs) == nil && len(syncs) == 1 && syncs[0].Status == "running" && c.bulk > 0 {
				running++
			}
		}
		if running == 2 {
			return
		}
	}
}

func (r *faultRun) workerDies() {
	w := pick(r.workers)
	w.process.kill()
	w.dir, w.listen = filepath.Join(r.t.TempDir(), "data"), freePort(r.t)
	r.start(w)
}

func (r *faultRun) nodeDies() {
	n := pick(r.nodes)
	n.process.kill()
	r.start(n)
}

func (r *faultRun) leaderDies() {
	leader := r.servers.Leader(r.t, bus.StreamEvents)
	r.servers.Kill(leader)
	time.Sleep(rand.N(6 * time.Second)) // before, amid or after the election
	r.servers.Start(r.t, leader)
}

func (r *faultRun) serversDie() {
	for i := range 3 {
		r.servers.Kill(i)
	}
	for i := range 3 {
		r.servers.Start(r.t, i)
	}
}

// cut cuts a server off for longer than the others need to elect another leader,
// and its clients, where they are cut off too, to leave it.
func (r *faultRun) cut(cut func(int), leader bool, d time.Duration) {
	victim := r.servers.Leader(r.t, bus.StreamEvents)
	if !leader {
		victim = (victim + 1) % 3
	}
	cut(victim)
	time.Sleep(d + rand.N(4*time.Second))
	r.servers.Heal()
}

func (r *faultRun) workerStops() { r.stop(pick(r.workers), leaseEnds) }

func (r *faultRun) nodeStops() { r.stop(pick(r.nodes), 8*time.Second) }

// stop holds a process still for so long.
func (r *faultRun) stop(n *faultNode, d time.Duration) {
	if err := n.process.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		r.t.Fatal(err)
	}
	time.Sleep(d)
	if err := n.process.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		r.t.Fatal(err)
	}
}
