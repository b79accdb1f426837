package main

import (
	"context"
	"fmt"
	"time"

	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
	"headwater/cmd/bench/widetable"
)

func (b *bench) postgresWide(ctx context.Context) ([]report.Row, error) {
	want, err := b.FillWide(ctx)
	if err != nil {
		return nil, err
	}
	return b.drained(ctx, "wide", int(want.Rows), len(widetable.Columns), func(l rig.Landed) error { return b.Check(ctx, l, want) })
}

func (b *bench) postgresAccounts(ctx context.Context) ([]report.Row, error) {
	rows := b.Rows(accountRows)
	err := b.Fill(ctx, "accounts",
		"create table accounts (aid int primary key, bid int, abalance int, filler char(84))",
		fmt.Sprintf("insert into accounts select i, (i-1)/100000+1, 0, '' from generate_series(1, %d) i", rows))
	if err != nil {
		return nil, err
	}
	return b.drained(ctx, "accounts", rows, 4, nil)
}

// drained measures a table of PostgreSQL over one connection and over several,
// both beside one connection's binary \copy.
func (b *bench) drained(ctx context.Context, table string, rows, columns int, check func(rig.Landed) error) ([]report.Row, error) {
	s, err := b.Serve(ctx)
	if err != nil {
		return nil, err
	}
	source, err := b.ConnectPostgres(ctx, s)
	if err != nil {
		return nil, err
	}
	limit := func(ctx context.Context) (time.Duration, error) {
		return b.PsqlRun(ctx, `\copy (select * from `+table+`) to /dev/null (format binary)`)
	}
	var all []report.Row
	for _, connections := range []int{1, b.parallel} {
		options, most, over := rig.Object{"mode": "full_refresh", "tables": []string{table}}, 1.10, "one connection"
		if connections > 1 {
			most, over = 0.92, fmt.Sprintf("%d connections", connections)
		}
		name := fmt.Sprintf("PostgreSQL %s, %d x %d, %s", table, rows, columns, over)
		switch {
		case s.Parallelism:
			options["parallelism"] = connections
		case connections > 1:
			b.Say("%s: sync_options.Parallelism is not there, left out", name)
			continue
		}
		var last rig.Landed
		ours, lim, err := b.Pair(ctx, name, s.Syncing(source, options, rows, &last), limit)
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
