package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// smallRange is four blocks of a heap.
const smallRange = 32 << 10

// ledger has some ten ranges. Its column tag is never read as it was: it is
// dropped and added.
const ledger = `
CREATE SCHEMA shop;
CREATE TABLE shop.ledger (id bigint PRIMARY KEY, amount numeric(12,2), note text, tag text) WITH (autovacuum_enabled = off);
INSERT INTO shop.ledger SELECT i, i * 0.25, repeat(md5(i::text), 4), 'old' FROM generate_series(1, 2000) i;
`

func divided(t *testing.T, server *servers.Server) *drivertest.Divided {
	t.Helper()
	db, err := server.OpenPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	do := func(statements ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			for _, s := range statements {
				if _, err := db.ExecContext(ctx, s); err != nil {
					return fmt.Errorf("%s: %w", s, err)
				}
			}
			return nil
		}
	}
	grant := "GRANT SELECT ON shop.ledger TO reader"
	return &drivertest.Divided{
		Table: "shop.ledger",
		// Two writers at once would wait for each other's rows.
		Write: do(`
			SELECT pg_advisory_xact_lock(1);
			DELETE FROM shop.ledger WHERE id % 97 = 3;
			UPDATE shop.ledger SET amount = amount + 1 WHERE id % 89 = 5;
			INSERT INTO shop.ledger SELECT m + i, 1, repeat('n', 100), 'new' FROM generate_series(1, 40) i, (SELECT max(id) AS m FROM shop.ledger) x`),
		Changes: []drivertest.Change{
			{Name: "nothing", Apply: do("SELECT 1"), Keep: drivertest.KeepAll},
			{Name: "vacuum", Apply: do("VACUUM (FREEZE, ANALYZE) shop.ledger"), Keep: drivertest.KeepAll},
			{Name: "checkpoint", Apply: do("CHECKPOINT"), Keep: drivertest.KeepAll},
			{Name: "update", Apply: do("UPDATE shop.ledger SET amount = -1 WHERE id = 700"), Keep: 5},
			{Name: "update back", Apply: do("UPDATE shop.ledger SET amount = -2 WHERE id = 700", "UPDATE shop.ledger SET amount = -1 WHERE id = 700"), Keep: 5},
			{Name: "delete", Apply: do("DELETE FROM shop.ledger WHERE id = 900"), Keep: 5},
			{Name: "delete in all", Apply: do("DELETE FROM shop.ledger WHERE id % 20 = 0")},
			{Name: "insert", Apply: do("INSERT INTO shop.ledger VALUES (-1, 1, 'x', 'y')"), Keep: 5},
			// As many rows as before in the same blocks, but others.
			{Name: "exchange", Apply: do("DELETE FROM shop.ledger WHERE id BETWEEN 301 AND 310", "VACUUM shop.ledger",
				"INSERT INTO shop.ledger SELECT -i, 1, repeat('x', 128), 'new' FROM generate_series(301, 310) i"), Keep: 5},
			{Name: "exchange and freeze", Apply: do("DELETE FROM shop.ledger WHERE id BETWEEN 401 AND 410", "VACUUM shop.ledger",
				"INSERT INTO shop.ledger SELECT -i, 1, repeat('x', 128), 'new' FROM generate_series(401, 410) i", "VACUUM FREEZE shop.ledger"), Keep: 5},
			{Name: "growth", Apply: do("INSERT INTO shop.ledger SELECT -i, 1, repeat('g', 128), 'new' FROM generate_series(10000, 11000) i")},
			{Name: "shrinkage", Apply: do("DELETE FROM shop.ledger WHERE id <= -10000", "VACUUM shop.ledger")},
			{Name: "rolled back", Apply: do("BEGIN; DELETE FROM shop.ledger; ROLLBACK"), Keep: drivertest.KeepAll},
			{Name: "vacuum full", Apply: do("VACUUM FULL shop.ledger")},
			{Name: "truncate", Apply: do("CREATE TABLE public.copy AS SELECT * FROM shop.ledger", "TRUNCATE shop.ledger", "INSERT INTO shop.ledger SELECT * FROM public.copy ORDER BY id DESC", "DROP TABLE public.copy")},
			{Name: "column dropped and added", Apply: do("ALTER TABLE shop.ledger DROP COLUMN tag", "ALTER TABLE shop.ledger ADD COLUMN tag text")},
			{Name: "another of that name", Apply: do("CREATE TABLE shop.other (LIKE shop.ledger INCLUDING ALL)", "INSERT INTO shop.other SELECT id, -amount, note, tag FROM shop.ledger",
				"DROP TABLE shop.ledger", "ALTER TABLE shop.other RENAME TO ledger", grant)},
			{Name: "empty", Apply: do("DELETE FROM shop.ledger", "VACUUM shop.ledger")},
			{Name: "refilled", Apply: do("INSERT INTO shop.ledger SELECT i, i % 3 + 1.25, repeat(md5(i::text), 4), 'old' FROM generate_series(1, 2000) i", "VACUUM FULL shop.ledger")},
			// As many rows of the same transactions in the same blocks, but others.
			{Name: "clustered", Apply: do("CREATE INDEX backwards ON shop.ledger ((-id))", "CLUSTER shop.ledger USING backwards", "DROP INDEX shop.backwards", "DELETE FROM shop.ledger WHERE id = 1999")},
		},
	}
}

