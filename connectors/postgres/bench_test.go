package postgres

import (
	"encoding/json"
	"fmt"
	"iter"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/session"
	"headwater/connectors/records"
	"headwater/connectors/sqldb"
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

// bench fills a server and opens it, and returns how to drain the table with
// psql.
func bench(b *testing.B) (driver.Source, driver.Table, func() time.Duration) {
	b.Helper()
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
	settings, err := json.Marshal(session.Settings{Settings: sqldb.Settings{Host: server.Host, Username: server.User, Password: server.Password, SSLMode: "disable"}, Port: server.Port, Database: server.Database})
	if err != nil {
		b.Fatal(err)
	}
	source, err := Driver{}.Open(b.Context(), driver.Config{Settings: settings, Dial: new(net.Dialer).DialContext})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { source.Close() })
	tables, err := source.Discover(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return source, tables[0], func() time.Duration {
		drain := exec.CommandContext(b.Context(), client, "-X", "-q", "-c", `\copy (select * from wide) to /dev/null (format binary)`)
		drain.Env = []string{"PGHOST=" + server.Host, fmt.Sprintf("PGPORT=%d", server.Port), "PGDATABASE=" + server.Database,
			"PGUSER=" + server.User, "PGPASSWORD=" + server.Password, "PGSSLMODE=disable"}
		began := time.Now()
		if out, err := drain.CombinedOutput(); err != nil {
			b.Fatalf("psql: %v\n%s", err, out)
		}
		return time.Since(began)
	}
}

// rival runs psql and read in turn and reports the median of the pairs' ratios:
// below 1 is faster than psql, which is as fast as one connection sends; and the
// processor time of this process, which leaves out the server's and psql's.
func rival(b *testing.B, drain func() time.Duration, read func() int64) {
	b.Helper()
	var ratios, spent []float64
	for b.Loop() {
		limit := drain()
		began, used := time.Now(), processorTime(b)
		if rows := read(); rows != benchRows {
			b.Fatalf("read %d rows of %d", rows, benchRows)
		}
		ratios = append(ratios, time.Since(began).Seconds()/limit.Seconds())
		spent = append(spent, float64((processorTime(b) - used).Milliseconds()))
	}
	slices.Sort(ratios)
	slices.Sort(spent)
	b.ReportMetric(spent[len(spent)/2], "cpu-ms")
	b.ReportMetric(ratios[len(ratios)/2], "x-psql")
	b.ReportMetric(0, "ns/op")
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// count reads to the end.
func count(b *testing.B, batches iter.Seq2[driver.Batch, error]) (rows int64) {
	for batch, err := range batches {
		if err != nil {
			b.Error(err)
			break
		}
		rows += batch.Record.NumRows()
		batch.Record.Release()
	}
	return rows
}

// BenchmarkRead reads over one connection.
func BenchmarkRead(b *testing.B) {
	source, table, drain := bench(b)
	rival(b, drain, func() int64 { return count(b, source.Read(b.Context(), table, driver.Cursor{})) })
}

// BenchmarkLibrary reads the same rows into the same batches as a connector does
// that has no decoder of COPY: text by the library's protocol of rows, parsed.
func BenchmarkLibrary(b *testing.B) {
	opened, table, drain := bench(b)
	s := opened.(*source)
	long := map[string][]byte{"t": []byte("true"), "f": []byte("false")}
	rival(b, drain, func() (rows int64) {
		c, err := s.Connect(b.Context(), nil)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		build := records.NewBuilder(table, driver.Limits{}.WithDefaults())
		defer build.Release()
		r := c.PG.ExecParams(b.Context(), "SELECT * FROM "+session.Relation(table), nil, nil, nil, nil)
		for r.NextRow() {
			size := 0
			for i, v := range r.Values() {
				size += len(v)
				if table.Columns[i].Type.Kind == driver.Boolean && v != nil {
					v = long[string(v)]
				}
				if v == nil {
					build.Null(i)
				} else if err := build.Text(i, v); err != nil {
					b.Fatal(table.Columns[i].Name, err)
				}
			}
			if rows++; build.EndRow(int64(size)) {
				build.Batch().Record.Release()
			}
		}
		if _, err := r.Close(); err != nil {
			b.Fatal(err)
		}
		return rows
	})
}

// BenchmarkScan reads ranges over two connections.
func BenchmarkScan(b *testing.B) {
	source, table, drain := bench(b)
	rival(b, drain, func() int64 {
		scan, err := source.(driver.Scanner).Scan(b.Context(), table, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer scan.Close()
		var rows atomic.Int64
		var wg sync.WaitGroup
		unread := scan.Unread()
		var next atomic.Int64
		for range 2 {
			wg.Go(func() {
				for {
					i := int(next.Add(1)) - 1
					if i >= len(unread) {
						return
					}
					rows.Add(count(b, scan.Read(b.Context(), unread[i])))
				}
			})
		}
		wg.Wait()
		return rows.Load()
	})
}
