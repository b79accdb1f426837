package mysql

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
)

const benchRows = 500_000

// The shape of an order line: keys, exact decimals, dates, short and long text,
// JSON, NULLs.
const benchTable = `
CREATE TABLE wide (
  id bigint PRIMARY KEY, order_id bigint NOT NULL, line int NOT NULL, quantity decimal(15,2) NOT NULL, price decimal(15,2) NOT NULL, discount decimal(15,2),
  shipped date NOT NULL, received date, updated_at timestamp(6) NOT NULL, flag char(1) NOT NULL, mode char(10) NOT NULL, instruct varchar(25) NOT NULL,
  remark text, attrs json, active tinyint(1), uid char(36) CHARACTER SET ascii NOT NULL);
INSERT INTO wide SELECT seq, seq DIV 4, seq %% 7, seq %% 50, 900 + seq * 0.01, IF(seq %% 10, (seq %% 11) / 100, NULL),
  '1992-01-01' + INTERVAL seq %% 2500 DAY, IF(seq %% 10, '1992-01-15' + INTERVAL seq %% 2500 DAY, NULL), '2024-01-01' + INTERVAL seq * 1.2 SECOND, SUBSTR('RAN', 1 + seq %% 3, 1),
  ELT(1 + seq %% 4, 'AIR', 'RAIL', 'SHIP', 'TRUCK'), 'DELIVER IN PERSON', IF(seq %% 20, REPEAT('sorgfältig fertige "Lieferungen" ', 1 + seq %% 3), NULL),
  IF(seq %% 5, CONCAT('{"k": ', seq %% 1000, ', "tag": "new"}'), NULL), IF(seq %% 10, seq %% 2, NULL), INSERT(INSERT(INSERT(INSERT(MD5(seq), 21, 0, '-'), 17, 0, '-'), 13, 0, '-'), 9, 0, '-') FROM seq_1_to_%d;
ANALYZE TABLE wide;`

// BenchmarkRead reads a table into record batches and, in turn, drains the same
// rows with the mariadb client. It reports the medians of the pairs' ratios of
// elapsed time (below 1 is faster than the client) and of processor time.
func BenchmarkRead(b *testing.B) {
	client, err := exec.LookPath("mariadb")
	if err != nil {
		b.Skip("the mariadb client is not installed")
	}
	certificates := makeCertificate(b)
	server := servers.MariaDBWith(b, "--innodb-buffer-pool-size=512M", "--ssl-cert="+certificates.certificate, "--ssl-key="+certificates.key)
	db, err := server.OpenMariaDB()
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(b.Context(), fmt.Sprintf(benchTable, benchRows)); err != nil {
		b.Fatal(err)
	}
	for _, mode := range []string{"disable", "require"} {
		b.Run(mode, func(b *testing.B) {
			source := openSource(b, settingsOf(server, func(s *session.Settings) { s.SSLMode = mode }))
			tables, err := source.Discover(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			var walls, costs []float64
			for b.Loop() {
				drain := exec.CommandContext(b.Context(), client, "--no-defaults", "--quick", "-B", "-N", "--host="+server.Host, fmt.Sprintf("--port=%d", server.Port),
					"--user="+server.User, "--password="+server.Password, "--default-character-set=utf8mb4", "--skip-ssl", "-e", "select * from wide", server.Database)
				if mode == "require" {
					drain.Args = slices.DeleteFunc(drain.Args, func(arg string) bool { return arg == "--skip-ssl" })
					drain.Args = slices.Insert(drain.Args, 2, "--ssl", "--skip-ssl-verify-server-cert")
				}
				var message bytes.Buffer
				drain.Stderr = &message
				began := time.Now()
				if err := drain.Run(); err != nil {
					b.Fatalf("mariadb: %v\n%s", err, strings.TrimSpace(message.String()))
				}
				limit, cost := time.Since(began), drain.ProcessState.UserTime()+drain.ProcessState.SystemTime()

				began, before := time.Now(), processorTime(b)
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
				walls = append(walls, time.Since(began).Seconds()/limit.Seconds())
				costs = append(costs, (processorTime(b)-before).Seconds()/cost.Seconds())
			}
			slices.Sort(walls)
			slices.Sort(costs)
			b.ReportMetric(walls[len(walls)/2], "x-mariadb")
			b.ReportMetric(costs[len(costs)/2], "x-mariadb-cpu")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// processorTime returns what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
