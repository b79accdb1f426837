package capture_test

import (
	"encoding/json"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// null is how a NULL is written.
const null = drivertest.Null

// smallRange is four blocks of a heap.
const smallRange = 32 << 10

// source is what a source of PostgreSQL offers to who follows its log, and the settings
// that it was opened with.
type source struct {
	full
	settings session.Settings
}

type full interface {
	driver.Source
	driver.Capturer
	driver.Scanner
	driver.Sharer
	driver.Stepper
}

// open opens a database in ranges of a few blocks.
func open(t testing.TB, settings session.Settings) *source {
	t.Helper()
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := postgres.Driver{RangeBytes: smallRange}.Open(t.Context(), driver.Config{Settings: raw, Dial: new(net.Dialer).DialContext})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	src := &source{settings: settings}
	src.full = opened.(full)
	return src
}

// openWith opens the server's database with changed settings.
func openWith(t testing.TB, server *servers.Server, change func(*session.Settings)) *source {
	t.Helper()
	s := session.Settings{Settings: sqldb.Settings{Host: server.Host, Username: server.User, Password: server.Password}, Port: server.Port, Database: server.Database}
	change(&s)
	return open(t, s)
}

// rowsOf reads a table as text, by Read or by the ranges of a Scan.
func rowsOf(t testing.TB, src *source, table driver.Table, ranges bool) (rows [][]string, failed error) {
	if ranges {
		return drivertest.RangeRows(t.Context(), src, table)
	}
	return drivertest.Rows(src.Read(t.Context(), table, driver.Cursor{}))
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func tableOfName(t testing.TB, src *source, name string) driver.Table {
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
