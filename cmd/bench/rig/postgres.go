package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"headwater/cmd/bench/widetable"
	"headwater/connectors/drivertest/servers"
)

// StartPostgres starts the one PostgreSQL of the run.
func (b *Rig) StartPostgres(ctx context.Context) error {
	if b.Postgres != nil {
		return nil
	}
	dir, err := b.Folder("postgres")
	if err != nil {
		return err
	}
	b.Postgres, err = servers.StartPostgres(ctx, dir, "shared_buffers=2GB", "maintenance_work_mem=256MB", "autovacuum=off", "wal_level=logical", "max_wal_senders=10", "max_replication_slots=10", "max_wal_size=8GB")
	if err != nil {
		return err
	}
	b.OnClose(func() { _ = b.Postgres.Stop() })
	db, err := b.Postgres.OpenPostgres()
	if err != nil {
		return err
	}
	defer db.Close()
	var version string
	if err := db.QueryRowContext(ctx, "SHOW server_version").Scan(&version); err != nil {
		return err
	}
	version, _, _ = strings.Cut(version, " ")
	b.Uses("PostgreSQL " + version)
	return nil
}

// Psql finds the client that measures the limit.
func Psql() (string, error) {
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/psql"); len(found) > 0 {
		return found[len(found)-1], nil
	}
	return exec.LookPath("psql")
}

// PsqlEnv is the environment of PostgreSQL's clients, for a database of the run's server.
func (b *Rig) PsqlEnv(database string) []string {
	return []string{"PGHOST=" + b.Postgres.Host, fmt.Sprintf("PGPORT=%d", b.Postgres.Port), "PGDATABASE=" + database,
		"PGUSER=" + b.Postgres.User, "PGPASSWORD=" + b.Postgres.Password, "PGSSLMODE=disable"}
}

// PsqlRun lets psql carry out commands in the server's first database, one after the
// other, and drops what it prints. It returns how long that took.
func (b *Rig) PsqlRun(ctx context.Context, commands ...string) (time.Duration, error) {
	return b.PsqlIn(ctx, b.Postgres.Database, commands...)
}

// PsqlIn is PsqlRun in another database.
func (b *Rig) PsqlIn(ctx context.Context, database string, commands ...string) (time.Duration, error) {
	client, err := Psql()
	if err != nil {
		return 0, err
	}
	args := []string{"-X", "-q", "-v", "ON_ERROR_STOP=1"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	return Drain(ctx, b.PsqlEnv(database), client, args...)
}

// PostgresConfig is the connection_config of a source in a database of the run's server.
func (b *Rig) PostgresConfig(database string) Object {
	p := b.Postgres
	return Object{"host": p.Host, "port": p.Port, "database": database, "username": p.User, "password": p.Password, "sslmode": "disable"}
}

// DialPostgres connects to a database of the run's server. The caller closes the
// connection.
func (b *Rig) DialPostgres(ctx context.Context, database string) (*pgconn.PgConn, error) {
	p := b.Postgres
	return pgconn.Connect(ctx, fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", p.User, p.Password, p.Address(), database))
}

// Fill makes a table of PostgreSQL once, freezes it and warms the cache.
func (b *Rig) Fill(ctx context.Context, table string, statements ...string) error {
	if err := b.StartPostgres(ctx); err != nil {
		return err
	}
	if b.loaded[table] {
		return nil
	}
	b.Say("loading %s into PostgreSQL", table)
	for _, s := range append(statements, "vacuum (freeze, analyze) "+table, "select count(*) from "+table) {
		if _, err := b.PsqlRun(ctx, s); err != nil {
			return fmt.Errorf("load %s: %w", table, err)
		}
	}
	b.loaded[table] = true
	return nil
}

// FillWide makes the wide table in PostgreSQL, and returns its sums.
func (b *Rig) FillWide(ctx context.Context) (widetable.Sums, error) {
	file, err := b.Tabbed()
	if err != nil {
		return widetable.Sums{}, err
	}
	return file.Sums, b.Fill(ctx, "wide",
		"create table wide ("+widetable.ColumnsOf(func(c widetable.Column) string { return c.Postgres })+")",
		`\copy wide from '`+file.Path+`'`)
}

// FillNarrow makes a table of five small columns.
func (b *Rig) FillNarrow(ctx context.Context, table string, rows int) error {
	return b.Fill(ctx, table,
		"create table "+table+" (id bigint primary key, kind int not null, amount numeric(15,2) not null, at timestamptz not null, note text)",
		"insert into "+table+" select i, i%7, (i%100000)*0.01, timestamptz '2024-01-01' + i * interval '1 second', 'note ' || i%1000 from generate_series(1, "+strconv.Itoa(rows)+") i")
}

// Serve starts the one service of the run, whose file sources lie in the cache.
func (b *Rig) Serve(ctx context.Context) (*Service, error) {
	if b.service != nil {
		return b.service, nil
	}
	files := filepath.Join(b.Cache, "files")
	if err := os.MkdirAll(files, 0o755); err != nil {
		return nil, err
	}
	s, err := b.Start(ctx, files)
	if err != nil {
		return nil, err
	}
	b.service = s
	return s, nil
}

// ConnectPostgres connects the server's first database on a service, and returns the
// source's id.
func (b *Rig) ConnectPostgres(ctx context.Context, s *Service) (string, error) {
	return s.Connect(ctx, "postgresql", "postgres", b.PostgresConfig(b.Postgres.Database))
}
