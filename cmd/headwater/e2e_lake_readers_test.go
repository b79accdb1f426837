package main

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"headwater/api/auth"
	"headwater/handlers/landing/buckettest"
)

// generations is a source whose one table holds the same number in each of its
// rows, and another one before each sync.
type generations struct {
	t  *testing.T
	n  *testNode
	c  *caller
	db *sql.DB
	at int
}

const generationRows = 1000

func startGenerations(t *testing.T, cfg Config) *generations {
	t.Helper()
	cfg.FilesRoot = filepath.Join(t.TempDir(), "files")
	g := &generations{t: t, n: startTestNode(t, cfg)}
	g.c = g.n.as(t, "acme", "ada", auth.RoleEditor)
	var err error
	if g.db, err = sql.Open("sqlite", filepath.Join(cfg.FilesRoot, "g.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.db.Close() })
	g.do(`CREATE TABLE g (id INTEGER PRIMARY KEY, generation INTEGER)`)
	g.do(fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO g SELECT i, 0 FROM n`, generationRows))
	if a := g.c.post("/data/w/connect", object{"sources": []object{{"type": "file", "name": "g", "connection_config": object{"path": "g.db"}}}}); a.Code != 200 {
		t.Fatalf("connect: %s", a.Body)
	}
	g.next()
	return g
}

func (g *generations) do(statement string) {
	g.t.Helper()
	if _, err := g.db.Exec(statement); err != nil {
		g.t.Fatal(err)
	}
}

// next lands another generation: by turns whole, and merged.
func (g *generations) next() {
	g.t.Helper()
	g.at++
	g.do(fmt.Sprintf(`UPDATE g SET generation = %d`, g.at))
	options := object{"mode": "incremental", "merge": true, "cursor_columns": object{"g": "generation"}}
	if g.at%2 == 1 {
		options = object{"mode": "full_refresh", "cursor_columns": object{"g": "generation"}}
	}
	if a := g.c.post("/data/w/sync", object{"sync_options": options}); a.Code != 200 {
		g.t.Fatalf("sync: %s", a.Body)
	}
}

// TestReadersDuringSyncs has 16 readers read a table through the catalog while
// syncs replace and merge it: none fails, and each sees one generation, whole.
func TestReadersDuringSyncs(t *testing.T) {
	t.Parallel()
	g := startGenerations(t, testConfig(t))
	whole := map[string]content{}
	var mu sync.Mutex
	expect := func(generation int) {
		columns := map[string][]string{}
		for id := 1; id <= generationRows; id++ {
			columns["id"] = append(columns["id"], fmt.Sprint(id))
			columns["generation"] = append(columns["generation"], fmt.Sprint(generation))
		}
		c := contentOf(columns, generationRows)
		mu.Lock()
		defer mu.Unlock()
		whole[c.Columns["generation"]] = c
	}
	const syncs = 4
	for generation := 1; generation <= syncs+1; generation++ {
		expect(generation)
	}
	var over atomic.Bool
	var reads atomic.Int64
	var readers sync.WaitGroup
	for range 16 {
		readers.Go(func() {
			for !over.Load() && !t.Failed() {
				got := icebergGo(t, g.n.URL, g.c.token, "w")["g"]
				mu.Lock()
				want := whole[got.Columns["generation"]]
				mu.Unlock()
				if !reflect.DeepEqual(got, want) {
					t.Errorf("a reader saw %+v", got)
				}
				reads.Add(1)
			}
		})
	}
	for range syncs {
		g.next()
	}
	over.Store(true)
	readers.Wait()
	if reads.Load() < 16 {
		t.Errorf("%d reads while %d syncs ran", reads.Load(), syncs)
	}
}

// loadedTable is what the catalog answers to who accepts keys.
type loadedTable struct {
	Location string `json:"metadata-location"`
	Config   map[string]string
	Keys     []any  `json:"storage-credentials"`
	Warning  string `json:"-"` // the header
}

// TestCatalogOfABucket reads a lake in a bucket with the reader's own keys: the
// catalog says where it is, that it has no keys to give, and why its store, whose
// STS is asked, gives none.
func TestCatalogOfABucket(t *testing.T) {
	server := buckettest.Start(t, "lake")
	cfg := testConfig(t)
	cfg.Lake = "s3://lake/tables?region=us-east-1&endpoint=" + server
	cfg.LakeSTSEndpoint = server
	g := startGenerations(t, cfg)
	const reason = "the store has no AssumeRole where its STS should be (405)"
	loaded := g.n.loadedBy(t, g.c.token, "g", "g")
	want := map[string]string{"headwater.credentials": "none", "s3.endpoint": server, "s3.region": "us-east-1", "client.region": "us-east-1", "s3.path-style-access": "true", "headwater.credentials-reason": reason}
	if !strings.Contains(loaded.Warning, reason) || !reflect.DeepEqual(loaded.Config, want) || loaded.Keys != nil || !strings.HasPrefix(loaded.Location, "s3://lake/tables/acme/w/") {
		t.Errorf("%+v", loaded)
	}
	if got := icebergGo(t, g.n.URL, g.c.token, "w")["g"]; got.Count != generationRows {
		t.Errorf("%+v", got)
	}
}
