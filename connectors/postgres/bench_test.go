package postgres

import (
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
)

const benchRows = 500_000

// The shape of an order line: keys, exact decimals, dates, short and long text,
// JSON, NULLs.
const benchTable = `
CREATE TABLE wide (
  id bigint PRIMARY KEY, order_id bigint NOT NULL, line int NOT NULL, quantity numeric(15,2) NOT NULL, price numeric(15,2) NOT NULL,
  discount numeric(15,2), shipped date NOT NULL, received date, updated_at timestamptz NOT NULL, flag char(1) NOT NULL,
  mode varchar(10) NOT NULL, remark text, attrs jsonb, active bool, uid uuid NOT NULL);
INSERT INTO wide SELECT i, i/4, i%%7, i%%50, 900 + i*0.01, CASE WHEN i%%10 > 0 THEN (i%%11)/100.0 END, date '1992-01-01' + i%%2500,
  CASE WHEN i%%10 > 0 THEN date '1992-01-15' + i%%2500 END, timestamptz '2024-01-01' + i * interval '1.2 second', substr('RAN', 1+i%%3, 1),
  (array['AIR','RAIL','SHIP','TRUCK'])[1+i%%4], CASE WHEN i%%20 > 0 THEN repeat('carefully final deposits ', 1+i%%3) END,
  CASE WHEN i%%5 > 0 THEN jsonb_build_object('k', i%%1000, 'tag', 'new') END, CASE WHEN i%%10 > 0 THEN i%%2 = 0 END, md5(i::text)::uuid
FROM generate_series(1, %d) i;
VACUUM (FREEZE, ANALYZE) wide`

// psql finds the client that measures the limit.
func psql(b *testing.B) string {
	b.Helper()
	if path, err := exec.LookPath("psql"); err == nil {
		return path
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/psql")
	if len(found) == 0 {
		b.Skip("psql is not installed")
	}
	return found[len(found)-1]
}

// BenchmarkRead reads a table into record batches and, in turn, drains the same
// rows with psql's binary \copy, which is as fast as one connection sends them.
// It reports the median of the pairs' ratios: below 1 is faster than psql.
func BenchmarkRead(b *testing.B) {
	client := psql(b)
	server := servers.Postgres(b)
	db, err := server.OpenPostgres()
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for i, statement := range strings.Split(fmt.Sprintf(benchTable, benchRows), ";\n") {
		if _, err := db.ExecContext(b.Context(), statement); err != nil {
			b.Fatalf("statement %d: %v", i, err)
		}
	}
	settings, err := json.Marshal(Settings{Host: server.Host, Port: server.Port, Database: server.Database, Username: server.User, Password: server.Password, SSLMode: "disable"})
	if err != nil {
		b.Fatal(err)
	}
	source, err := Driver{}.Open(b.Context(), driver.Config{Settings: settings, Dial: new(net.Dialer).DialContext})
	if err != nil {
		b.Fatal(err)
	}
	defer source.Close()
	tables, err := source.Discover(b.Context())
	if err != nil {
		b.Fatal(err)
	}

	var ratios []float64
	for b.Loop() {
		drain := exec.CommandContext(b.Context(), client, "-X", "-q", "-c", `\copy (select * from wide) to /dev/null (format binary)`)
		drain.Env = []string{"PGHOST=" + server.Host, fmt.Sprintf("PGPORT=%d", server.Port), "PGDATABASE=" + server.Database,
			"PGUSER=" + server.User, "PGPASSWORD=" + server.Password, "PGSSLMODE=disable"}
		began := time.Now()
		if out, err := drain.CombinedOutput(); err != nil {
			b.Fatalf("psql: %v\n%s", err, out)
		}
		limit := time.Since(began)

		began = time.Now()
		var rows int64
		for batch, err := range source.Read(b.Context(), tables[0], driver.Cursor{}) {
			if err != nil {
				b.Fatal(err)
			}
			rows += batch.Record.NumRows()
			batch.Record.Release()
		}
		if rows != benchRows {
			b.Fatalf("read %d rows of %d", rows, benchRows)
		}
		ratios = append(ratios, time.Since(began).Seconds()/limit.Seconds())
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-psql")
	b.ReportMetric(0, "ns/op")
}
