package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// What catching up with a log of changes must reach.
const (
	changesWall   = 1.3       // of the time of receiving the same changes and dropping them
	changesMemory = 300 << 20 // bytes, of all processes at once
	changesRows   = 1_000_000 // two thirds inserts, one third updates
	changesTable  = 500_000   // rows that are there before
)

// changes measures syncs of mode cdc that catch up, of one table and of twenty,
// beside pg_recvlogical, which receives the same changes of a slot like ours.
func (b *bench) changes(ctx context.Context) ([]result, error) {
	if err := b.startPostgres(ctx); err != nil {
		return nil, err
	}
	var all []result
	for _, tables := range []int{1, 20} {
		rows, err := b.catchUp(ctx, tables)
		all = append(all, rows...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// followed is a service that follows tables of a database of its own, and a slot
// beside its.
type followed struct {
	b        *bench
	s        *service
	database string
	source   string
	tables   []string
	options  object
	each     int // changes to each table at a time
	next     int // id
}

func (b *bench) follow(ctx context.Context, tables int) (*followed, error) {
	server, database := b.postgres, fmt.Sprintf("changes%d", tables)
	if _, err := b.psqlRun(ctx, "create database "+database); err != nil {
		return nil, err
	}
	f := &followed{b: b, database: database, options: object{"mode": "cdc"}, each: b.rows(changesRows) / tables, next: b.rows(changesTable)/tables + 1}
	var making []string
	for i := range tables {
		name := fmt.Sprintf("followed%d", i)
		f.tables = append(f.tables, name)
		making = append(making,
			"create table "+name+" (id bigint primary key, kind int not null, amount numeric(15,2) not null, at timestamptz not null, note text)",
			fmt.Sprintf("insert into %s select i, i%%7, (i%%100000)*0.01, timestamptz '2024-01-01' + i * interval '1 second', 'note ' || i%%1000 from generate_series(1, %d) i", name, f.next-1))
	}
	making = append(making, "create publication beside for table "+strings.Join(f.tables, ", "))
	if err := f.run(ctx, making...); err != nil {
		return nil, err
	}
	s, err := b.start(ctx, b.cache)
	if err != nil {
		return nil, err
	}
	f.s = s
	f.source, err = s.connect(ctx, "postgresql", "postgres", object{"host": server.Host, "port": server.Port, "database": database,
		"username": server.User, "password": server.Password, "sslmode": "disable"})
	if err != nil {
		return nil, err
	}
	if _, _, err := s.syncTables(ctx, f.source, f.options); err != nil {
		return nil, err
	}
	return f, f.run(ctx, "select pg_create_logical_replication_slot('"+f.slot()+"', 'pgoutput')")
}

// slot is the one that the limit receives.
func (f *followed) slot() string { return "beside_" + f.database }

// env is that of the clients.
func (f *followed) env() []string { return append(f.b.psqlEnv(), "PGDATABASE="+f.database) }

// run lets psql carry out commands in the database that is followed.
func (f *followed) run(ctx context.Context, commands ...string) error {
	client, err := psql()
	if err != nil {
		return err
	}
	args := []string{"-X", "-q", "-v", "ON_ERROR_STOP=1"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	_, err = drain(ctx, f.env(), client, args...)
	return err
}

// change makes changes to every table, two inserts and an update at a time, in
// transactions of about a thousand.
func (f *followed) change(ctx context.Context) error {
	rounds, most := f.each/3, f.next
	var body strings.Builder
	for _, table := range f.tables {
		fmt.Fprintf(&body, `insert into %[1]s select %[2]d + 2*done + i, i%%7, i*0.01, now(), 'new ' || i from generate_series(0, 2*n-1) i;
  update %[1]s set amount = amount + 1, note = 'changed ' || id where id in (select 1 + ((done + i) * 7919::bigint) %% %[3]d from generate_series(0, n-1) i);
  `, table, most, most-1)
	}
	f.next += 2 * rounds
	return f.run(ctx, fmt.Sprintf(`do $$ declare done int := 0; n int; begin
while done < %[1]d loop
  n := least(334, %[1]d - done);
  %[2]s
  done := done + n; commit;
end loop; end $$`, rounds, body.String()), "checkpoint")
}

// limit receives what the slot beside ours has, and drops it.
func (f *followed) limit(ctx context.Context) (time.Duration, error) {
	client, err := psql()
	if err != nil {
		return 0, err
	}
	end, err := f.end(ctx)
	if err != nil {
		return 0, err
	}
	return drain(ctx, f.env(), filepath.Join(filepath.Dir(client), "pg_recvlogical"), "--dbname="+f.database, "--slot="+f.slot(), "--start", "--no-loop", "--endpos="+end,
		"-o", "proto_version=1", "-o", "publication_names=beside", "-o", "binary=true", "-f", "/dev/null")
}

// end returns where the server's log ends now.
func (f *followed) end(ctx context.Context) (string, error) {
	p := f.b.postgres
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", p.User, p.Password, p.Address(), f.database))
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	found, err := conn.Exec(ctx, "select pg_current_wal_flush_lsn()").ReadAll()
	if err != nil {
		return "", err
	}
	return string(found[0].Rows[0][0]), nil
}

// catchUp measures the changes to so many tables.
func (b *bench) catchUp(ctx context.Context, tables int) ([]result, error) {
	f, err := b.follow(ctx, tables)
	if err != nil {
		return nil, err
	}
	defer f.s.stop()
	var spent []time.Duration
	var peak int64
	ours := func(ctx context.Context) (time.Duration, error) {
		if err := f.change(ctx); err != nil {
			return 0, err
		}
		before, watch := cpuOf(f.s.cmd.Process.Pid), watchMemory(f.s.cmd.Process.Pid)
		_, took, err := f.s.syncTables(ctx, f.source, f.options)
		most, _ := watch()
		spent, peak = append(spent, cpuOf(f.s.cmd.Process.Pid)-before), max(peak, most)
		b.say("%.2f s of CPU, at most %d MiB at once", spent[len(spent)-1].Seconds(), most>>20)
		return took, err
	}
	count := f.each / 3 * 3 * tables
	name := fmt.Sprintf("PostgreSQL, catching up with %d changes of one table", count)
	if tables > 1 {
		name = fmt.Sprintf("PostgreSQL, catching up with %d changes of %d tables", count, tables)
	}
	our, lim, err := b.pair(ctx, name, ours, f.limit)
	if err != nil {
		return nil, err
	}
	for _, table := range f.tables {
		if _, err := f.s.verify(ctx, f.source, table, int64(f.next-1)); err != nil {
			return nil, fmt.Errorf("%s: %w", table, err)
		}
	}
	return []result{
		ratio(name, "pg_recvlogical to /dev/null", count, our, lim, changesWall),
		memoryRow("the same, memory of all processes", peak, fmt.Sprintf("%.0f k changes/s of CPU", float64(count)/median(spent[1:]).Seconds()/1000)),
	}, nil
}

func memoryRow(work string, peak int64, rate string) result {
	return result{work: work, ours: fmt.Sprintf("%d MiB", peak>>20), limit: "-", ratio: "-", target: fmt.Sprintf("at most %d MiB", changesMemory>>20), rate: rate, ok: peak <= changesMemory}
}
