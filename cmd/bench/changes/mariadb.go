package changes

import (
	"context"
	"database/sql"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"headwater/cmd/bench/processes"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
	"headwater/connectors/drivertest/servers"
)

// MariaDB measures syncs of mode cdc that catch up with one table, beside
// mariadb-binlog, which receives the same log, and the memory that one long transaction
// takes. mariadb-binlog copies events as they are: what it costs goes by their number,
// and hardly by the rows in them. So the changes come in two ways.
func MariaDB(ctx context.Context, b *rig.Rig) ([]report.Row, error) {
	m, err := changingMariaDB(ctx, b)
	if err != nil {
		return nil, err
	}
	f, err := follow(ctx, b, m)
	if err != nil {
		return nil, err
	}
	defer f.s.Stop()
	var all []report.Row
	for _, m.single = range []bool{true, false} {
		rows, err := f.catchUp(ctx)
		all = append(all, rows...)
		if err != nil {
			return all, err
		}
	}
	big := b.Rows(transactionRows)
	if err := m.addAll(ctx, f.next, big); err != nil {
		return all, err
	}
	watch := processes.WatchMemory(f.s.Pid())
	_, _, err = f.s.SyncTables(ctx, f.id, f.options)
	peak, _ := watch()
	return append(all, memoryRow(fmt.Sprintf("MariaDB, one transaction of %d rows, memory of all processes", big), peak, "-")), err
}

// mariadbChanging is a server of its own, with a binary log, and the place up to which
// mariadb-binlog has read that.
type mariadbChanging struct {
	b      *rig.Rig
	server *servers.Server
	db     *sql.DB
	client string
	single bool // a statement changes one row
	file   string
	at     int64
}

func changingMariaDB(ctx context.Context, b *rig.Rig) (*mariadbChanging, error) {
	client, err := exec.LookPath("mariadb-binlog")
	if err != nil {
		return nil, err
	}
	dir, err := b.Folder("mariadb")
	if err != nil {
		return nil, err
	}
	server, err := servers.StartMariaDB(ctx, dir, "--innodb-buffer-pool-size=1G", "--innodb-log-file-size=1G", "--log-bin=log", "--server-id=7", "--binlog-format=ROW")
	if err != nil {
		return nil, err
	}
	b.OnClose(func() { _ = server.Stop() })
	db, err := server.OpenMariaDB()
	if err != nil {
		return nil, err
	}
	b.OnClose(func() { _ = db.Close() })
	m := &mariadbChanging{b: b, server: server, db: db, client: client}
	var version string
	if err := db.QueryRowContext(ctx, "select substring_index(version(), '-', 1)").Scan(&version); err != nil {
		return nil, err
	}
	b.Uses("MariaDB " + version)
	return m, m.run(ctx, "create table "+followedTable(0)+" (id bigint primary key, kind int not null, amount decimal(15,2) not null, at timestamp(6) not null, note text)",
		fmt.Sprintf("insert into %s select seq, seq mod 7, (seq mod 100000)*0.01, '2024-01-01' + interval seq second, concat('note ', seq mod 1000) from seq_1_to_%d", followedTable(0), b.Rows(changesTable)))
}

func (*mariadbChanging) name() string { return "MariaDB" }

func (*mariadbChanging) beside() (string, float64) {
	return "mariadb-binlog to /dev/null", mariadbWall
}

func (m *mariadbChanging) shape() string {
	if m.single {
		return ", a statement each, twelve a transaction"
	}
	return ", hundreds a statement, a thousand a transaction"
}

func (*mariadbChanging) tables() int { return 1 }

func (m *mariadbChanging) source() (string, rig.Object) {
	s := m.server
	return "mariadb", rig.Object{"host": s.Host, "port": s.Port, "database": s.Database, "username": s.User, "password": s.Password, "sslmode": "disable"}
}

// begin notes where the log stands.
func (m *mariadbChanging) begin(ctx context.Context) error {
	var do, ignore string
	return m.db.QueryRowContext(ctx, "show master status").Scan(&m.file, &m.at, &do, &ignore)
}

// run carries out statements, those that are given together on one connection.
func (m *mariadbChanging) run(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := m.db.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (m *mariadbChanging) change(ctx context.Context, next, rounds int) error {
	if m.single {
		return m.run(ctx, fmt.Sprintf(`begin not atomic
declare done int default 0;
while done < %[2]d do
  start transaction;
  for i in done .. least(done + 4, %[2]d) - 1 do
    insert into %[1]s values (%[3]d + 2*i, i mod 7, i*0.01, now(6), concat('new ', i));
    insert into %[1]s values (%[3]d + 2*i + 1, i mod 7, i*0.01, now(6), concat('new ', i));
    update %[1]s set amount = amount + 1, note = concat('changed ', id) where id = 1 + (i * 7919) mod %[4]d;
  end for;
  commit;
  set done = done + 4;
end while;
end`, followedTable(0), rounds, next, next-1))
	}
	var body strings.Builder
	for done := 0; done < rounds; {
		n := min(334, rounds-done)
		fmt.Fprintf(&body, `begin; insert into %[1]s select %[2]d + seq, seq mod 7, seq*0.01, now(6), concat('new ', seq) from seq_0_to_%[3]d;
update (select 1 + ((%[4]d + seq) * 7919) mod %[5]d as it from seq_0_to_%[6]d) some straight_join %[1]s on id = some.it set amount = amount + 1, note = concat('changed ', id); commit;
`, followedTable(0), next+2*done, 2*n-1, done, next-1, n-1)
		done += n
		if body.Len() >= 64<<10 || done == rounds {
			if err := m.run(ctx, body.String()); err != nil {
				return err
			}
			body.Reset()
		}
	}
	return nil
}

// addAll adds rows in one transaction.
func (m *mariadbChanging) addAll(ctx context.Context, next, rows int) error {
	return m.run(ctx, fmt.Sprintf("insert into %s select %d + seq, seq mod 7, seq*0.01, now(6), concat('one ', seq) from seq_0_to_%d", followedTable(0), next, rows-1))
}

// receive reads the log to its end, from where it stood the last time.
func (m *mariadbChanging) receive(ctx context.Context) (time.Duration, error) {
	s := m.server
	took, err := rig.Drain(ctx, nil, m.client, "--no-defaults", "--read-from-remote-server", "--to-last-log", "--host="+s.Host, fmt.Sprintf("--port=%d", s.Port), "--user="+s.User, "--password="+s.Password,
		fmt.Sprintf("--start-position=%d", m.at), m.file)
	if err != nil {
		return 0, err
	}
	return took, m.begin(ctx)
}
