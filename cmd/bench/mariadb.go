package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
	"headwater/cmd/bench/widetable"
	"headwater/connectors/drivertest/servers"
)

func (b *bench) mariadbWide(ctx context.Context) ([]report.Row, error) {
	client, err := exec.LookPath("mariadb")
	if err != nil {
		return nil, err
	}
	file, err := b.Tabbed()
	if err != nil {
		return nil, err
	}
	dir, err := b.Folder("mariadb")
	if err != nil {
		return nil, err
	}
	server, err := servers.StartMariaDB(ctx, dir, "--innodb-buffer-pool-size=2G", "--local-infile=1")
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	execute := func(ctx context.Context, statement string) (time.Duration, error) {
		return rig.Drain(ctx, []string{"MYSQL_PWD=" + server.Password}, client, "--no-defaults", "--local-infile=1", "--quick", "-B", "-N",
			"-h", server.Host, "-P", strconv.Itoa(server.Port), "-u", server.User, server.Database, "-e", statement)
	}
	b.Say("loading wide into MariaDB")
	for _, s := range []string{
		"create table wide (" + widetable.ColumnsOf(func(c widetable.Column) string { return c.MariaDB }) + ") engine=InnoDB default charset=utf8mb4",
		"set time_zone='+00:00'; load data local infile '" + file.Path + "' into table wide character set utf8mb4",
		"analyze table wide; select count(*) from wide",
	} {
		if _, err := execute(ctx, s); err != nil {
			return nil, fmt.Errorf("load wide: %w", err)
		}
	}
	db, err := server.OpenMariaDB()
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var version string
	if err := db.QueryRowContext(ctx, "select substring_index(version(), '-', 1)").Scan(&version); err != nil {
		return nil, err
	}
	b.Uses("MariaDB " + version)

	s, err := b.Serve(ctx)
	if err != nil {
		return nil, err
	}
	source, err := s.Connect(ctx, "mariadb", "mariadb", rig.Object{"host": server.Host, "port": server.Port, "database": server.Database,
		"username": server.User, "password": server.Password, "sslmode": "disable"})
	if err != nil {
		return nil, err
	}
	rows := int(file.Sums.Rows)
	name := fmt.Sprintf("MariaDB wide, %d x %d", rows, len(widetable.Columns))
	var last rig.Landed
	ours, limit, err := b.Pair(ctx, name,
		s.Syncing(source, rig.Object{"mode": "full_refresh", "tables": []string{"wide"}}, rows, &last),
		func(ctx context.Context) (time.Duration, error) { return execute(ctx, "select * from wide") })
	if err != nil {
		return nil, err
	}
	return []report.Row{report.Ratio(name, "mariadb --quick", rows, ours, limit, 1.20)}, b.Check(ctx, last, file.Sums)
}