// openSmall opens a source with small ranges, and a handle to its database.
func openSmall(t *testing.T, server *servers.Server, limits driver.Limits) (*source, *sql.DB) {
	t.Helper()
	raw, err := json.Marshal(session.Settings{Settings: sqldb.Settings{Host: server.Host, Username: server.User, Password: server.Password}, Port: server.Port, Database: server.Database})
	if err != nil {
		t.Fatal(err)
	}
	src, err := Driver{RangeBytes: smallRange}.Open(t.Context(), driver.Config{Settings: raw, Dial: new(net.Dialer).DialContext, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	db, err := server.OpenPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db.Close()
		src.Close()
	})
	return src.(*source), db
}

func tableOfName(t *testing.T, src *source, name string) driver.Table {
	t.Helper()
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(tables, func(x driver.Table) bool { return x.Name == name })
	if at < 0 {
		t.Fatalf("no table %s", name)
	}
	return tables[at]
}

// readScan reads every unread range and returns them as landed, with the first
// column of their rows.
func readScan(t *testing.T, sc driver.Scan) (landed []driver.Range, ids map[string][]int64) {
	t.Helper()
	ids = map[string][]int64{}
	for _, r := range sc.Unread() {
		for b, err := range sc.Read(t.Context(), r) {
			if err != nil {
				t.Fatal(err)
			}
			ids[r.Token] = append(ids[r.Token], b.Record.Column(0).(*array.Int64).Int64Values()...)
			b.Record.Release()
		}
		landed = append(landed, driver.Range{Token: r.Token, Rows: int64(len(ids[r.Token]))})
	}
	return landed, ids
}

// TestEdges tests what has a table of its own, on one server.
func TestEdges(t *testing.T) {
	server := servers.Postgres(t)
	for name, test := range map[string]func(*testing.T, *servers.Server){
		"fidelity": testFidelity, "round trips": testRoundTrips, "late commit": testScanLateCommit, "undivided": testScanUndivided, "replaced": testReplaced,
		"many small": testManySmallLeaves,
	} {
		t.Run(name, func(t *testing.T) { test(t, server) })
	}
}

