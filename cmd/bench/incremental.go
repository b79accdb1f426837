package main

import (
	"context"
	"fmt"
	"time"

	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
)

// incremental measures a sync that finds nothing new, beside the one query that
// tells the source so.
func (b *bench) incremental(ctx context.Context) ([]report.Row, error) {
	const most = 50 * time.Millisecond
	want, err := b.FillWide(ctx)
	if err != nil {
		return nil, err
	}
	s, err := b.Serve(ctx)
	if err != nil {
		return nil, err
	}
	source, err := b.ConnectPostgres(ctx, s)
	if err != nil {
		return nil, err
	}
	options := rig.Object{"mode": "incremental", "tables": []string{"wide"}, "cursor_columns": rig.Object{"wide": "id"}}
	if _, _, err := s.Sync(ctx, source, options); err != nil {
		return nil, err
	}
	db, err := b.Postgres.OpenPostgres()
	if err != nil {
		return nil, err
	}
	defer db.Close()
	limit := func(ctx context.Context) (time.Duration, error) {
		began := time.Now()
		rows, err := db.QueryContext(ctx, "select * from wide where id > $1 order by id", want.Rows)
		if err != nil {
			return 0, err
		}
		defer rows.Close()
		for rows.Next() {
			return 0, fmt.Errorf("there is a row behind the last one")
		}
		return time.Since(began), rows.Err()
	}
	name := fmt.Sprintf("incremental, nothing new in %d rows", want.Rows)
	ours, lim, err := b.Pair(ctx, name, s.Syncing(source, options, 0, nil), limit)
	if err != nil {
		return nil, err
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
	return []report.Row{{Work: name, Ours: ms(ours), Limit: ms(lim), Beside: "the query", Ratio: "+" + ms(ours-lim),
		Target: "at most +" + ms(most), Rate: "-", OK: ours-lim <= most}}, nil
}
