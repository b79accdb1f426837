package servers

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"testing"
	"time"
)

// Postgres starts a private PostgreSQL for one test and stops it when the test
// ends. Without an installed PostgreSQL it fails the test when the environment
// has CI or HEADWATER_TEST_REQUIRE, and skips it otherwise.
func Postgres(t testing.TB) *Server {
	t.Helper()
	return start(t, StartPostgres)
}

// PostgresWith is Postgres with further settings, such as "wal_level=logical".
func PostgresWith(t testing.TB, settings ...string) *Server {
	t.Helper()
	return start(t, StartPostgres, settings...)
}

// PostgresOf is PostgresWith of the programs in a folder.
func PostgresOf(t testing.TB, programs string, settings ...string) *Server {
	t.Helper()
	return start(t, func(ctx context.Context, dir string, settings ...string) (*Server, error) {
		return StartPostgresOf(ctx, programs, dir, settings...)
	}, settings...)
}

// StandbyOf starts a standby of a PostgreSQL for one test, with the programs in a folder.
func StandbyOf(t testing.TB, programs string, primary *Server) *Server {
	t.Helper()
	return start(t, func(ctx context.Context, dir string, _ ...string) (*Server, error) {
		return StartStandby(ctx, programs, dir, primary)
	})
}

// MariaDB is Postgres for MariaDB.
func MariaDB(t testing.TB) *Server {
	t.Helper()
	return MariaDBWith(t)
}

// MariaDBWith is MariaDB with further options of mariadbd.
func MariaDBWith(t testing.TB, options ...string) *Server {
	t.Helper()
	return start(t, StartMariaDB, options...)
}

// MySQLPrograms is the variable of the environment that names the folder which
// `.ci/mysql-server` filled: `make mysql` sets it.
const MySQLPrograms = "HEADWATER_TEST_MYSQL"

// MySQL starts a private MySQL for one test, with further options of mysqld, and stops it
// when the test ends. It skips the test if MySQLPrograms is not set.
func MySQL(t testing.TB, options ...string) *Server {
	t.Helper()
	programs := os.Getenv(MySQLPrograms)
	if programs == "" {
		t.Skip(MySQLPrograms + " names no folder with MySQL")
	}
	return start(t, func(ctx context.Context, dir string, options ...string) (*Server, error) {
		return StartMySQL(ctx, programs, dir, options...)
	}, options...)
}

func start(t testing.TB, launch func(context.Context, string, ...string) (*Server, error), options ...string) *Server {
	t.Helper()
	// Not t.TempDir: its parents are closed to the account the server runs as.
	dir, err := os.MkdirTemp("", "headwater-server-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := launch(t.Context(), dir, options...)
	var missing *MissingError
	switch {
	case errors.As(err, &missing) && os.Getenv("CI") == "" && os.Getenv("HEADWATER_TEST_REQUIRE") == "":
		t.Skip(missing)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop the server: %v", err)
		}
	})
	return s
}

// awaitLimit is how long Await waits.
const awaitLimit = time.Minute

// Await asks a database again and again until a query of one boolean answers true. It
// fails the test if the query fails, or is not true within awaitLimit.
func Await(t testing.TB, db *sql.DB, query string) {
	t.Helper()
	for until := time.Now().Add(awaitLimit); ; time.Sleep(5 * time.Millisecond) {
		ok := false
		if err := db.QueryRowContext(t.Context(), query).Scan(&ok); err != nil {
			t.Fatal(err)
		}
		if ok {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("never came true: %s", query)
		}
	}
}
