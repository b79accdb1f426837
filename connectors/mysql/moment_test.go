package mysql

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
)

const ledger = `CREATE TABLE ledger (id int PRIMARY KEY, b bigint NOT NULL, pad varchar(200)); INSERT INTO ledger SELECT seq, 1000, REPEAT('x', 180) FROM seq_1_to_20000; ANALYZE TABLE ledger;
CREATE USER plain IDENTIFIED BY 'plain-pass-2291'; GRANT SELECT ON headwater.* TO plain;
CREATE USER alone IDENTIFIED BY 'plain-pass-2291' WITH MAX_USER_CONNECTIONS 1; GRANT SELECT ON headwater.* TO alone;`

// Money is moved between both ends of a table while it is read in ranges, two at
// a time: whatever server and account allow, the sum is right.
func TestRangesAreOfOneMoment(t *testing.T) {
	for name, options := range map[string][]string{"binary log": {"--log-bin=log", "--server-id=7"}, "none": nil} {
		server := servers.MariaDBWith(t, options...)
		db, err := server.OpenMariaDB()
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), ledger); err != nil {
			t.Fatal(err)
		}
		for user, sessions := range map[string]int{"owner": 2, "plain": 1, "alone": 1} {
			t.Run(name+"/"+user, func(t *testing.T) {
				settings := settingsOf(server, func(s *session.Settings) {
					if user != "owner" {
						s.Username, s.Password = user, "plain-pass-2291"
					}
				})
				if name == "binary log" && user == "plain" {
					sessions = 2
				}
				testSums(t, db, settings, sessions)
			})
		}
	}
}

func testSums(t *testing.T, db *sql.DB, settings session.Settings, sessions int) {
	src := openSource(t, settings)
	src.rangeSize = 256 << 10
	found, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() { transfer(ctx, db) })
	}
	defer writers.Wait()
	defer stop()
	most := 0
	for range 4 {
		scan, err := src.Scan(t.Context(), found[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, sessionsOf(scan))
		var mu sync.Mutex
		var sum, rows int64
		var readers sync.WaitGroup
		work := make(chan driver.Range, len(scan.Unread()))
		for _, r := range scan.Unread() {
			work <- r
		}
		close(work)
		for range 3 {
			readers.Go(func() {
				for r := range work {
					for _, row := range keysOf(t, scan.Read(t.Context(), r)) {
						n, _ := strconv.ParseInt(strings.Split(row, "|")[1], 10, 64)
						mu.Lock()
						sum, rows = sum+n, rows+1
						mu.Unlock()
					}
				}
			})
		}
		readers.Wait()
		if err := scan.Close(); err != nil {
			t.Error(err)
		}
		if rows != 20000 || sum != 20000*1000 {
			t.Errorf("%d rows with a sum of %d", rows, sum)
		}
	}
	if most != sessions {
		t.Errorf("%d sessions read, want %d", most, sessions)
	}
}

func sessionsOf(s driver.Scan) int { return len(s.(*scan).free) }

// transfer moves money from one end of the table to the other, in transactions.
func transfer(ctx context.Context, db *sql.DB) {
	for ctx.Err() == nil {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return
		}
		_, err = tx.ExecContext(ctx, "UPDATE ledger SET b = b - 1 WHERE id = "+strconv.Itoa(1+rand.IntN(100)))
		if err == nil {
			_, err = tx.ExecContext(ctx, "UPDATE ledger SET b = b + 1 WHERE id = "+strconv.Itoa(19901+rand.IntN(100)))
		}
		if err != nil {
			_ = tx.Rollback()
			continue
		}
		_ = tx.Commit()
	}
}

// An account that may have one connection reads one table after another, also
// when two are asked for at once.
func TestTheOnlyConnectionIsWaitedFor(t *testing.T) {
	t.Parallel()
	server := servers.MariaDB(t)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	run(t, db, ledger)
	settings := settingsOf(server, func(s *session.Settings) { s.Username, s.Password = "alone", "plain-pass-2291" })
	first, second := openSource(t, settings), openSource(t, settings)
	found, err := first.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Second, func() { first.Close() })
	if rows := keysOf(t, second.Read(t.Context(), found[0], driver.Cursor{})); len(rows) != 20000 {
		t.Errorf("%d rows", len(rows))
	}
}
