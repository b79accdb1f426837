package builtin_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors"
	"headwater/connectors/builtin"
	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
)

// The drivers make one registry, and what looks like a secret is one.
func TestDriversDescribeThemselves(t *testing.T) {
	r, err := connectors.New(connectors.Options{}, builtin.Drivers()...)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, d := range r.Describe() {
		var schema struct {
			Properties map[string]struct {
				Secret bool `json:"x-secret"`
			}
		}
		if err := json.Unmarshal(d.Schema, &schema); err != nil {
			t.Fatal(err)
		}
		for name, property := range schema.Properties {
			for _, word := range []string{"password", "token", "api_key", "secret"} {
				if name == word && !property.Secret {
					t.Errorf("%s.%s is not marked as a secret", d.Name, name)
				}
			}
		}
	}
	for typ, want := range map[string]string{"postgres": "postgresql", "postgresql": "postgresql", "mariadb": "mysql", "mysql": "mysql"} {
		if got, err := r.Resolve(typ, nil); got != want || err != nil {
			t.Errorf("Resolve(%s) = %s, %v", typ, got, err)
		}
	}
	for port, want := range map[string]string{"5432": "postgresql", "3306": "mysql"} {
		if got, err := r.Resolve("database", json.RawMessage(`{"host":"db.example.com","port":`+port+`}`)); got != want || err != nil {
			t.Errorf("Resolve(database, %s) = %s, %v", port, got, err)
		}
	}
}

// The whole way of a configuration, with the servers' own words scrubbed and the
// egress policy at work.
func TestConfigurationsReachServers(t *testing.T) {
	for connector, start := range map[string]func(testing.TB) *servers.Server{"postgresql": servers.Postgres, "mysql": servers.MariaDB} {
		t.Run(connector, func(t *testing.T) {
			server := start(t)
			for _, local := range []bool{true, false} {
				policy, err := connectors.ParsePolicy("auto", local)
				if err != nil {
					t.Fatal(err)
				}
				r, err := connectors.New(connectors.Options{Egress: policy}, builtin.Drivers()...)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				config, _ := json.Marshal(map[string]any{"driver": connector, "host": server.Host, "port": server.Port, "database": server.Database, "username": server.User, "password": server.Password})
				name, err := r.Resolve("database", config)
				if err != nil || name != connector {
					t.Fatalf("Resolve = %s, %v", name, err)
				}
				public, secret, err := r.Split(name, config)
				if err != nil || strings.Contains(string(public), server.Password) || !strings.Contains(string(secret), server.Password) {
					t.Fatalf("Split = %s, %v", public, err)
				}
				conn, err := r.Open(t.Context(), "acme", name, public, secret, driver.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				steps, err := conn.Check(t.Context())
				if local && err != nil {
					t.Errorf("Check = %v, %v", steps, err)
				}
				if !local && (!errors.Is(err, driver.ErrUnreachable) || steps[len(steps)-1].Name != "connect") {
					t.Errorf("loopback was reached against the policy: %v, %v", steps, err)
				}
			}
		})
	}
}

// A query whose first row does not come is given up after its own limit, and the
// message names the setting; one that stands still amid its rows is given up, too.
func TestSilentSourcesEnd(t *testing.T) {
	for connector, c := range map[string]struct {
		start func(testing.TB) *servers.Server
		open  func(*servers.Server) (*sql.DB, error)
		views []string
	}{
		"postgresql": {servers.Postgres, (*servers.Server).OpenPostgres, []string{"CREATE VIEW slow AS SELECT pg_sleep(60)::text AS s",
			"CREATE VIEW halts AS SELECT repeat('x', 1000) AS s, CASE WHEN i > 30000 THEN pg_sleep(60)::text END AS w FROM generate_series(1, 30001) i"}},
		"mysql": {servers.MariaDB, (*servers.Server).OpenMariaDB, []string{"CREATE VIEW slow AS SELECT SLEEP(60) AS s",
			"CREATE VIEW halts AS SELECT REPEAT('x', 1000) AS s, IF(seq > 30000, SLEEP(60), 0) AS w FROM seq_1_to_30001"}},
	} {
		t.Run(connector, func(t *testing.T) {
			server := c.start(t)
			db, err := c.open(server)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, view := range c.views {
				if _, err := db.ExecContext(t.Context(), view); err != nil {
					t.Fatal(err)
				}
			}
			policy, _ := connectors.ParsePolicy("auto", true)
			r, err := connectors.New(connectors.Options{Egress: policy}, builtin.Drivers()...)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for table, want := range map[string]struct {
				firstRow int // seconds
				kind     error
				says     string
			}{"slow": {1, driver.ErrLimit, "first_row_seconds"}, "halts": {3600, driver.ErrTimeout, "idle_timeout"}} {
				config, _ := json.Marshal(map[string]any{"host": server.Host, "port": server.Port, "database": server.Database, "username": server.User, "password": server.Password, "first_row_seconds": want.firstRow})
				conn, err := r.Open(t.Context(), "acme", connector, config, nil, driver.Limits{Idle: 500 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				tables, err := conn.Discover(t.Context())
				at := slices.IndexFunc(tables, func(of driver.Table) bool { return of.Name == table })
				if err != nil || at < 0 {
					t.Fatalf("Discover = %v, %v", tables, err)
				}
				began := time.Now()
				var last error
				for b, err := range conn.Read(t.Context(), tables[at], driver.Cursor{}) {
					if last = err; err == nil {
						b.Record.Release()
					}
				}
				if took := time.Since(began); connectors.KindOf(last) != want.kind || took > time.Minute || !strings.Contains(last.Error(), want.says) {
					t.Errorf("%s after %v: %v, want %v %s", table, took, last, want.kind, want.says)
				}
			}
		})
	}
}
