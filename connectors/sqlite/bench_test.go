package sqlite_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/sqlite"
)

const benchRows = 500_000

// BenchmarkRead reads a table into record batches and, in turn, has the sqlite3
// shell print the same rows to nowhere. It reports the median of the pairs'
// ratios: below 1 is faster than the shell.
func BenchmarkRead(b *testing.B) {
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		b.Skip("sqlite3 is not installed")
	}
	files, dir := create(b, "a.db", `CREATE TABLE wide (id INTEGER PRIMARY KEY, order_id BIGINT, line INT, quantity NUMERIC(15,2), price NUMERIC(15,2), discount NUMERIC(15,2),
		shipped DATE, received DATE, updated_at TIMESTAMP, flag CHAR(1), mode CHAR(10), instruct VARCHAR(25), remark TEXT, attrs JSON, active BOOLEAN, uid TEXT)`,
		fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO wide SELECT i, i/4, i%%7, i%%50, 900 + i*0.01, CASE WHEN i%%10 > 0 THEN (i%%11)/100.0 END, date('1992-01-01', (i%%2500)||' days'),
		CASE WHEN i%%10 > 0 THEN date('1992-01-15', (i%%2500)||' days') END, datetime('2024-01-01', i||' seconds')||'.123456', substr('RAN', 1+i%%3, 1), 'REG AIR   ',
		'DELIVER IN PERSON', CASE WHEN i%%20 > 0 THEN substr('carefully final deposits nag quickly; slyly regular accounts haggle above the furiously', 1, 10+i%%60) END,
		CASE WHEN i%%5 > 0 THEN json_object('k', i%%1000, 'tag', 'new', 'src', 'web-'||(i%%100)) END, CASE WHEN i%%10 > 0 THEN i%%2 END, lower(hex(randomblob(18))) FROM n`, benchRows))
	for _, way := range []string{"pages", "engine"} {
		b.Run(way, func(b *testing.B) {
			src, err := open(b, files, `{"path":"a.db"}`, driver.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			if way == "engine" {
				sqlite.ByEngine(src)
			}
			var ratios []float64
			for b.Loop() {
				began := time.Now()
				if err := exec.CommandContext(b.Context(), shell, "-readonly", filepath.Join(dir, "a.db"), "select * from wide").Run(); err != nil { // to /dev/null
					b.Fatalf("sqlite3: %v", err)
				}
				limit := time.Since(began)

				began = time.Now()
				tables, err := src.Discover(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				var rows int64
				for batch, err := range src.Read(b.Context(), tables[0], driver.Cursor{}) {
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
			b.ReportMetric(ratios[len(ratios)/2], "x-sqlite3")
			b.ReportMetric(0, "ns/op")
		})
	}
}
