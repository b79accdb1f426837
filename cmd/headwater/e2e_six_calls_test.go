package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"headwater/connectors/drivertest/ports"
	"headwater/connectors/drivertest/servers"
)

// samplePostgres starts a server with a table of orders and a view.
func samplePostgres(t *testing.T, rows int) *servers.Server {
	t.Helper()
	pg := servers.Postgres(t)
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable",
		pg.User, url.QueryEscape(pg.Password), pg.Host, pg.Port, pg.Database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	_, err = conn.Exec(t.Context(), `
		drop view if exists big_orders; drop table if exists orders;
		create table orders (id bigint primary key, customer text not null, total numeric(15,2), updated_at timestamptz not null);
		insert into orders select i, 'customer '||i%97, i*1.25, timestamptz '2024-01-01' + i * interval '1 minute' from generate_series(1, `+strconv.Itoa(rows)+`) i;
		create view big_orders as select * from orders where total > 100;
		analyze orders`)
	if err != nil {
		t.Fatal(err)
	}
	return pg
}

// sampleAPI serves n records in pages, for the holder of the key.
func sampleAPI(t *testing.T, n int, key string) *httptest.Server {
	t.Helper()
	const page = 100
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key != "" && !strings.Contains(strings.Join(append(r.Header["Authorization"], r.Header["X-Api-Key"]...), " "), key) {
			http.Error(w, `{"error":"who are you?"}`, http.StatusUnauthorized)
			return
		}
		after, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
		sales := []map[string]any{}
		for i := after + 1; i <= min(after+page, n); i++ {
			sales = append(sales, map[string]any{"id": i, "amount": float64(i) * 1.5, "sold_at": "2024-03-01T12:00:00Z"})
		}
		body := map[string]any{"sales": sales}
		if after+page < n {
			body["next_cursor"] = strconv.Itoa(after + page)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	}))
	t.Cleanup(s.Close)
	return s
}

func databaseConfig(pg *servers.Server) object {
	return object{"host": pg.Host, "port": pg.Port, "database": pg.Database, "username": pg.User, "password": pg.Password}
}

// TestSixCalls makes the calls of the API reference in its order, under both
// base paths, on a real PostgreSQL and a real HTTP API.
func TestSixCalls(t *testing.T) {
	t.Parallel() // it waits more than it computes
	pg, web := samplePostgres(t, 5_000), sampleAPI(t, 250, "your_api_key")
	n := startTestNode(t, testConfig(t))
	c := n.as(t, "my-org", "my-user", "editor")
	for _, base := range []string{"/api/v1", "/jarvispy/my-org/my-user/api/v1"} {
		t.Run(base, func(t *testing.T) {
			c := &caller{t: t, base: n.URL + base, token: c.token}
			sixCalls(t, c, databaseConfig(pg), web.URL+"/sales")
		})
	}
	if script := os.Getenv("HEADWATER_TEST_SIX_CALLS"); script != "" {
		t.Run("reference client", func(t *testing.T) {
			database := strings.Join([]string{pg.Host, strconv.Itoa(pg.Port), pg.Database, pg.User, pg.Password}, ":")
			out, err := exec.Command(os.Getenv("HEADWATER_TEST_PYTHON"), script, n.URL+"/api/v1", c.token,
				"--pg", database, "--api", web.URL+"/sales", "--jarvispy", "my-org/my-user").CombinedOutput()
			t.Logf("\n%s", out)
			if err != nil {
				t.Errorf("the reference's client: %v\n%s", err, out)
			}
		})
	}
}