// testScanLateCommit commits, between two scans, what a transaction that was
// older than the first had written: in the same blocks, as many rows as are
// deleted. Nothing but the age of their transaction tells.
func testScanLateCommit(t *testing.T, server *servers.Server) {
	src, db := openSmall(t, server, driver.Limits{})
	fill(t, server.OpenPostgres, ledger+"DELETE FROM shop.ledger WHERE id BETWEEN 1 AND 10")
	fill(t, server.OpenPostgres, "VACUUM shop.ledger")
	late, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Rollback()
	if _, err := late.ExecContext(t.Context(), "INSERT INTO shop.ledger SELECT -i, 1, repeat('x', 128), '' FROM generate_series(1, 10) i"); err != nil {
		t.Fatal(err)
	}
	table := tableOfName(t, src, "ledger")
	first, err := src.Scan(t.Context(), table, nil)
	if err != nil {
		t.Fatal(err)
	}
	landed, before := readScan(t, first)
	first.Close()
	if _, err := db.ExecContext(t.Context(), "DELETE FROM shop.ledger WHERE id BETWEEN 11 AND 20"); err != nil {
		t.Fatal(err)
	}
	if err := late.Commit(); err != nil {
		t.Fatal(err)
	}
	second, err := src.Scan(t.Context(), table, landed)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	var got, want []int64
	for _, k := range second.Kept() {
		got = append(got, before[k.Token]...)
	}
	if len(second.Kept()) != len(landed)-1 {
		t.Errorf("%d of %d ranges kept, want all but one", len(second.Kept()), len(landed))
	}
	sc := second.(*scan)
	l := sc.parts[sc.unread[0].Token].leaf
	for late, want := range map[time.Duration]int{time.Hour: len(sc.kept), -time.Second: 0} {
		if kept, err := verify(t.Context(), sc.exporter, sc.basis, []*leaf{l}, landed, time.Now().Add(late)); err != nil || len(kept[l]) != want {
			t.Errorf("with %v to verify, %d ranges are kept (%v), want %d", late, len(kept[l]), err, want)
		}
	}
	_, after := readScan(t, second)
	for _, ids := range after {
		got = append(got, ids...)
	}
	for i := int64(1); i <= 2000; i++ {
		switch {
		case i <= 10:
			want = append(want, -i)
		case i > 20:
			want = append(want, i)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d ids differ from the table's %d", len(got), len(want))
	}
}

// testScanUndivided has tables that only Read may read, and trees of tables.
func testScanUndivided(t *testing.T, server *servers.Server) {
	fill(t, server.OpenPostgres, `
		CREATE TABLE base (id bigint); CREATE TABLE derived () INHERITS (base); INSERT INTO base VALUES (1); INSERT INTO derived VALUES (2), (3);
		CREATE TABLE secured (id bigint); ALTER TABLE secured ENABLE ROW LEVEL SECURITY; ALTER TABLE secured FORCE ROW LEVEL SECURITY;
		CREATE TABLE parted (id bigint) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF parted FOR VALUES FROM (1) TO (10);
		CREATE TABLE p2 PARTITION OF parted FOR VALUES FROM (10) TO (30) PARTITION BY RANGE (id); CREATE TABLE p21 PARTITION OF p2 DEFAULT; INSERT INTO parted SELECT generate_series(1, 29);
		CREATE VIEW looked AS SELECT * FROM base; CREATE TABLE hollow (id bigint) PARTITION BY RANGE (id);
		CREATE TABLE partial (id bigint, hidden text); CREATE ROLE narrow LOGIN PASSWORD 'narrow-pass-4411'; GRANT SELECT (id) ON partial TO narrow; GRANT SELECT ON secured TO narrow`)
	src, _ := openSmall(t, server, driver.Limits{})
	for name, want := range map[string]int{"base": 3, "parted": 29, "hollow": 0} {
		sc, err := src.Scan(t.Context(), tableOfName(t, src, name), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, ids := readScan(t, sc)
		got := 0
		for _, some := range ids {
			got += len(some)
		}
		if got != want {
			t.Errorf("%s: %d rows, want %d", name, got, want)
		}
		sc.Close()
	}
	for name, narrow := range map[string]bool{"looked": false, "partial": true, "secured": true} {
		src, _ := openSmall(t, server, driver.Limits{})
		if narrow {
			src.Settings.Username, src.Settings.Password = "narrow", "narrow-pass-4411"
		}
		if _, err := src.Scan(t.Context(), tableOfName(t, src, name), nil); !errors.Is(err, driver.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
	}
}

// testManySmallLeaves reads a table of many small partitions, and one that is not
// small, in few ranges. What was joined is no range to go on from.
func testManySmallLeaves(t *testing.T, server *servers.Server) {
	make := "CREATE TABLE days (id bigint, day int) PARTITION BY LIST (day);"
	for day := range 60 {
		make += fmt.Sprintf("CREATE TABLE days_%d PARTITION OF days FOR VALUES IN (%d);", day, day)
	}
	fill(t, server.OpenPostgres, make+"INSERT INTO days SELECT i, i % 59 FROM generate_series(1, 5900) i; INSERT INTO days SELECT -i, 59 FROM generate_series(1, 5000) i")
	src, _ := openSmall(t, server, driver.Limits{})
	table := tableOfName(t, src, "days")
	sc, err := src.Scan(t.Context(), table, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	large := 5000 * 40 / smallRange
	if n := len(sc.Unread()); n > 1+2*large {
		t.Errorf("60 partitions are read in %d ranges", n)
	}
	landed, ids := readScan(t, sc)
	var all []int64
	for _, some := range ids {
		all = append(all, some...)
	}
	slices.Sort(all)
	if n := len(slices.Compact(slices.Clone(all))); n != 10_900 || len(all) != n {
		t.Fatalf("%d rows came, %d of them once", len(all), n)
	}
	again, err := src.Scan(t.Context(), table, landed)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, ids := readScan(t, again); len(again.Kept()) == 0 || len(ids) == 0 {
		t.Errorf("%d ranges were kept and %d read again; want those of the large partition kept, and those of the small ones read", len(again.Kept()), len(ids))
	}
}

// testReplaced replaces a heap between a snapshot and the lock on it: the
// snapshot would find the table empty.
func testReplaced(t *testing.T, server *servers.Server) {
	src, db := openSmall(t, server, driver.Limits{})
	fill(t, server.OpenPostgres, "CREATE TABLE front (id bigint); CREATE TABLE behind () INHERITS (front); INSERT INTO front VALUES (1); INSERT INTO behind VALUES (2)")
	table := tableOfName(t, src, "front")
	c, p, err := src.plan(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	columns := p.columns
	if _, err := db.ExecContext(t.Context(), "BEGIN; CREATE TABLE kept AS SELECT * FROM ONLY behind; TRUNCATE behind; INSERT INTO behind SELECT * FROM kept; COMMIT"); err != nil {
		t.Fatal(err)
	}
	leaves, err := leavesOf(t.Context(), c, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exportScan(t.Context(), c, table, columns, leaves); !errors.Is(err, session.ErrRewritten) {
		t.Errorf("export = %v, want %v", err, session.ErrRewritten)
	}
	src.Keep(t.Context(), c)

	query, err := p.selection(driver.Cursor{}, resumption{})
	if err != nil {
		t.Fatal(err)
	}
	for _, truncate := range []bool{false, true} {
		if c, p, err = src.plan(t.Context(), table); err != nil {
			t.Fatal(err)
		}
		if truncate {
			if _, err := db.ExecContext(t.Context(), "TRUNCATE behind"); err != nil {
				t.Fatal(err)
			}
		}
		err := copyTable(t.Context(), c, src.decoder(p, ""), p, query, func(b driver.Batch) bool {
			b.Record.Release()
			return true
		})
		if truncate != errors.Is(err, session.ErrRewritten) || !truncate && err != nil {
			t.Errorf("truncated %v: %v", truncate, err)
		}
		src.Keep(t.Context(), c)
	}

	sc, err := src.Scan(t.Context(), table, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "SET lock_timeout = '50ms'; TRUNCATE front"); err == nil {
		t.Error("a table was truncated while it was scanned")
	}
	sc.Close()
	if _, err := db.ExecContext(t.Context(), "TRUNCATE front"); err != nil {
		t.Errorf("after the scan: %v", err)
	}
}

// TestCandidates holds the age of what may be kept to what 32 bits can order.
func TestCandidates(t *testing.T) {
	l := &leaf{oid: 7, filenode: 8, shape: 9}
	now := basis{history: "1.00000001", durable: true, xmin: 5 << 32, xmax: 5<<32 + 10}
	of := func(change func(*token)) driver.Range {
		k := now.token(l, 0, 4)
		change(&k)
		return driver.Range{Token: k.String(), Rows: 1}
	}
	for name, c := range map[string]struct {
		landed []driver.Range
		want   int
	}{
		"same":          {[]driver.Range{of(func(k *token) { k.xmin -= 100 })}, 1},
		"old":           {[]driver.Range{of(func(k *token) { k.xmin -= maxAge - 10 })}, 1},
		"too old":       {[]driver.Range{of(func(k *token) { k.xmin -= maxAge })}, 0},
		"an epoch ago":  {[]driver.Range{of(func(k *token) { k.xmin -= 1<<32 + 100 })}, 0},
		"to come":       {[]driver.Range{of(func(k *token) { k.xmin++ })}, 0},
		"special":       {[]driver.Range{of(func(*token) {})}, 0}, // 5<<32 has the low bits of no transaction
		"other server":  {[]driver.Range{of(func(k *token) { k.xmin -= 100; k.history = "2.00000001" })}, 0},
		"no history":    {[]driver.Range{of(func(k *token) { k.xmin -= 100; k.history = "" })}, 0},
		"other heap":    {[]driver.Range{of(func(k *token) { k.xmin -= 100; k.filenode++ })}, 0},
		"other columns": {[]driver.Range{of(func(k *token) { k.xmin -= 100; k.shape++ })}, 0},
		"no blocks":     {[]driver.Range{of(func(k *token) { k.xmin -= 100; k.hi = 0 })}, 0},
		"overlap":       {[]driver.Range{of(func(k *token) { k.xmin -= 100 }), of(func(k *token) { k.xmin -= 90; k.lo = 3; k.hi = 9 }), of(func(k *token) { k.xmin -= 90; k.lo = 4; k.hi = 9 })}, 2},
	} {
		if got := now.candidates([]*leaf{l}, c.landed); len(got) != c.want {
			t.Errorf("%s: %d ranges, want %d", name, len(got), c.want)
		}
	}
	if got := (basis{xmin: now.xmin, xmax: now.xmax}).candidates([]*leaf{l}, []driver.Range{of(func(k *token) { k.xmin -= 100; k.history = "" })}); len(got) != 0 {
		t.Errorf("a scan without a history keeps %d ranges", len(got))
	}
}

func FuzzToken(f *testing.F) {
	f.Add(basis{history: "1.00000001", durable: true, xmin: 9}.token(&leaf{oid: 1, filenode: 2, shape: 3}, 4, 5).String())
	f.Fuzz(func(t *testing.T, text string) {
		if k, ok := parseToken(text); ok && (k.String() != text || k.lo >= k.hi) {
			t.Errorf("%q was read as %+v", text, k)
		}
	})
}
