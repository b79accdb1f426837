package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"headwater/cmd/bench/processes"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
	"headwater/cmd/bench/tpch"
	"headwater/handlers/landing/landingtest"
)

// What a sync of the whole database must reach.
const (
	tpchWall   = 0.75      // of the time of reading it
	tpchRate   = 1_250_000 // rows in a second of CPU time
	tpchMemory = 250 << 20 // bytes, of all processes at once
)

// tpch measures syncs of a database of eight tables, from PostgreSQL to the lake, and
// compares every row of the last one with PostgreSQL.
func (b *bench) tpch(ctx context.Context) ([]report.Row, error) {
	conn, rows, err := b.fillTPCH(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	s, err := b.Start(ctx, b.Cache)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	source, err := b.ConnectPostgres(ctx, s)
	if err != nil {
		return nil, err
	}
	options := rig.Object{"mode": "full_refresh"}
	var names, copies []string
	for _, t := range tpch.Tables() {
		names, copies = append(names, t.Name), append(copies, `\copy (select * from `+t.Name+`) to /dev/null (format binary)`)
	}
	options["tables"] = names

	var last []rig.Landed
	var spent []time.Duration
	var peak, own int64
	ours := func(ctx context.Context) (took time.Duration, err error) {
		before := processes.CPU(s.Pid())
		watch := processes.WatchMemory(s.Pid())
		last, took, err = s.SyncTables(ctx, source, options)
		most, mostOwn := watch()
		spent = append(spent, processes.CPU(s.Pid())-before)
		peak, own = max(peak, most), max(own, mostOwn)
		b.Say("tpch: %.2f s of CPU, at most %d MiB at once, %d MiB without pages of files", spent[len(spent)-1].Seconds(), most>>20, mostOwn>>20)
		return took, err
	}
	limit := func(ctx context.Context) (time.Duration, error) { return b.PsqlRun(ctx, copies...) }
	name := fmt.Sprintf("TPC-H-shaped database of scale %g, 8 tables, %d rows", b.tpchScale, rows)
	our, lim, err := b.Pair(ctx, name, ours, limit)
	if err != nil {
		return nil, err
	}
	if err := b.checkTPCH(ctx, conn, last); err != nil {
		return nil, err
	}
	cpu := rig.Median(spent[1:])
	rate := float64(rows) / cpu.Seconds()
	return []report.Row{
		report.Ratio(name, `\copy (format binary) of one after the other`, int(rows), our, lim, tpchWall),
		{Work: "the same, rows per second of CPU time of all processes", Ours: report.Seconds(cpu), Limit: "-", Ratio: "-", Target: fmt.Sprintf("at least %d krows/s", tpchRate/1000),
			Rate: fmt.Sprintf("%.0f krows/s", rate/1000), OK: rate >= tpchRate},
		{Work: "the same, memory of all processes", Ours: fmt.Sprintf("%d MiB (%d of them not pages of the program)", peak>>20, own>>20), Limit: "-", Ratio: "-",
			Target: fmt.Sprintf("at most %d MiB", tpchMemory>>20), Rate: "-", OK: peak <= tpchMemory},
	}, nil
}

// fillTPCH makes the database and returns how many rows it has. The caller closes the
// connection.
func (b *bench) fillTPCH(ctx context.Context) (conn *pgconn.PgConn, rows int64, err error) {
	if err := b.StartPostgres(ctx); err != nil {
		return nil, 0, err
	}
	p := b.Postgres
	conn, err = pgconn.Connect(ctx, fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", p.User, p.Password, p.Address(), p.Database))
	if err != nil {
		return nil, 0, err
	}
	b.Say("making a TPC-H-shaped database of scale %g in PostgreSQL", b.tpchScale)
	for _, t := range tpch.Tables() {
		n, err := t.Load(ctx, conn, b.tpchScale)
		if err == nil {
			_, err = b.PsqlRun(ctx, "vacuum (freeze, analyze) "+t.Name, "select count(*) from "+t.Name)
		}
		if err != nil {
			return nil, 0, errors.Join(err, conn.Close(ctx))
		}
		rows += n
	}
	return conn, rows, nil
}

// checkTPCH compares what landed with what PostgreSQL has.
func (b *bench) checkTPCH(ctx context.Context, conn *pgconn.PgConn, all []rig.Landed) error {
	b.Say("comparing what landed with the source")
	where := map[string]rig.Landed{}
	for _, l := range all {
		where[l.Name] = l
	}
	var wrong []error
	for _, t := range tpch.Tables() {
		want, err := t.Stored(ctx, conn)
		if err != nil {
			return err
		}
		got, err := t.Landed(landingtest.Rows(ctx, where[t.Name].Location, where[t.Name].SnapshotID))
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		wrong = append(wrong, got.Compare(t, want))
	}
	return errors.Join(wrong...)
}
