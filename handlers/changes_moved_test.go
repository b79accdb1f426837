package handlers

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/drivertest/servers"
	"headwater/handlers/sourcelog"
	"headwater/projections"
)

// A database that is followed is moved to another server: the old one keeps no log for
// it, or the history says how to drop that, and the new one is read whole.
func TestADatabaseIsMovedWhileItIsFollowed(t *testing.T) {
	o := quick()
	o.ReleaseLimit = patience
	s := newShop(t, o)
	s.w.handlers.logs.LetGo = func(string) string { return "SELECT pg_drop_replication_slot('%s')" }
	s.exec(`insert into orders select i, 'old ' || i from generate_series(1, 50) i`)
	s.connect()
	runs := make(chan struct{})
	go func() { defer close(runs); s.w.handlers.RunSchedules(t.Context()) }()
	s.w.continuously(false)
	follows := func() {
		t.Helper()
		s.exec(`insert into orders values (900, 'followed') on conflict (id) do update set note = orders.note || 'x'`)
		s.w.eventually("changes to land", func() bool {
			var want string
			s.w.check(s.db.QueryRow(`select note from orders where id = 900`).Scan(&want))
			return s.w.holds("orders")[900] == want
		})
	}
	follows()
	old := s.server
	before := s.db
	s.open(servers.PostgresWith(t, shopSettings...))
	s.exec(`insert into orders select i, 'new ' || i from generate_series(20, 60) i`, `insert into lines values (1, 1, 'new')`)
	s.connect()
	follows()
	given := s.w.givenUp()
	if len(given) != 1 || !given[0].Released || !strings.Contains(given[0].Message, "moved from "+old.Address()) {
		t.Fatalf("%+v", given)
	}
	s.w.eventually("nobody to read the old server", func() bool {
		var left int
		s.w.check(before.QueryRow(`select (select count(*) from pg_replication_slots) + (select count(*) from pg_stat_replication) + (select count(*) from pg_publication)`).Scan(&left))
		return left == 0
	})
	if slices.Contains(s.w.names(s.w.address), "SyncFailed") {
		t.Errorf("%v", s.w.names(s.w.address))
	}
	s.w.continuously(true)
	s.w.idle()
	s.wantVerified()
	// The server that it is moved away from is down: what is to be done there is told.
	s.w.handlers.logs.Limit = time.Second // nobody answers there
	s.w.check(s.server.Stop())
	s.open(servers.PostgresWith(t, shopSettings...))
	s.exec(`insert into orders values (7, 'third')`)
	s.connect()
	given = s.w.givenUp()
	if len(given) != 2 || given[1].Released || !strings.Contains(given[1].Message, "drop it there: SELECT pg_drop_replication_slot('"+sourcelog.ReaderOf(s.w.address)+"')") {
		t.Fatalf("%+v", given)
	}
	if op := s.sync(command.SyncOptions{}); op.Status != projections.StatusCompleted {
		t.Fatalf("%+v", op.Targets)
	}
	s.wantVerified()
	s.w.handlers.Stop()
	<-runs
	s.purge()
}

// forwarded is an address behind which another server may come.
type forwarded struct {
	net.Listener
	to atomic.Pointer[servers.Server]
}

func forward(t *testing.T) *forwarded {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarded{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go f.join(from)
		}
	}()
	return f
}

func (f *forwarded) join(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", f.to.Load().Address())
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, from)
		to.Close()
	}()
	_, _ = io.Copy(from, to)
}

// versionOf starts a PostgreSQL of a version in the folder that the environment names,
// and skips the test without it.
func versionOf(t *testing.T, version string) *servers.Server {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(os.Getenv("HEADWATER_TEST_POSTGRES"), version, "bin", "initdb"))
	if os.Getenv("HEADWATER_TEST_POSTGRES") == "" || len(found) == 0 {
		t.Skip("HEADWATER_TEST_POSTGRES names no folder with PostgreSQL " + version)
	}
	return servers.PostgresOf(t, filepath.Dir(found[0]), shopSettings...)
}

// A server is upgraded by a dump into another version behind the same address, which
// brings the publication along and to which somebody has given the slot: its log is not
// the one that was read, however alike it looks. The tables are read whole, or the sync
// fails with the way out.
func TestADatabaseIsUpgradedByADump(t *testing.T) {
	older, newer := versionOf(t, "14"), versionOf(t, "17")
	s := &shop{w: newWorld(t, quick())}
	address := forward(t)
	port := address.Addr().(*net.TCPAddr).Port
	s.open(older)
	address.to.Store(older)
	s.exec(`insert into orders select i, 'order ' || i from generate_series(1, 50) i`)
	s.connectAt(port)
	s.sync(command.SyncOptions{})
	s.exec(`update orders set note = 'changed' where id < 10`)
	if op := s.sync(command.SyncOptions{}); op.Status != projections.StatusCompleted {
		t.Fatalf("%+v", op.Targets)
	}
	var note string
	s.w.check(s.db.QueryRow(`select obj_description(oid, 'pg_publication') from pg_publication`).Scan(&note))
	s.open(newer)
	s.exec(`alter role ` + newer.User + ` password '` + older.Password + `'`)
	newer.Password = older.Password
	reader := sourcelog.ReaderOf(s.w.address)
	s.exec(`insert into orders select i, case when i < 10 then 'changed' else 'order ' || i end from generate_series(1, 50) i`,
		`create publication `+reader+` for table only orders, only lines, only parted with (publish_via_partition_root)`,
		`comment on publication `+reader+` is '`+note+`'`, `select pg_create_logical_replication_slot('`+reader+`', 'pgoutput')`,
		`create table filler as select repeat('x', 1000) from generate_series(1, 20000)`, `select pg_switch_wal()`, `drop table filler`, // past every position of the old log
		`delete from orders where id = 1`, `insert into orders values (100, 'after the upgrade')`)
	address.to.Store(newer)
	if op := s.sync(command.SyncOptions{OnReplaced: command.Stop}); op.Status != projections.StatusFailed {
		t.Errorf("%+v", op.Targets)
	}
	for _, table := range last[*event.SyncFailed](s.w).Tables {
		if table.Reason != event.ReasonSchemaChanged || !strings.Contains(table.Message, "restored, or the source leads elsewhere") || !strings.Contains(table.Message, "sync_options.reset") {
			t.Errorf("%s: %s", table.Reason, table.Message)
		}
	}
	if op := s.sync(command.SyncOptions{}); op.Status != projections.StatusCompleted {
		t.Fatalf("%+v", op.Targets)
	}
	for _, table := range last[*event.SyncCompleted](s.w).Tables {
		if !slices.ContainsFunc(table.Notes, func(n string) bool { return strings.Contains(n, "was read from its start") }) {
			t.Errorf("%s has notes %q", table.Name, table.Notes)
		}
	}
	s.wantVerified()
	s.exec(`insert into orders values (101, 'later')`)
	s.sync(command.SyncOptions{})
	s.wantVerified()
	s.purge()
}
