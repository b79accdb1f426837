package changes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"headwater/cmd/bench/rig"
)

// capturedName is the table of a captured database.
const capturedName = "captured"

// captured is a service of its own and a database of its own, of whose one table the
// changes land.
type captured struct {
	b        *rig.Rig
	s        *rig.Service
	database string
	source   string
	rows     int // that the table has, with the ids from 1 on
}

// capture makes a table of so many rows, and a service to which its database is
// connected. Nothing has landed yet. The caller closes it.
func capture(ctx context.Context, b *rig.Rig, database string, rows int) (*captured, error) {
	if err := b.StartPostgres(ctx); err != nil {
		return nil, err
	}
	b.Say("making a table of %d rows", rows)
	if _, err := b.PsqlRun(ctx, "create database "+database); err != nil {
		return nil, err
	}
	c := &captured{b: b, database: database, rows: rows}
	b.OnClose(c.close)
	err := c.run(ctx,
		// What the server keeps of its log to write it again would be most of the disk.
		"alter system set max_wal_size = '1GB'", "select pg_reload_conf()",
		"create table "+capturedName+" (id bigint, kind int not null, amount numeric(15,2) not null, at timestamptz not null, note text)",
		fmt.Sprintf("insert into %s select i, i%%7, (i%%100000)*0.01, timestamptz '2024-01-01' + i * interval '1 second', 'note ' || i%%1000 from generate_series(1, %d) i", capturedName, rows),
		"checkpoint", "alter table "+capturedName+" add primary key (id)", "checkpoint", "alter system reset max_wal_size", "select pg_reload_conf()")
	if err != nil {
		return nil, err
	}
	if c.s, err = b.Start(ctx, b.Cache); err != nil {
		return nil, err
	}
	// A source's id, and the name of its slot on the one server, follow from its name.
	c.source, err = c.s.Connect(ctx, "postgresql", database, b.PostgresConfig(database))
	return c, err
}

// sync catches up, or reads the table whole the first time.
func (c *captured) sync(ctx context.Context) (time.Duration, error) {
	_, took, err := c.s.SyncTables(ctx, c.source, rig.Object{"mode": "cdc"})
	return took, err
}

// pid is that of the service.
func (c *captured) pid() int { return c.s.Pid() }

// run lets psql carry out commands in the database.
func (c *captured) run(ctx context.Context, commands ...string) error {
	_, err := c.b.PsqlIn(ctx, c.database, commands...)
	return err
}

// dial connects to the database.
func (c *captured) dial(ctx context.Context) (*pgconn.PgConn, error) {
	return c.b.DialPostgres(ctx, c.database)
}

// change makes so many changes, two inserts and an update of a row anywhere in the
// table at a time, in transactions of about a thousand.
func (c *captured) change(ctx context.Context, changes int) error {
	rounds := changes / 3
	err := c.run(ctx, fmt.Sprintf(`do $$ declare done int := 0; n int; begin
while done < %[1]d loop
  n := least(334, %[1]d - done);
  insert into %[2]s select %[3]d + 2*done + i, i%%7, i*0.01, now(), 'new ' || i from generate_series(0, 2*n-1) i;
  update %[2]s set amount = amount + 1, note = 'changed ' || id where id in (select 1 + ((%[3]d + done + i) * 15485863::bigint) %% %[4]d from generate_series(0, n-1) i);
  done := done + n; commit;
end loop; end $$`, rounds, capturedName, c.rows+1, c.rows), "checkpoint")
	c.rows += 2 * rounds
	return err
}

// equal compares every row with what landed.
func (c *captured) equal(ctx context.Context) error {
	_, err := c.s.Verify(ctx, c.source, capturedName, int64(c.rows))
	return err
}

// close ends the service and drops the database with the place in its log, so that
// neither takes the disk of the works that follow. It is safe to call twice.
func (c *captured) close() {
	if c.database == "" {
		return
	}
	if c.s != nil {
		c.s.Stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := errors.New("not tried")
	for err != nil && ctx.Err() == nil { // the server may take a moment to see that the reader is gone
		_, err = c.b.PsqlRun(ctx, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = '"+c.database+"'", "drop database "+c.database+" with (force)")
		if err != nil {
			time.Sleep(100 * time.Millisecond)
		}
	}
	if err != nil {
		c.b.Say("the database %s stays until the server ends: %s", c.database, strings.TrimSpace(err.Error()))
	}
	c.database = ""
}
