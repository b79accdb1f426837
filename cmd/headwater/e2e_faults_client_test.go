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
	bulk int           // rows of the one table of a client whose syncs take long, else 0
	rest time.Duration // that it takes after each round

	operations, tables int
	seen               uint64 // the newest event that an answer told of
	sources            []*faultSource
}

// faultSource is a connected source and its table.
type faultSource struct {
	name, id, table string
	rows            int
}

// clientPatience is how long a client asks for the outcome of one operation: a
// worker may die with it, and the one that it goes to, before it is done.
const clientPatience = 2 * time.Minute

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
		select {
		case <-ctx.Done():
		case <-time.After(c.rest):
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
	if op.Outcome == clustertest.OK {
		if s.id = done(a).Source; s.id == "" {
			c.run.t.Errorf("connect answered %s", a.Body)
		}
	}
	for range 3 {
		c.list(s)
	}
	if s.id == "" {
		return nil
	}
	return s
}

func (c *faultClient) sync(ctx context.Context, s *faultSource) *clustertest.Operation {
	op, _ := c.write(ctx, clustertest.Sync, s.name, "sync", object{"scope": "organization", "source_ids": []string{s.id},
		"sync_options": object{"mode": "incremental", "tables": []string{s.table}, "cursor_columns": object{s.table: "id"}}})
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
	patience := time.Now().Add(clientPatience)
	for try := 1; ; try++ {
		headers := []string{"Idempotency-Key", actor, "X-Headwater-Min-Sequence", strconv.FormatUint(c.seen, 10)}
		a, err := c.run.send(node, actor, "POST", base+call, text, headers...)
		outcome := outcomeOf(a, err)
		if err == nil && a.Code == 202 {
			a, outcome = c.follow(ctx, actor, base, a)
		}
		if outcome == clustertest.Unknown && ctx.Err() == nil && rand.IntN(4) > 0 && time.Now().Before(patience) {
			node = (node + 1) % len(c.run.nodes)
			time.Sleep(time.Duration(100+rand.IntN(200)) * time.Millisecond) // a client's back-off
			continue
		}
		c.end(op, outcome, a, err, func(op *clustertest.Operation) {
			op.Node, op.Tries = node, try
			op.SyncID = done(a).Sync
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

// follow waits for the end of an operation that was accepted, on any node, and
// returns it as the answer. Repeating the request would only say that it was
// accepted.
func (c *faultClient) follow(ctx context.Context, actor, base string, accepted answer) (answer, clustertest.Outcome) {
	var told struct {
		ID string `json:"operation_id"`
	}
	if json.Unmarshal(accepted.Data, &told) != nil || told.ID == "" {
		c.run.t.Errorf("accepted without an operation: %s", accepted.Body)
		return accepted, clustertest.Unknown
	}
	for deadline := time.Now().Add(clientPatience); ctx.Err() == nil && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		a, err := c.run.send(rand.IntN(len(c.run.nodes)), actor, "GET", base+"operations/"+told.ID, nil,
			"X-Headwater-Min-Sequence", accepted.Header.Get("X-Headwater-Sequence"))
		var o struct{ Status string }
		if err != nil || a.Code != 200 || json.Unmarshal(a.Data, &o) != nil || o.Status == "running" {
			continue
		}
		a.Message = "202, then " + a.Message
		if o.Status == "completed" {
			return a, clustertest.OK
		}
		return a, clustertest.Failed
	}
	return accepted, clustertest.Unknown
}

// outcome is what an answer to a write about one source says of it, be it the
// outcome itself or the operation that led to it.
type outcome struct{ Source, Sync string }

func done(a answer) (o outcome) {
	var told struct {
		Sources []struct{ ID string } `json:"connected_sources"`
		Syncs   []struct {
			ID string `json:"sync_id"`
		}
		Targets []struct {
			Source string `json:"source_id"`
			Sync   string `json:"sync_id"`
		}
	}
	if json.Unmarshal(a.Data, &told) != nil {
		return o
	}
	switch {
	case len(told.Sources) == 1:
		o.Source = told.Sources[0].ID
	case len(told.Syncs) == 1:
		o.Sync = told.Syncs[0].ID
	case len(told.Targets) == 1:
		o.Source, o.Sync = told.Targets[0].Source, told.Targets[0].Sync
	}
	return o
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
