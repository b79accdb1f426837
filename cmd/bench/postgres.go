package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"headwater/cmd/bench/report"
	"headwater/cmd/bench/widetable"
	"headwater/connectors/drivertest/servers"
)

// startPostgres starts the one PostgreSQL of the run.
func (b *bench) startPostgres(ctx context.Context) error {
	if b.postgres != nil {
		return nil
	}
	dir, err := b.folder("postgres")
	if err != nil {
		return err
	}
	b.postgres, err = servers.StartPostgres(ctx, dir, "shared_buffers=2GB", "maintenance_work_mem=256MB", "autovacuum=off", "wal_level=logical", "max_wal_senders=10", "max_replication_slots=10", "max_wal_size=8GB")
	if err != nil {
		return err
	}
	b.onClose(func() { _ = b.postgres.Stop() })
	db, err := b.postgres.OpenPostgres()
	if err != nil {
		return err
	}
	defer db.Close()
	var version string
	if err := db.QueryRowContext(ctx, "SHOW server_version").Scan(&version); err != nil {
		return err
	}
	version, _, _ = strings.Cut(version, " ")
	b.uses("PostgreSQL " + version)
	return nil
}

// psql finds the client that measures the limit.
func psql() (string, error) {
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/psql"); len(found) > 0 {
		return found[len(found)-1], nil
	}
	return exec.LookPath("psql")
}

func (b *bench) psqlEnv() []string {
	return []string{"PGHOST=" + b.postgres.Host, fmt.Sprintf("PGPORT=%d", b.postgres.Port), "PGDATABASE=" + b.postgres.Database,
		"PGUSER=" + b.postgres.User, "PGPASSWORD=" + b.postgres.Password, "PGSSLMODE=disable"}
}

// psqlRun lets psql carry out commands, one after the other, and drops what it
// prints.
func (b *bench) psqlRun(ctx context.Context, commands ...string) (time.Duration, error) {
	client, err := psql()
	if err != nil {
		return 0, err
	}
	args := []string{"-X", "-q", "-v", "ON_ERROR_STOP=1"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	return drain(ctx, b.psqlEnv(), client, args...)
}

// fill makes a table once, freezes it and warms the cache.
func (b *bench) fill(ctx context.Context, table string, statements ...string) error {
	if err := b.startPostgres(ctx); err != nil {
		return err
	}
	if b.loaded[table] {
		return nil
	}
	b.say("loading %s into PostgreSQL", table)
	for _, s := range append(statements, "vacuum (freeze, analyze) "+table, "select count(*) from "+table) {
		if _, err := b.psqlRun(ctx, s); err != nil {
			return fmt.Errorf("load %s: %w", table, err)
		}
	}
	b.loaded[table] = true
	return nil
}

func (b *bench) fillWide(ctx context.Context) (widetable.Sums, error) {
	file, err := b.tabbed()
	if err != nil {
		return widetable.Sums{}, err
	}
	return file.Sums, b.fill(ctx, "wide",
		"create table wide ("+widetable.ColumnsOf(func(c widetable.Column) string { return c.Postgres })+")",
		`\copy wide from '`+file.Path+`'`)
}

// fillNarrow makes a table of five small columns.
func (b *bench) fillNarrow(ctx context.Context, table string, rows int) error {
	return b.fill(ctx, table,
		"create table "+table+" (id bigint primary key, kind int not null, amount numeric(15,2) not null, at timestamptz not null, note text)",
		"insert into "+table+" select i, i%7, (i%100000)*0.01, timestamptz '2024-01-01' + i * interval '1 second', 'note ' || i%1000 from generate_series(1, "+strconv.Itoa(rows)+") i")
}

// serve starts the one service of the run, and connects PostgreSQL on it.
func (b *bench) serve(ctx context.Context) (*service, error) {
	if b.service != nil {
		return b.service, nil
	}
	files := filepath.Join(b.cache, "files")
	if err := os.MkdirAll(files, 0o755); err != nil {
		return nil, err
	}
	s, err := b.start(ctx, files)
	if err != nil {
		return nil, err
	}
	b.service = s
	return s, nil
}

func (b *bench) connectPostgres(ctx context.Context, s *service) (string, error) {
	p := b.postgres
	return s.connect(ctx, "postgresql", "postgres", object{"host": p.Host, "port": p.Port, "database": p.Database,
		"username": p.User, "password": p.Password, "sslmode": "disable"})
}

func (b *bench) postgresWide(ctx context.Context) ([]report.Row, error) {
	want, err := b.fillWide(ctx)
	if err != nil {
		return nil, err
	}
	return b.drained(ctx, "wide", int(want.Rows), len(widetable.Columns), func(l landed) error { return b.check(ctx, l, want) })
}

func (b *bench) postgresAccounts(ctx context.Context) ([]report.Row, error) {
	rows := b.rows(accountRows)
	err := b.fill(ctx, "accounts",
		"create table accounts (aid int primary key, bid int, abalance int, filler char(84))",
		fmt.Sprintf("insert into accounts select i, (i-1)/100000+1, 0, '' from generate_series(1, %d) i", rows))
	if err != nil {
		return nil, err
	}
	return b.drained(ctx, "accounts", rows, 4, nil)
}

// drained measures a table of PostgreSQL over one connection and over several,
// both beside one connection's binary \copy.
func (b *bench) drained(ctx context.Context, table string, rows, columns int, check func(landed) error) ([]report.Row, error) {
	s, err := b.serve(ctx)
	if err != nil {
		return nil, err
	}
	source, err := b.connectPostgres(ctx, s)
	if err != nil {
		return nil, err
	}
	limit := func(ctx context.Context) (time.Duration, error) {
		return b.psqlRun(ctx, `\copy (select * from `+table+`) to /dev/null (format binary)`)
	}
	var all []report.Row
	for _, connections := range []int{1, b.parallel} {
		options, most, over := object{"mode": "full_refresh", "tables": []string{table}}, 1.10, "one connection"
		if connections > 1 {
			most, over = 0.92, fmt.Sprintf("%d connections", connections)
		}
		name := fmt.Sprintf("PostgreSQL %s, %d x %d, %s", table, rows, columns, over)
		switch {
		case s.parallelism:
			options["parallelism"] = connections
		case connections > 1:
			b.say("%s: sync_options.parallelism is not there, left out", name)
			continue
		}
		var last landed
		ours, lim, err := b.pair(ctx, name, s.syncing(source, options, rows, &last), limit)
		if err != nil {
			return all, err
		}
		if check != nil {
			if err := check(last); err != nil {
				return all, err
			}
		}
		all = append(all, report.Ratio(name, `\copy (format binary)`, rows, ours, lim, most))
	}
	return all, nil
}
