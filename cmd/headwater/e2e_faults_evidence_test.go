package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"time"

	"headwater/bus"
	"headwater/bus/event"
	"headwater/cmd/headwater/clustertest"
)

// quietWithin is how long the cluster has, once clients are done, to end what it
// accepted: a lease, and the longest back-off of a command.
const quietWithin = 2 * time.Minute

// evidence waits until the cluster is quiet, syncs every source once more, and
// gathers everything that is there. Nothing runs after it but the servers.
func (r *faultRun) evidence() clustertest.Evidence {
	r.t.Helper()
	r.servers.Heal()
	r.servers.WaitCurrent(r.t)
	r.quiet()
	e := clustertest.Evidence{Tables: map[string]clustertest.Table{}, Listed: map[string]map[string]bool{}}
	for _, c := range r.clients {
		for _, s := range c.sources {
			if c.bulk == 0 {
				c.grow(s, 50)
			}
			op := c.sync(r.t.Context(), s)
			if op.Outcome != clustertest.OK {
				r.t.Errorf("the last sync of %s, of an operation that is %s: %s", s.name, op.Outcome, op.Answer)
				continue
			}
			location, snapshot := c.landed(op)
			e.Tables[s.name] = clustertest.Table{
				Source: contentsOf(r.source.contents(s.table)),
				Landed: contentsOf(landedContents(r.t, location, snapshot, s.rows)),
			}
		}
		for i, n := range r.nodes {
			if e.Listed[n.name] == nil {
				e.Listed[n.name] = map[string]bool{}
			}
			a, err := r.send(i, c.name, "GET", "/data/"+c.name+"/list?scope=organization", nil, "X-Headwater-Min-Sequence", strconv.FormatUint(c.seen, 10))
			var listed []struct{ Name string }
			if err != nil || a.Code != 200 || json.Unmarshal(a.Data, &listed) != nil {
				r.t.Fatalf("the last list of %s: %v %d %s", n.name, err, a.Code, a.Body)
			}
			for _, s := range listed {
				if e.Listed[n.name][s.Name] {
					r.t.Errorf("%s lists %s twice", n.name, s.Name)
				}
				e.Listed[n.name][s.Name] = true
			}
		}
	}
	r.quiet()
	e.Left = r.servers.Messages(r.t, bus.StreamCommands, bus.StreamDeadLetters)
	for _, n := range append(r.nodes, r.workers...) {
		n.process.end(r.t)
		n.process = nil
	}
	r.servers.WaitCurrent(r.t)
	e.Copies = r.servers.Copies(r.t)
	r.folds(&e)
	return e
}

// landed returns where the table of a sync is, and at which snapshot.
func (c *faultClient) landed(op *clustertest.Operation) (location string, snapshot int64) {
	a, err := c.run.send(0, c.name, "GET", "/data/"+c.name+"/syncs/"+op.SyncID, nil, "X-Headwater-Min-Sequence", strconv.FormatUint(c.seen, 10))
	var s struct {
		Tables []struct {
			Location string
			Snapshot int64 `json:"snapshot_id,string"`
		}
	}
	if err != nil || json.Unmarshal(a.Data, &s) != nil || len(s.Tables) != 1 {
		c.run.t.Fatalf("the last sync of %s: %v %s", op.Source, err, a.Body)
	}
	return s.Tables[0].Location, s.Tables[0].Snapshot
}

func contentsOf(c contents) clustertest.Contents {
	return clustertest.Contents{Rows: c.rows, Distinct: c.distinct, Sum: c.sum}
}

// quiet waits until no command is left, as long as the cluster may take.
func (r *faultRun) quiet() {
	for deadline := time.Now().Add(quietWithin); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if r.servers.Messages(r.t, bus.StreamCommands)[bus.StreamCommands] == 0 {
			return
		}
	}
}

// folds reads the stream, and the projections of all nodes and of none at its end.
func (r *faultRun) folds(e *clustertest.Evidence) {
	r.t.Helper()
	log := newLog(io.Discard, slog.LevelError)
	wire, err := bus.Open(r.t.Context(), bus.Config{URL: r.servers.URL, Replicas: 3, Log: log})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() {
		if err := wire.Close(context.WithoutCancel(r.t.Context())); err != nil {
			r.t.Error(err)
		}
	}()
	e.Events = r.events(wire)
	e.Projections = map[string]clustertest.Projection{}
	state := func(dir string) clustertest.Projection {
		f, err := fold(r.t.Context(), wire, dir, log)
		if err != nil {
			r.t.Fatal(err)
		}
		return clustertest.Projection{Position: f.position, Hash: fmt.Sprint(f.tables)}
	}
	for _, n := range append(r.nodes, r.workers...) {
		e.Projections[n.name] = state(filepath.Join(n.dir, "projection"))
	}
	e.Rebuilt = state(filepath.Join(r.t.TempDir(), "rebuilt"))
}

// events reads the whole stream.
func (r *faultRun) events(wire *bus.Bus) (all []clustertest.Event) {
	r.t.Helper()
	end, err := wire.EventsState(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(r.t.Context())
	defer stop()
	messages, err := wire.Ordered(0).Subscribe(ctx, event.SubjectPrefix+".>")
	if err != nil {
		r.t.Fatal(err)
	}
	for limit := time.After(time.Minute); end.Last > 0; {
		select {
		case msg := <-messages:
			sequence, e, err := eventLog{wire}.Decode(msg)
			if err != nil {
				r.t.Fatal(err)
			}
			all = append(all, noted(sequence, e))
			if sequence >= end.Last {
				return all
			}
		case <-limit:
			r.t.Fatalf("read %d of %d events within a minute", len(all), end.Last)
		}
	}
	return nil
}

// noted is an event as the rules need it.
func noted(sequence uint64, e *event.Event) clustertest.Event {
	if !event.OfSource(e.Name()) { // what callers did is no operation
		return clustertest.Event{Sequence: sequence, ID: e.ID, Name: e.Name(), Time: e.Time}
	}
	op := e.Data.Header().Operation
	n := clustertest.Event{Sequence: sequence, ID: e.ID, Name: e.Name(), Time: e.Time, Actor: op.Actor,
		Operation: op.ID, Target: op.Target, Targets: op.Targets, Final: op.Final}
	switch d := e.Data.(type) {
	case *event.OperationAccepted:
		n.Attached = map[int]string{}
		for i, t := range d.Accepted {
			if t.Attached {
				n.Attached[i] = t.SyncID
			}
		}
	case *event.SyncStarted:
		n.SyncID = d.SyncID
	case *event.SyncCompleted:
		n.SyncID = d.SyncID
	case *event.SyncFailed:
		n.SyncID = d.SyncID
	case *event.SyncCancelled:
		n.SyncID = d.SyncID
	case *event.CommandRejected:
		n.SyncID = d.SyncID
	}
	return n
}
