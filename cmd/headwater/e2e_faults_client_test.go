package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"headwater/cmd/headwater/clustertest"
)

// faultClient does one thing after the other, in a workspace of its own, and
// writes down what it was told. Each operation is sent in the name of a user of
// its own, which tells its events in the stream from all others.
type faultClient struct {
	run  *faultRun
	name string
	bulk int // rows of the one table of a client whose syncs take long, else 0

	operations, tables int
	seen               uint64 // the newest event that an answer told of
	sources            []*faultSource
}

// faultSource is a connected source and its table.
type faultSource struct {
	name, id, table string
	rows            int
	landed          struct { // as the newest sync told
		location string
		snapshot int64
	}
}

func newFaultClient(r *faultRun, name string, bulk int) *faultClient {
	c := &faultClient{run: r, name: name, bulk: bulk}
	r.source.exec("CREATE SCHEMA " + name)
	if bulk > 0 {
		r.source.make(name + ".rows")
		r.source.insert(name+".rows", 1, bulk+1)
	}
	return c
}

// work goes on until ctx ends; what is under way then is finished.
func (c *faultClient) work(ctx context.Context) {
	for round := 0; ctx.Err() == nil && !c.run.t.Failed(); round++ {
		s := c.connect(ctx, round%5 == 4)
		if s != nil {
			c.sources = append(c.sources, s)
		}
		for range 2 {
			if len(c.sources) == 0 || ctx.Err() != nil {
				break
			}
			s := c.sources[len(c.sources)-1]
			if c.bulk == 0 {
				s = pick(c.sources)
				c.grow(s, 50)
			}
			c.sync(ctx, s)
			c.schema(s)
		}
		if len(c.sources) > 2 {
			s := c.sources[0]
			c.sources = c.sources[1:]
			c.cleanup(ctx, s)
		}
	}
}

// grow adds rows to a source's table.
func (c *faultClient) grow(s *faultSource, n int) {
	c.run.source.insert(s.table, s.rows+1, s.rows+n+1)
	s.rows += n
}

// connect connects a new source, or, to be refused, one whose database does not
// exist, and returns it if it is known to be there.
func (c *faultClient) connect(ctx context.Context, refused bool) *faultSource {
	c.tables++
	s := &faultSource{name: fmt.Sprintf("%s-%d", c.name, c.tables), table: c.name + ".rows", rows: c.bulk}
	if c.bulk == 0 {
		s.table = fmt.Sprintf("%s.t%d", c.name, c.tables)
		c.run.source.make(s.table)
		c.grow(s, 50)
	}
	settings := c.run.source.settings()
	settings["schemas"] = []string{c.name}
	if refused {
		settings["database"] = "no_such_database"
	}
	op, a := c.write(ctx, clustertest.Connect, s.name, "connect", object{"scope": "organization",
		"sources": []object{{"type": "postgresql", "name": s.name, "connection_config": settings}}})
	var told struct {
		Sources []struct{ ID string } `json:"connected_sources"`
	}
	if op.Outcome == clustertest.OK && (json.Unmarshal(a.Data, &told) != nil || len(told.Sources) != 1) {
		c.run.t.Errorf("connect answered %s", a.Body)
	}
	if len(told.Sources) == 1 {
		s.id = told.Sources[0].ID
	}
	c.list(s)
	if s.id == "" {
		return nil
	}
	return s
}

func (c *faultClient) sync(ctx context.Context, s *faultSource) *clustertest.Operation {
	op, a := c.write(ctx, clustertest.Sync, s.name, "sync", object{"scope": "organization", "source_ids": []string{s.id},
		"sync_options": object{"mode": "incremental", "tables": []string{s.table}, "cursor_columns": object{s.table: "id"}}})
	if op.Outcome != clustertest.OK {
		return op
	}
	var told struct {
		Syncs []struct {
			Tables []struct {
				Location string
				Snapshot int64 `json:"snapshot_id"`
			}
		}
	}
	if json.Unmarshal(a.Data, &told) != nil || len(told.Syncs) != 1 || len(told.Syncs[0].Tables) != 1 {
		c.run.t.Errorf("sync answered %s", a.Body)
		return op
	}
	if t := told.Syncs[0].Tables[0]; t.Location != "" {
		s.landed.location, s.landed.snapshot = t.Location, t.Snapshot
	}
	return op
}

func (c *faultClient) cleanup(ctx context.Context, s *faultSource) {
	c.write(ctx, clustertest.Cleanup, s.name, "cleanup", object{"scope": "organization", "source_ids": []string{s.id}})
	c.list(s)
}

func (c *faultClient) list(s *faultSource) {
	c.read(clustertest.List, s.name, "list?scope=organization&name="+s.name, func(a answer) bool {
		var listed []struct{ Name string }
		if json.Unmarshal(a.Data, &listed) != nil || len(listed) > 1 {
			c.run.t.Errorf("list answered %s", a.Body)
		}
		return len(listed) > 0
	})
}

func (c *faultClient) schema(s *faultSource) {
	c.read(clustertest.Schema, s.name, "schema?scope=organization&limit=1&source_id="+s.id, func(a answer) bool { return a.Code == 200 })
}

