package handlers

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/drivertest/servers"
	"headwater/projections"
)

// shop is a PostgreSQL server whose log is followed.
type shop struct {
	w      *world
	server *servers.Server
	db     *sql.DB
}

func newShop(t *testing.T, o Options) *shop {
	t.Helper()
	o.PositionEvery = 20 * time.Millisecond
	s := &shop{w: newWorld(t, o)}
	s.open(servers.PostgresWith(t, shopSettings...))
	return s
}

var shopSettings = []string{"wal_level=logical", "synchronous_commit=on", "max_wal_senders=8", "max_replication_slots=8"}

// open makes the shop's tables on a server, and goes on with that one.
func (s *shop) open(server *servers.Server) {
	s.w.t.Helper()
	db, err := server.OpenPostgres()
	s.w.check(err)
	s.w.t.Cleanup(func() { db.Close() })
	s.server, s.db, s.w.asks = server, db, server.PostgresActivity
	s.exec(`create table orders (id bigint primary key, note text, price numeric(12,2), at timestamptz, done boolean default true)`,
		`create table lines (shop int, number int, note text, primary key (shop, number))`,
		`create table parted (id bigint primary key, note text) partition by range (id)`,
		`create table parted_low partition of parted for values from (0) to (500)`,
		`create table parted_high partition of parted for values from (500) to (1000000)`)
}

func (s *shop) exec(statements ...string) {
	s.w.t.Helper()
	for _, text := range statements {
		if _, err := s.db.Exec(text); err != nil {
			s.w.t.Fatalf("%s: %v", text, err)
		}
	}
}

func (s *shop) connect() { s.connectAt(s.server.Port) }

// connectAt connects the source, or moves it, to the server behind a port.
func (s *shop) connectAt(port int) {
	s.w.t.Helper()
	config, err := json.Marshal(map[string]any{"host": s.server.Host, "port": port, "database": s.server.Database, "username": s.server.User})
	s.w.check(err)
	op := s.w.do(&command.ConnectSource{
		Meta: s.w.operation(event.KindConnect), Name: "shop", Type: "postgresql", Connector: "postgresql", Config: config,
		SecretRef: s.w.seal(`{"password":"` + s.server.Password + `"}`),
	})
	if op.Status != projections.StatusCompleted {
		s.w.t.Fatalf("%+v", op.Targets)
	}
}

// wantVerified compares every column of every row.
func (s *shop) wantVerified() {
	s.w.t.Helper()
	before := len(s.w.events(s.w.address))
	s.w.do(&command.VerifySource{Meta: s.w.operation(event.KindVerify)})
	seen := 0
	for _, e := range s.w.events(s.w.address)[before:] {
		if d, ok := e.Data.(*event.TableVerified); ok {
			if seen++; d.Table.Status != event.VerifiedEqual {
				s.w.t.Errorf("%s is %s: %s %v", d.Table.Name, d.Table.Status, d.Table.Message, d.Table.Rows)
			}
		}
	}
	if seen < 3 {
		s.w.t.Errorf("%d tables were compared", seen)
	}
}

// purge removes the source and holds that its server keeps nothing for it.
func (s *shop) purge() {
	s.w.t.Helper()
	s.w.do(&command.RemoveSource{Meta: s.w.operation(event.KindCleanup), Purge: true})
	var slots, senders int
	s.w.check(s.db.QueryRow(`select (select count(*) from pg_replication_slots), (select count(*) from pg_stat_replication)`).Scan(&slots, &senders))
	if slots+senders != 0 {
		s.w.t.Errorf("%d slots and %d replication connections are left", slots, senders)
	}
}

func (s *shop) sync(o command.SyncOptions) projections.Operation {
	s.w.t.Helper()
	o.Mode, o.Maintenance = command.Capture, command.MaintenanceOff
	return s.w.do(s.w.syncCommand(o))
}

