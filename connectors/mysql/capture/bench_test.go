package capture_test

import (
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
)

const benchChanges = 1_000_000 // two thirds inserts, one third updates

// fillLog makes a log of so many changes, in transactions of a hundred.
func fillLog(t testing.TB, execute func(string), changes, atOnce int) {
	t.Helper()
	inserts := changes / 3 * 2
	for from := 1; from <= inserts; from += atOnce {
		to := min(from+atOnce-1, inserts)
		execute(fmt.Sprintf(`BEGIN; INSERT INTO orders SELECT seq, seq DIV 4, (seq %% 10000) / 100, '2024-01-01' + INTERVAL seq SECOND, CONCAT('customer ', seq %% 1000), IF(seq %% 5, 'shipped', NULL) FROM seq_%d_to_%d;
UPDATE orders SET price = price + 1, state = 'paid' WHERE id BETWEEN %d AND %d; COMMIT`, from, to, from, from+(to-from)/2))
	}
}

const ordersTable = "CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, price decimal(10,2) NOT NULL, at timestamp(6) NOT NULL, name varchar(40) NOT NULL, state varchar(10))"

// BenchmarkChanges reads 1,000,000 changes into record batches and, in turn, has
// mariadb-binlog read the same log to /dev/null. It reports the medians of the
// pairs' ratios of elapsed time (below 1 is faster) and of processor time.
func BenchmarkChanges(b *testing.B) {
	client, err := exec.LookPath("mariadb-binlog")
	if err != nil {
		b.Skip("mariadb-binlog is not installed")
	}
	server, db := logServer(b, "--innodb-buffer-pool-size=256M")
	execute(b, db, ordersTable)
	src := openSource(b, settingsOf(server, func(*session.Settings) {}))
	tables, err := src.Discover(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	capture := driver.Capture{Reader: "headwater_bench", Tables: []driver.CapturedTable{{Table: tables[0]}}}
	log, err := src.Capture(b.Context(), capture)
	if err != nil {
		b.Fatal(err)
	}
	_, capture.Tables[0].After = log.Moment()
	log.Close()
	fillLog(b, func(statements string) { execute(b, db, statements) }, benchChanges, 100)
	var walls, costs []float64
	for b.Loop() {
		drain := exec.CommandContext(b.Context(), client, "--no-defaults", "--read-from-remote-server", "--to-last-log", "--host="+server.Host, fmt.Sprintf("--port=%d", server.Port), "--user="+server.User, "--password="+server.Password, "log.000001")
		var message strings.Builder
		drain.Stderr = &message
		began := time.Now()
		if err := drain.Run(); err != nil {
			b.Fatalf("mariadb-binlog: %v\n%s", err, message.String())
		}
		limit, cost := time.Since(began), drain.ProcessState.UserTime()+drain.ProcessState.SystemTime()

		began, before := time.Now(), processorTime(b)
		if got := drainChanges(b, src, capture); got < benchChanges-10 {
			b.Fatalf("read %d changes of %d", got, benchChanges)
		}
		walls = append(walls, time.Since(began).Seconds()/limit.Seconds())
		costs = append(costs, (processorTime(b)-before).Seconds()/cost.Seconds())
		b.Logf("mariadb-binlog %s (%s of processor), Headwater %s (%s)", limit, cost, time.Since(began), processorTime(b)-before)
	}
	slices.Sort(walls)
	slices.Sort(costs)
	b.ReportMetric(walls[len(walls)/2], "x-mariadb-binlog")
	b.ReportMetric(costs[len(costs)/2], "x-mariadb-binlog-cpu")
	b.ReportMetric(0, "ns/op")
}

// drainChanges reads a log to its end and returns how many changes came.
func drainChanges(t testing.TB, src source, capture driver.Capture) (changes int) {
	t.Helper()
	log, err := src.Capture(t.Context(), capture)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for c, err := range log.Changes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Record != nil {
			changes += len(c.Ops)
			c.Record.Release()
		}
	}
	return changes
}

// logOf takes up the log of the server's only table.
func logOf(t *testing.T, server *servers.Server) driver.Log {
	t.Helper()
	src := openSource(t, settingsOf(server, func(*session.Settings) {}))
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	capture := driver.Capture{Reader: "headwater_test", Tables: []driver.CapturedTable{{Table: tables[0]}}}
	log, err := src.Capture(t.Context(), capture)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}

// Family 14: a transaction of many rows takes no more memory than a few batches.
func TestOneLongTransaction(t *testing.T) {
	rows := 2_000_000
	if testing.Short() {
		rows = 200_000
	}
	server, db := logServer(t, "--max-binlog-cache-size=4G", "--innodb-buffer-pool-size=256M")
	execute(t, db, ordersTable)
	log := logOf(t, server)
	execute(t, db, fmt.Sprintf("INSERT INTO orders SELECT seq, 1, 2, '2024-01-01', REPEAT('n', 30), 'x' FROM seq_1_to_%d", rows))
	var most uint64
	got, ends, resumes := 0, 0, 0
	for c, err := range log.Changes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Resume != "" {
			resumes++
			continue
		}
		got += len(c.Ops)
		if len(c.Ends) > 0 && c.Ends[len(c.Ends)-1].Rows <= len(c.Ops) {
			ends++
		}
		c.Record.Release()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapInuse)
	}
	if got != rows || ends > 1 || resumes != 1 {
		t.Errorf("%d rows, %d ends and %d places to resume", got, ends, resumes)
	}
	if most > 128<<20 {
		t.Errorf("%d MiB were in use", most>>20)
	}
}

// A NULL is a bit of a row in the log, and as long as any other value in a batch.
func TestWideRowsOfNULLsAreSmallBatches(t *testing.T) {
	const columns, rows = 300, 5000
	server, db := logServer(t)
	made := "CREATE TABLE wide (id bigint PRIMARY KEY"
	for i := range columns {
		made += fmt.Sprintf(", c%d decimal(30,2)", i)
	}
	execute(t, db, made+")")
	log := logOf(t, server)
	execute(t, db, fmt.Sprintf("INSERT INTO wide (id) SELECT seq FROM seq_1_to_%d", rows))
	got, most := 0, 0
	for c, err := range log.Changes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Record == nil {
			continue
		}
		got += len(c.Ops)
		most = max(most, drivertest.BytesOf(c.Record))
		c.Record.Release()
	}
	if got != rows || most > 10<<20 {
		t.Errorf("%d rows, and a batch of %d KiB", got, most>>10)
	}
}