// read asks a node for what another one may have written, as of what the client
// knows of at least.
func (c *faultClient) read(kind clustertest.Kind, source, path string, present func(answer) bool) {
	node := rand.IntN(len(c.run.nodes))
	op := c.run.history.Begin(clustertest.Operation{Client: c.name, Kind: kind, Source: source, Node: node, Seen: c.seen, Tries: 1})
	a, err := c.run.send(node, c.name, "GET", "/data/"+c.name+"/"+path, nil, "X-Headwater-Min-Sequence", strconv.FormatUint(c.seen, 10))
	outcome := clustertest.Unknown
	if err == nil && (a.Code == 200 || kind == clustertest.Schema && a.Code == 404) {
		outcome = clustertest.OK
	}
	c.end(op, outcome, a, err, func(op *clustertest.Operation) {
		if outcome == clustertest.OK {
			op.Present = present(a)
		}
	})
}

// write sends a request to one node after the other under one key until its
// outcome is known; one time in four, or when the run ends, the client leaves it at
// not knowing.
func (c *faultClient) write(ctx context.Context, kind clustertest.Kind, source, call string, body object) (*clustertest.Operation, answer) {
	c.operations++
	actor, base := fmt.Sprintf("%s-%d", c.name, c.operations), "/data/"+c.name+"/"
	text, err := json.Marshal(body)
	if err != nil {
		c.run.t.Error(err)
	}
	node := rand.IntN(len(c.run.nodes))
	op := c.run.history.Begin(clustertest.Operation{Client: c.name, Actor: actor, Kind: kind, Source: source, Seen: c.seen})
	for try := 1; ; try++ {
		headers := []string{"Idempotency-Key", actor, "X-Headwater-Min-Sequence", strconv.FormatUint(c.seen, 10)}
		a, err := c.run.send(node, actor, "POST", base+call, text, headers...)
		outcome := outcomeOf(a, err)
		if err == nil && a.Code == 202 {
			a, outcome = c.follow(ctx, actor, kind, base, a)
			if outcome == clustertest.OK {
				continue // the key has the answer by now
			}
		}
		if outcome == clustertest.Unknown && ctx.Err() == nil && rand.IntN(4) > 0 && try < 60 {
			node = (node + 1) % len(c.run.nodes)
			time.Sleep(time.Duration(100+rand.IntN(200)) * time.Millisecond) // a client's back-off
			continue
		}
		c.end(op, outcome, a, err, func(op *clustertest.Operation) {
			op.Node, op.Tries = node, try
			var told struct {
				Syncs []struct {
					ID string `json:"sync_id"`
				}
			}
			if kind == clustertest.Sync && outcome == clustertest.OK && json.Unmarshal(a.Data, &told) == nil && len(told.Syncs) == 1 {
				op.SyncID = told.Syncs[0].ID
			}
		})
		return op, a
	}
}

// outcomeOf is what an answer to a write says. What is refused is refused whole:
// each write is about one source.
func outcomeOf(a answer, err error) clustertest.Outcome {
	switch {
	case err != nil || a.Code >= 500 || a.Code == 202 || a.Code == 429:
		return clustertest.Unknown
	case a.Code == 200:
		return clustertest.OK
	case a.Code == 409 && a.Error != nil && a.Error.Code == "idempotency_in_flight":
		return clustertest.Unknown
	}
	return clustertest.Failed
}

// follow waits for an operation that was accepted. OK says that it has ended,
// however it did.
func (c *faultClient) follow(ctx context.Context, actor string, kind clustertest.Kind, base string, accepted answer) (answer, clustertest.Outcome) {
	var told struct {
		ID string `json:"operation_id"`
	}
	if json.Unmarshal(accepted.Data, &told) != nil || told.ID == "" {
		c.run.t.Errorf("%s was accepted without an operation: %s", kind, accepted.Body)
		return accepted, clustertest.Unknown
	}
	for deadline := time.Now().Add(2 * time.Minute); ctx.Err() == nil && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		a, err := c.run.send(rand.IntN(len(c.run.nodes)), actor, "GET", base+"operations/"+told.ID, nil,
			"X-Headwater-Min-Sequence", accepted.Header.Get("X-Headwater-Sequence"))
		var o struct{ Status string }
		if err == nil && a.Code == 200 && json.Unmarshal(a.Data, &o) == nil && o.Status != "running" {
			return a, clustertest.OK
		}
	}
	return accepted, clustertest.Unknown
}

func (c *faultClient) end(op *clustertest.Operation, outcome clustertest.Outcome, a answer, err error, set func(*clustertest.Operation)) {
	c.run.history.End(op, outcome, func(op *clustertest.Operation) {
		op.Answer = fmt.Sprintf("%d %s", a.Code, a.Message)
		if err != nil {
			op.Answer = err.Error()
		}
		if a.Header != nil {
			op.Sequence, _ = strconv.ParseUint(a.Header.Get("X-Headwater-Sequence"), 10, 64)
		}
		if outcome == clustertest.OK {
			c.seen = max(c.seen, op.Sequence)
		}
		set(op)
	})
}