func sixCalls(t *testing.T, c *caller, database object, apiURL string) {
	good := c.post("/data/w1/test-connection", object{"source_config": object{"type": "database", "connection_config": database}})
	if good.Code != 200 || good.Status != "success" {
		t.Fatalf("test of a good database: %s", good.Body)
	}
	wrong := object{}
	for k, v := range database {
		wrong[k] = v
	}
	wrong["password"], wrong["database"] = "not-the-password", "no_such_db"
	bad := c.post("/data/w1/test-connection", object{"source_config": object{"type": "database", "connection_config": wrong}})
	if bad.Code != 200 || bad.Status != "error" || bad.Message == "" {
		t.Fatalf("test of a bad database: %d %s", bad.Code, bad.Body)
	}

	connected := c.post("/data/w1/connect", object{"scope": "user", "sources": []object{
		{"type": "database", "name": "customer_db", "connection_config": database, "metadata": object{"description": "Customer database connection"}},
		{"type": "api", "name": "sales_api", "connection_config": object{"base_url": apiURL, "api_key": "your_api_key"}},
	}})
	var sources struct {
		Connected []struct{ ID, Name, Type, Connector string } `json:"connected_sources"`
	}
	connected.into(t, &sources)
	if connected.Code != 200 || len(sources.Connected) != 2 {
		t.Fatalf("connect: %d %s", connected.Code, connected.Body)
	}
	ids := map[string]string{}
	for _, s := range sources.Connected {
		ids[s.Name] = s.ID
	}

	var listed []struct {
		ID, Name, Type, Status string
		Metadata               object
	}
	list := c.get("/data/w1/list?scope=user")
	list.into(t, &listed)
	if len(listed) != 2 {
		t.Fatalf("list: %s", list.Body)
	}
	for _, s := range listed {
		if s.Name == "customer_db" && (s.Type != "database" || s.Status != "connected" || s.Metadata["description"] != "Customer database connection") {
			t.Errorf("listed as %+v", s)
		}
	}
	if strings.Contains(string(list.Body), database["password"].(string)) || strings.Contains(string(list.Body), "your_api_key") {
		t.Errorf("list shows a secret: %s", list.Body)
	}

	for name, columns := range map[string]int{"customer_db": 8, "sales_api": 3} {
		var schema struct {
			Version int `json:"version"`
			Tables  []struct {
				Name, Kind string
				Columns    []struct{ Name, Type string }
			}
		}
		answer := c.get("/data/w1/schema?source_id=" + ids[name])
		answer.into(t, &schema)
		got := 0
		for _, table := range schema.Tables {
			got += len(table.Columns)
		}
		if schema.Version != 1 || got != columns {
			t.Errorf("schema of %s: want %d columns: %s", name, columns, answer.Body)
		}
	}

	type synced struct {
		Records int64 `json:"records_processed"`
		Syncs   []struct {
			Status  string `json:"status"`
			Records int64  `json:"records_processed"`
		} `json:"syncs"`
	}
	sync := func(body object) (s synced) {
		t.Helper()
		answer := c.post("/data/w1/sync", body)
		answer.into(t, &s)
		if answer.Code != 200 || answer.Status != "success" {
			t.Fatalf("sync: %d %s", answer.Code, answer.Body)
		}
		return s
	}
	options := object{"incremental": true, "batch_size": 1000}
	// The view has no key to be incremental by; the table adds nothing the second time.
	first := sync(object{"source_ids": []string{ids["customer_db"]}, "sync_options": options})
	again := sync(object{"source_ids": []string{ids["customer_db"]}, "sync_options": options})
	if first.Records < 5_000 || again.Records > first.Records-5_000 {
		t.Errorf("incremental syncs landed %d, then %d records", first.Records, again.Records)
	}
	if all := sync(object{}); len(all.Syncs) != 2 || all.Records < 5_250 {
		t.Errorf("sync of all: %+v", all)
	}

	var gone struct {
		Count   int      `json:"deleted_count"`
		Sources []string `json:"deleted_sources"`
	}
	cleanup := c.post("/data/w1/cleanup", object{"source_ids": []string{ids["sales_api"]}})
	cleanup.into(t, &gone)
	if cleanup.Code != 200 || gone.Count != 1 || gone.Sources[0] != ids["sales_api"] || cleanup.Message == "" {
		t.Errorf("cleanup of one: %s", cleanup.Body)
	}
	cleanup = c.post("/data/w1/cleanup", object{})
	cleanup.into(t, &gone)
	if gone.Count != 1 {
		t.Errorf("cleanup of all: %s", cleanup.Body)
	}
	if list = c.get("/data/w1/list"); string(list.Data) != "[]" {
		t.Errorf("left after cleanup: %s", list.Data)
	}
}

// freePort returns a loopback address that is the test's own.
func freePort(t *testing.T) string {
	t.Helper()
	port, err := ports.Take()
	if err != nil {
		t.Fatal(err)
	}
	return ports.Address(port)
}
