package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/drivertest/servers"
)

// rowsOf reads a table as text, by Read or by the ranges of a Scan.
func rowsOf(t *testing.T, src *source, table driver.Table, ranges bool) (rows [][]string, failed error) {
	if ranges {
		return drivertest.RangeRows(t.Context(), src, table)
	}
	return drivertest.Rows(src.Read(t.Context(), table, driver.Cursor{}))
}

// testFidelity reads what lies at the edge of PostgreSQL's types: the value
// comes whole, or an error names its place and not the value.
func testFidelity(t *testing.T, server *servers.Server) {
	var many []string
	for i := range 1600 { // PostgreSQL has no more; booleans are small enough for a row
		many = append(many, fmt.Sprintf("c%d bool", i))
	}
	fill(t, server.OpenPostgres, `
		CREATE TABLE good (id int, free numeric, day date, at timestamp, price float8, "Name" text, name text, "NAME" text);
		INSERT INTO good VALUES (1, 1e40, '5874897-12-31', '294246-12-31 23:59:59.999999', 'Infinity', 'a', 'b', 'c'),
		  (2, 'NaN', '4713-01-01 BC', '4713-01-01 BC', 5e-324, NULL, '', E'\t'), (3, 'Infinity', NULL, NULL, '-0', '', '', ''), (4, ('0.' || repeat('0', 400) || '1')::numeric, NULL, NULL, NULL, NULL, NULL, NULL);
		CREATE TABLE "Good" (id int); INSERT INTO "Good" VALUES (7);
		CREATE TABLE many (`+strings.Join(many, ", ")+`); INSERT INTO many (c0, c1599) VALUES (true, false);
		CREATE TABLE bad (id int, v numeric(10,2), d date, at timestamptz, tm time);
		INSERT INTO bad SELECT i, i FROM generate_series(1, 1000) i;
		CREATE TABLE long (id int, body text); INSERT INTO long SELECT i, repeat('x', CASE WHEN i = 3 THEN 3000000 ELSE 300000 END) FROM generate_series(1, 4) i`)
	src, db := openSmall(t, server, driver.Limits{MaxRowBytes: 1 << 20})
	for _, ranges := range []bool{false, true} {
		rows, err := rowsOf(t, src, tableOfName(t, src, "good"), ranges)
		if err != nil {
			t.Fatal(err)
		}
		want := [][]string{
			{"1", "1" + strings.Repeat("0", 40), "5874897-12-31", "294246-12-31T23:59:59.999999", "+Inf", "a", "b", "c"},
			{"2", "NaN", "-4712-01-01", "-4712-01-01T00:00:00.000000", "5e-324", null, "", "\t"},
			{"3", "Infinity", null, null, "-0", "", "", ""},
			{"4", "0." + strings.Repeat("0", 400) + "1", null, null, null, null, null, null},
		}
		if got := fmt.Sprintf("%q", rows); got != fmt.Sprintf("%q", want) {
			t.Errorf("ranges %v:\n%s, want\n%q", ranges, got, want)
		}
		if rows, err := rowsOf(t, src, tableOfName(t, src, "Good"), ranges); err != nil || len(rows) != 1 || rows[0][0] != "7" {
			t.Errorf("the table of another case has %q, %v", rows, err)
		}
		rows, err = rowsOf(t, src, tableOfName(t, src, "many"), ranges)
		if err != nil || len(rows) != 1 || len(rows[0]) != 1600 || rows[0][0] != "true" || rows[0][1] != null || rows[0][1599] != "false" {
			t.Errorf("1600 columns: %d rows, %v", len(rows), err)
		}
		_, err = rowsOf(t, src, tableOfName(t, src, "long"), ranges)
		place := "table public.long, column body: row 3"
		if ranges {
			place = "blocks 0 to 0 of public.long"
		}
		if !errors.Is(err, driver.ErrLimit) || !strings.Contains(err.Error(), place) {
			t.Errorf("a long row: %v, want ErrLimit at %q", err, place)
		}
		for column, value := range map[string]string{"v": "NaN", "d": "-infinity", "at": "294276-01-01", "tm": "24:00"} {
			if _, err := db.ExecContext(t.Context(), fmt.Sprintf("TRUNCATE bad; INSERT INTO bad (id) SELECT generate_series(1, 500); INSERT INTO bad (id, %s) VALUES (501, '%s')", column, value)); err != nil {
				t.Fatal(err)
			}
			_, err := rowsOf(t, src, tableOfName(t, src, "bad"), ranges)
			place := "table public.bad, column " + column + ", row 501"
			if ranges {
				place = "table public.bad, column " + column + ", row "
			}
			if !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), place) || strings.Contains(err.Error(), value) && value != "NaN" || !strings.Contains(err.Error(), "sync_options.columns") {
				t.Errorf("%s in %s: %v, want ErrBadData at %q", value, column, err, place)
			}
		}
	}
}

// turns counts how often the client speaks after the server has.
type turns struct {
	net.Conn
	count   *atomic.Int64
	reading bool
}

func (c *turns) Read(p []byte) (int, error) {
	c.reading = true
	return c.Conn.Read(p)
}

func (c *turns) Write(p []byte) (int, error) {
	if c.reading {
		c.count.Add(1)
	}
	c.reading = false
	return c.Conn.Write(p)
}

// testRoundTrips holds a read to one round trip for the catalog and one for the
// rows: sources are far away.
func testRoundTrips(t *testing.T, server *servers.Server) {
	fill(t, server.OpenPostgres, "CREATE TABLE seen (id bigint PRIMARY KEY); INSERT INTO seen SELECT generate_series(1, 10)")
	var count atomic.Int64
	raw, err := json.Marshal(settingsOf(server))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := Driver{RangeBytes: smallRange}.Open(t.Context(), driver.Config{Settings: raw, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &turns{Conn: conn, count: &count, reading: true}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	src := opened.(*source)
	table := tableOfName(t, src, "seen")
	before, last := count.Load(), "10"
	for b, err := range src.Read(t.Context(), table, driver.Cursor{Column: "id", Value: &last}) {
		if err != nil || b.Record.NumRows() > 0 { // an empty batch says where to go on
			t.Errorf("%v", err)
		}
	}
	if took := count.Load() - before; took != 2 {
		t.Errorf("an incremental read that finds nothing takes %d round trips, want 2", took)
	}
}
