package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"headwater/api/auth"
	"headwater/bus/bustest"
	"headwater/bus/seal"
)

// threeNodes are three processes of the service, each with all roles, over three
// NATS servers and one lake, and a source with two tables.
type threeNodes struct {
	t       *testing.T
	servers *bustest.Cluster
	nodes   []*process
	at      []string  // the nodes' addresses
	ada     []*caller // one user, at each node
	db      *sql.DB
	tables  []string // queries for the rows that the tables should have
}

// TestThreeNodes uses each node for what another has just done: attach a catalog,
// look at rows, use and lose a token. At the end it kills one under its readers.
func TestThreeNodes(t *testing.T) {
	t.Parallel() // it waits more than it computes
	h := startThreeNodes(t)
	_, machine := h.token(0)
	for _, part := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"attached at each", func(t *testing.T) { h.attachedAtEach(t, machine) }},
		{"a token made on one", h.tokenMadeOnOne},
		{"a token revoked on one", h.tokenRevokedOnOne},
		{"a node dies under its readers", func(t *testing.T) { h.nodeDies(t, machine) }},
	} {
		if !t.Run(part.name, part.do) {
			break
		}
	}
}

func startThreeNodes(t *testing.T) *threeNodes {
	t.Helper()
	shared, h := t.TempDir(), &threeNodes{t: t}
	in := func(name string) string { return filepath.Join(shared, name) }
	if err := os.Mkdir(in("files"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadOrCreateMasterKey(in("master.key")); err != nil {
		t.Fatal(err)
	}
	key, err := auth.LoadOrCreateKey(in("jwt.key"))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := auth.New(t.Context(), auth.Config{Key: key, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ada, err := tokens.Issue(auth.Claims{Organization: "acme", Username: "ada", Role: auth.RoleEditor}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	seed, public := bustest.Issuer(t)
	if err := os.WriteFile(in("issuer.seed"), seed, 0o600); err != nil {
		t.Fatal(err)
	}
	conf := bustest.CalloutConfig(t, "../../bus/auth_callout.conf", public, "s3cret")
	h.servers = bustest.StartConfigured(t, 3, conf, url.UserPassword("headwater", "s3cret"))
	for i := range 3 {
		listen := freePort(t)
		p := startProcessOf(t, "", filepath.Join(t.TempDir(), "data"), listen, "--nats-url", h.servers.URL, "--wait", "30s",
			"--nats-auth-issuer-file", in("issuer.seed"), "--lake", in("lake"), "--files-root", in("files"),
			"--master-key-file", in("master.key"), "--jwt-secret-file", in("jwt.key"))
		h.nodes, h.at = append(h.nodes, p), append(h.at, "http://"+listen)
		h.ada = append(h.ada, &caller{t: t, base: p.base, token: ada})
		t.Cleanup(func() {
			p.kill()
			if all := p.log.Bytes(); t.Failed() {
				t.Logf("node %d said at the end:\n%s", i, all[max(0, len(all)-3<<10):])
			}
		})
	}
	if h.db, err = sql.Open("sqlite", in("files/shop.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.db.Close() })
	h.do(`CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT, price REAL, version INTEGER, gone INTEGER)`,
		`CREATE TABLE "odd goods" (id INTEGER PRIMARY KEY, name TEXT, version INTEGER)`,
		someOrders(1, 1000, "order Ω"), `INSERT INTO "odd goods" SELECT id, note, id FROM orders WHERE id <= 100`)
	h.tables = []string{`SELECT * FROM orders WHERE gone = 0`, `SELECT * FROM "odd goods"`}
	if a := h.ada[0].post("/data/w/connect", object{"sources": []object{{"type": "file", "name": "shop", "connection_config": object{"path": "shop.db"}}}}); a.Code != 200 {
		t.Fatalf("connect: %s", a.Body)
	}
	return h
}

// someOrders is a statement that adds orders of these ids.
func someOrders(from, to int, note string) string {
	return fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO orders (id, note, price, version, gone) SELECT i, iif(i %% 10, '%s ' || i, NULL), i / 4.0, i, 0 FROM n`, from, to, note)
}

func (h *threeNodes) do(statements ...string) {
	h.t.Helper()
	for _, s := range statements {
		if _, err := h.db.Exec(s); err != nil {
			h.t.Fatal(err)
		}
	}
}

// wanted is what each reader must have, by the tables' names in the catalog.
func (h *threeNodes) wanted() map[string]content {
	h.t.Helper()
	return map[string]content{"orders": sourceContent(h.t, h.db, h.tables[0]), "odd_x0020_goods": sourceContent(h.t, h.db, h.tables[1])}
}

// token has a node make an API token.
func (h *threeNodes) token(node int) (id, token string) {
	h.t.Helper()
	var made struct{ ID, Token string }
	if a := h.ada[node].post("/data/w/tokens", object{"name": "engine"}); a.Code != 200 || json.Unmarshal(a.Data, &made) != nil {
		h.t.Fatalf("make a token: %s", a.Body)
	}
	return made.ID, made.Token
}

// attachedAtEach has one node after the other land something, and reads it at once
// at each: without a hint as an engine does, and by preview as the API says.
func (h *threeNodes) attachedAtEach(t *testing.T, machine string) {
	cursors := object{"orders": "version", "odd goods": "version"}
	merged := object{"mode": "incremental", "merge": true, "deleted_columns": object{"orders": "gone"}, "cursor_columns": cursors}
	for step, s := range []struct {
		kind       string
		statements []string
		path       string
		body       object
	}{
		{"full refresh", nil, "sync", object{"sync_options": object{"mode": "full_refresh", "cursor_columns": cursors}}},
		{"append", []string{someOrders(1001, 1300, "new"), `INSERT INTO "odd goods" VALUES (101, 'new', 101)`},
			"sync", object{"sync_options": object{"mode": "incremental", "cursor_columns": cursors}}},
		{"merge with deletes", []string{`UPDATE orders SET note = 'changed', version = id + 10000 WHERE id % 7 = 0`, `UPDATE orders SET gone = 1, version = id + 20000 WHERE id % 31 = 0`,
			`UPDATE "odd goods" SET name = 'changed', version = 1000 + id WHERE id % 3 = 0`}, "sync", object{"sync_options": merged}},
		{"a new column", []string{`ALTER TABLE orders ADD COLUMN extra TEXT`, someOrders(2001, 2100, "later"), `UPDATE orders SET extra = 'extra ' || id, version = id + 30000 WHERE id > 2000`},
			"sync", object{"sync_options": merged}},
		{"maintenance", nil, "maintenance", object{}},
	} {
		h.do(s.statements...)
		want := h.wanted()
		landed := h.ada[step%3].post("/data/w/"+s.path, s.body)
		if landed.Code != 200 {
			t.Fatalf("%s: %d %s", s.kind, landed.Code, landed.Body)
		}
		for i := range 3 {
			node := (step + 1 + i) % 3
			if got := icebergGo(t, h.at[node], machine, "w"); !reflect.DeepEqual(got, want) {
				t.Errorf("after %s on node %d, a reader at node %d has\n%+v, want\n%+v", s.kind, step%3, node, got, want)
			}
			var shown struct {
				Total   int `json:"total_records"`
				Columns []any
			}
			a := h.ada[node].call("GET", "/data/w/preview?table=orders&limit=1&source_id="+h.source(), nil, "X-Headwater-Min-Sequence", landed.Header.Get("X-Headwater-Sequence"))
			if a.Code != 200 || json.Unmarshal(a.Data, &shown) != nil || shown.Total != want["orders"].Count || len(shown.Columns) != len(want["orders"].Columns) {
				t.Errorf("after %s on node %d, a preview at node %d: %d %s", s.kind, step%3, node, a.Code, a.Body)
			}
		}
	}
	if testing.Short() {
		return
	}
	readers := bustest.Tool(t, "readers", "node_modules")
	for node, at := range h.at {
		if got := runNode(t, []string{"NODE_PATH=" + readers, "TZ=UTC"}, "clickhouse.cjs", at, machine, "w"); !reflect.DeepEqual(got, h.wanted()) {
			t.Errorf("ClickHouse at node %d has\n%+v", node, got)
		}
	}
}

// source returns the id of the one source.
func (h *threeNodes) source() string {
	h.t.Helper()
	var all []struct{ ID string }
	if h.ada[0].get("/data/w/list").into(h.t, &all); len(all) != 1 {
		h.t.Fatalf("%d sources", len(all))
	}
	return all[0].ID
}

// nodeDies kills a node while readers scan at each. Those at the others go on; one
// of the dead node's reads at another address, with the keys that the dead one gave.
func (h *threeNodes) nodeDies(t *testing.T, machine string) {
	const dead = 1
	want := h.wanted()["orders"]
	_, keys, metadata := h.loaded(dead, machine)
	var dying, killed, over atomic.Bool
	reads, after := make([]atomic.Int64, 3), make([]atomic.Int64, 3)
	var readers sync.WaitGroup
	for node, at := range h.at {
		for range 2 {
			readers.Go(func() {
				for !over.Load() && !(node == dead && killed.Load()) {
					late := killed.Load()
					got, err := scanAt(at, machine)
					if node == dead && err != nil && dying.Load() {
						return
					}
					if err != nil || !reflect.DeepEqual(got, want) {
						t.Errorf("a reader at node %d: %v, %+v", node, err, got)
						return
					}
					if reads[node].Add(1); late {
						after[node].Add(1)
					}
				}
			})
		}
	}
	enough := func(what string, done func() bool) {
		for deadline := time.Now().Add(testLimit); !done() && !t.Failed(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("readers did not go on %s", what)
			}
		}
	}
	enough("before", func() bool { return reads[0].Load() > 1 && reads[1].Load() > 1 && reads[2].Load() > 1 })
	dying.Store(true)
	h.nodes[dead].kill()
	killed.Store(true)
	enough("after a node died", func() bool { return after[0].Load() > 3 && after[2].Load() > 3 })
	over.Store(true)
	readers.Wait()

	for _, node := range []int{0, 2} {
		keys["s3.endpoint"] = h.at[node]
		tbl, err := table.NewFromLocation(t.Context(), table.Identifier{"shop", "orders"}, metadata, iceio.LoadFSFunc(keys, metadata), nil)
		if err != nil {
			t.Fatalf("the dead node's keys at node %d: %v", node, err)
		}
		if got := scanned(t, tbl); !reflect.DeepEqual(got, want) {
			t.Errorf("by the dead node's keys at node %d: %+v, want %+v", node, got, want)
		}
		if got := icebergGo(t, h.at[node], machine, "w")["orders"]; !reflect.DeepEqual(got, want) {
			t.Errorf("attached anew at node %d: %+v, want %+v", node, got, want)
		}
	}
}

// scanAt attaches a node's catalog and reads the orders.
func scanAt(at, token string) (content, error) {
	readsByVendedKeys()
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	tbl, err := loadOrders(ctx, at, token)
	if err != nil {
		return content{}, err
	}
	return scan(ctx, tbl)
}

// eventually returns how long it took until try had nothing to say; what takes longer than
// a busy machine is not told at all, or by a heartbeat or the end of a key.
func eventually(t *testing.T, try func() string) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		said := try()
		if took := time.Since(began); said == "" {
			return took
		} else if took > busy {
			t.Errorf("%s later: %s", busy, said)
			return took
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func refusedFor(text string, err error) bool {
	return err != nil && strings.Contains(err.Error(), text)
}
