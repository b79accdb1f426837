package capture_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres"
	"headwater/connectors/postgres/pgoutput"
)

// benchChanges are two thirds inserts and one third updates.
const benchChanges = 600_000

// benchLimits is how often pg_recvlogical can read the log, each time over a slot of
// its own.
const benchLimits = 9

// benchLog fills a server's log with changes of a table, or as many of several tables,
// and returns a source that captures them from a position on.
func benchLog(b *testing.B, tables int, extra string) (*servers.Server, *source, driver.Capture) {
	b.Helper()
	server := servers.PostgresWith(b, append(slices.Clone(logical), "shared_buffers=256MB")...)
	db, err := server.OpenPostgres()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	do := func(statements ...string) {
		for _, s := range statements {
			if _, err := db.ExecContext(b.Context(), s); err != nil {
				b.Fatalf("%s: %v", s, err)
			}
		}
	}
	for i := range tables {
		do(fmt.Sprintf("CREATE TABLE line_%d (id bigint PRIMARY KEY, order_id bigint NOT NULL, price numeric(15,2) NOT NULL, discount numeric(15,2), at timestamptz NOT NULL, flag char(1), remark text, active bool%s)", i, extra))
	}
	src := openBench(b, server)
	c := driver.Capture{Reader: "headwater_bench", Delay: time.Hour}
	found, err := src.Discover(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range found {
		c.Tables = append(c.Tables, driver.CapturedTable{Table: t})
	}
	log, err := src.Capture(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	_, c.Landed = log.Moment()
	log.Close()
	for i := range c.Tables {
		c.Tables[i].After = c.Landed
	}
	for i := range benchLimits {
		do(fmt.Sprintf("SELECT pg_create_logical_replication_slot('limit_%d', 'pgoutput')", i))
	}
	each := benchChanges * 2 / 3 / tables
	for from := 0; from < each; from += each / 10 {
		for i := range tables {
			do(fmt.Sprintf("INSERT INTO line_%[1]d SELECT g, g/4, g %% 100000 + 0.25, CASE WHEN g %% 10 > 0 THEN 0.05 END, timestamptz '2024-01-01' + g * interval '1 second', 'R', 'carefully final deposits ' || g, g %% 2 = 0 FROM generate_series(%[2]d, %[3]d) g", i, from, from+each/10-1),
				fmt.Sprintf("UPDATE line_%d SET price = price + 1 WHERE id >= %d AND id < %d AND id %% 2 = 0", i, from, from+each/10))
		}
	}
	return server, src, c
}

func openBench(b *testing.B, server *servers.Server) *source {
	b.Helper()
	src, err := postgres.Driver{}.Open(b.Context(), configOf(b, server))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { src.Close() })
	return &source{full: src.(full)}
}

// drainLog has pg_recvlogical read the same changes, up to a position.
func drainLog(b *testing.B, server *servers.Server, n int, until string) time.Duration {
	b.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_recvlogical")
	if len(found) == 0 {
		b.Skip("pg_recvlogical is not installed")
	}
	drain := exec.CommandContext(b.Context(), found[len(found)-1], "-d", fmt.Sprintf("postgres://%s:%s@%s/%s", server.User, server.Password, server.Address(), server.Database), "--slot", fmt.Sprintf("limit_%d", n), "--start", "--no-loop",
		"--endpos", until, "-f", "/dev/null", "-o", "proto_version=1", "-o", "publication_names=headwater_bench", "-o", "binary=true")
	began := time.Now()
	if out, err := drain.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return time.Since(began)
}

// BenchmarkChanges reads a log beside pg_recvlogical, in turn, and reports the median of
// the pairs' ratios, and the processor time of this process for a change.
func BenchmarkChanges(b *testing.B) {
	for name, c := range map[string]struct {
		tables int
		extra  string
	}{"1 table": {1, ""}, "20 tables": {20, ""}, "as text": {1, ", tags text[]"}} {
		b.Run(name, func(b *testing.B) {
			server, src, capture := benchLog(b, c.tables, c.extra)
			var ratios, spent []float64
			for b.Loop() {
				if len(spent) == benchLimits {
					b.Fatalf("-benchtime %dx at most", benchLimits)
				}
				began, used := time.Now(), processorTime(b)
				rows, until := countChanges(b, src, capture)
				took, cpu := time.Since(began), processorTime(b)-used
				if rows != benchChanges {
					b.Fatalf("%d changes, want %d", rows, benchChanges)
				}
				ratios = append(ratios, took.Seconds()/drainLog(b, server, len(spent), until).Seconds())
				spent = append(spent, float64(cpu.Nanoseconds())/benchChanges)
			}
			slices.Sort(ratios)
			slices.Sort(spent)
			b.ReportMetric(spent[len(spent)/2], "cpu-ns/change")
			b.ReportMetric(ratios[len(ratios)/2], "x-recvlogical")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func countChanges(b *testing.B, src *source, c driver.Capture) (rows int, until string) {
	b.Helper()
	log, err := src.Capture(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	for x, err := range log.Changes(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		if x.Record != nil {
			rows += len(x.Ops)
			x.Record.Release()
		}
		until = max(until, x.Resume)
	}
	return rows, until
}

// BenchmarkParse reads messages by ours and by the library's decoder, each alone.
func BenchmarkParse(b *testing.B) {
	insert := []byte("I\x00\x00\x00\x07N\x00\x06t\x00\x00\x00\x011t\x00\x00\x00\x07carefult\x00\x00\x00\x042024nt\x00\x00\x00\x0523.45t\x00\x00\x00\x01t")
	b.Run("ours", func(b *testing.B) {
		var m pgoutput.Message
		for b.Loop() {
			if err := m.Parse(insert); err != nil {
				b.Fatal(err)
			}
			for m.NewRow.Len() > 0 {
				if _, _, err := m.NewRow.Next(); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		for b.Loop() {
			if _, err := pglogrepl.Parse(insert); err != nil {
				b.Fatal(err)
			}
		}
	})
}