func TestChangesOfPostgreSQL(t *testing.T) {
	s := newShop(t, quick())
	s.exec(`insert into orders select i, 'order ' || i, i * 1.5, now() from generate_series(1, 400) i`,
		`insert into lines select i % 7, i, 'line' from generate_series(1, 100) i`, `insert into parted select i, 'p' from generate_series(400, 600) i`)
	s.connect()
	if op := s.sync(command.SyncOptions{}); op.Status != projections.StatusCompleted {
		t.Fatalf("%+v", op.Targets)
	}
	s.wantVerified()
	s.exec(`update orders set note = 'changed', price = null where id % 10 = 0`, `delete from orders where id % 10 = 1`, `update orders set id = id + 10000 where id % 10 = 2`,
		`truncate lines`, `insert into lines values (1, 1, 'after')`, `update parted set id = id + 300 where id < 450`, `delete from parted where id = 599`)
	s.sync(command.SyncOptions{})
	done := last[*event.SyncCompleted](s.w)
	if done.Status != "completed" || done.Changes == nil || done.Changes.SlotState == "" {
		t.Fatalf("%+v", done)
	}
	s.wantVerified()
	s.exec(`alter table orders add column more text`, `update orders set more = 'x' where id % 3 = 0`, `insert into orders values (99999, 'new', 1, now(), false, 'y')`)
	if s.sync(command.SyncOptions{}); !slices.Contains(s.w.names(s.w.address), "SchemaDiscovered") {
		t.Error("the new column was not found")
	}
	s.wantVerified()
	// Nothing new is read again.
	s.sync(command.SyncOptions{})
	if done := last[*event.SyncCompleted](s.w); done.Records != 0 {
		t.Errorf("%d records, and nothing was new", done.Records)
	}
	// Without its slot the sync fails, and says how the tables are read anew.
	s.w.eventually("the slot to be at rest", func() bool {
		_, err := s.db.Exec(`select pg_drop_replication_slot(slot_name) from pg_replication_slots`)
		return err == nil
	})
	s.exec(`delete from orders where id = 99999`)
	s.sync(command.SyncOptions{})
	if got := last[*event.SyncFailed](s.w); !strings.Contains(got.Message, "sync_options.reset") {
		t.Errorf("a lost slot: %+v", got)
	}
	if op := s.sync(command.SyncOptions{Reset: []string{"*"}}); op.Status != projections.StatusCompleted {
		t.Errorf("%+v", op.Targets)
	}
	s.wantVerified()
	s.purge()
}

// write does random work, a transaction at a time.
func (s *shop) write(r *rand.Rand, n int) {
	s.w.t.Helper()
	for range n {
		tx, err := s.db.Begin()
		if err != nil {
			return // the server is down
		}
		for range 1 + r.IntN(4) {
			id := r.IntN(300)
			statements := []string{
				fmt.Sprintf(`insert into orders values (%d, 'n%d', %d, now()) on conflict (id) do update set note = excluded.note`, id, r.IntN(1000), r.IntN(1000)),
				fmt.Sprintf(`update orders set price = price + 1, done = not done, note = 'u%d' where id = %d`, r.IntN(1000), id),
				fmt.Sprintf(`delete from orders where id = %d`, id),
				fmt.Sprintf(`update orders set id = %d where id = %d and not exists (select from orders where id = %d)`, id+1000, id, id+1000),
				fmt.Sprintf(`insert into lines values (%d, %d, 'l%d') on conflict (shop, number) do update set note = excluded.note`, id%5, id, r.IntN(1000)),
				fmt.Sprintf(`delete from lines where number < %d`, r.IntN(40)),
				fmt.Sprintf(`insert into parted values (%d, 'p%d') on conflict (id) do update set note = excluded.note`, id*4, r.IntN(1000)),
				fmt.Sprintf(`update parted set id = %d where id = %d and not exists (select from parted where id = %d)`, 1200+id*4, id*4, 1200+id*4),
			}
			if r.IntN(60) == 0 {
				statements = []string{`truncate lines`}
			}
			if _, err := tx.Exec(statements[r.IntN(len(statements))]); err != nil {
				break
			}
		}
		_ = tx.Commit()
		if r.IntN(80) == 0 {
			_, _ = s.db.Exec(fmt.Sprintf(`alter table orders add column c%d text`, r.IntN(1_000_000)))
		}
	}
}

// TestKilledWhileChangesLand kills the worker at random steps, and its source's
// server now and then, under a writer: nothing is lost, doubled or left over.
func TestKilledWhileChangesLand(t *testing.T) {
	kills := 6
	if !testing.Short() {
		kills = 200
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	o := quick()
	o.CommitBytes, o.TableRetries = 1<<10, 8
	s := newShop(t, o)
	s.write(r, 100)
	s.connect()
	steps := []string{"captured", "wrote", "staged", "committed", "appended ChangesLanded", "appended SyncProgressed", "checkpointed", "confirmed", "appended SyncStarted"}
	happened := map[string]int{}
	first := r.Perm(len(steps))
	for i := range kills {
		step, nth := steps[r.IntN(len(steps))], 1+r.IntN(3)
		if i < len(first) { // few kills are at as many kinds of step
			step, nth = steps[first[i]], 1
		}
		s.w.seams.kill(step, nth)
		before := s.w.seams.killed()
		stopped := make(chan struct{})
		own := rand.New(rand.NewPCG(r.Uint64(), 2))
		go func() {
			defer close(stopped)
			s.write(own, 60)
		}()
		if r.IntN(8) == 0 {
			s.w.check(s.server.Kill())
			s.w.check(s.server.Restart(t.Context()))
			happened["server"]++
		}
		s.sync(command.SyncOptions{})
		<-stopped
		if s.w.seams.killed() > before {
			happened[step]++
		}
	}
	s.w.seams.kill("", 0)
	s.w.idle()
	if op := s.sync(command.SyncOptions{}); op.Status != projections.StatusCompleted {
		t.Errorf("%+v", op.Targets)
	}
	s.wantVerified()
	if len(happened) < 3 {
		t.Errorf("killed at %v", happened)
	}
	t.Logf("killed at %v", maps.Collect(maps.All(happened)))
	s.purge()
}
