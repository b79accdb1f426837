package changes

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"headwater/cmd/bench/rig"
)

// postgresChanging is a database of the run's server, and a slot beside the
// service's.
type postgresChanging struct {
	b        *rig.Rig
	database string
	names    []string
}

func changingPostgres(ctx context.Context, b *rig.Rig, tables int) (changing, error) {
	if err := b.StartPostgres(ctx); err != nil {
		return nil, err
	}
	p := &postgresChanging{b: b, database: fmt.Sprintf("changes%d", tables)}
	if _, err := b.PsqlRun(ctx, "create database "+p.database); err != nil {
		return nil, err
	}
	var making []string
	for i := range tables {
		name := followedTable(i)
		p.names = append(p.names, name)
		making = append(making,
			"create table "+name+" (id bigint primary key, kind int not null, amount numeric(15,2) not null, at timestamptz not null, note text)",
			fmt.Sprintf("insert into %s select i, i%%7, (i%%100000)*0.01, timestamptz '2024-01-01' + i * interval '1 second', 'note ' || i%%1000 from generate_series(1, %d) i", name, b.Rows(changesTable)/tables))
	}
	return p, p.run(ctx, append(making, "create publication beside for table "+strings.Join(p.names, ", "))...)
}

func (*postgresChanging) name() string { return "PostgreSQL" }

func (*postgresChanging) beside() (string, float64) {
	return "pg_recvlogical to /dev/null", postgresWall
}

func (*postgresChanging) shape() string { return "" }

func (p *postgresChanging) tables() int { return len(p.names) }

func (p *postgresChanging) source() (string, rig.Object) {
	return "postgresql", p.b.PostgresConfig(p.database)
}

func (p *postgresChanging) begin(ctx context.Context) error {
	return p.run(ctx, "select pg_create_logical_replication_slot('"+p.slot()+"', 'pgoutput')")
}

// slot is the one that the limit receives.
func (p *postgresChanging) slot() string { return "beside_" + p.database }

// run lets psql carry out commands in the database.
func (p *postgresChanging) run(ctx context.Context, commands ...string) error {
	_, err := p.b.PsqlIn(ctx, p.database, commands...)
	return err
}

func (p *postgresChanging) change(ctx context.Context, next, rounds int) error {
	var body strings.Builder
	for _, table := range p.names {
		fmt.Fprintf(&body, `insert into %[1]s select %[2]d + 2*done + i, i%%7, i*0.01, now(), 'new ' || i from generate_series(0, 2*n-1) i;
  update %[1]s set amount = amount + 1, note = 'changed ' || id where id in (select 1 + ((done + i) * 7919::bigint) %% %[3]d from generate_series(0, n-1) i);
  `, table, next, next-1)
	}
	return p.run(ctx, fmt.Sprintf(`do $$ declare done int := 0; n int; begin
while done < %[1]d loop
  n := least(334, %[1]d - done);
  %[2]s
  done := done + n; commit;
end loop; end $$`, rounds, body.String()), "checkpoint")
}

func (p *postgresChanging) receive(ctx context.Context) (time.Duration, error) {
	client, err := rig.Psql()
	if err != nil {
		return 0, err
	}
	end, err := p.end(ctx)
	if err != nil {
		return 0, err
	}
	return rig.Drain(ctx, p.b.PsqlEnv(p.database), filepath.Join(filepath.Dir(client), "pg_recvlogical"), "--dbname="+p.database, "--slot="+p.slot(), "--start", "--no-loop", "--endpos="+end,
		"-o", "proto_version=1", "-o", "publication_names=beside", "-o", "binary=true", "-f", "/dev/null")
}

// end returns where the server's log ends now.
func (p *postgresChanging) end(ctx context.Context) (string, error) {
	conn, err := p.b.DialPostgres(ctx, p.database)
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
