package main

import (
	"context"
	"fmt"
	"time"

	"headwater/cmd/bench/report"
)

// incremental measures a sync that finds nothing new, beside the one query that
// tells the source so.
func (b *bench) incremental(ctx context.Context) ([]report.Row, error) {
	const most = 50 * time.Millisecond
	want, err := b.fillWide(ctx)
	if err != nil {
		return nil, err
	}
	s, err := b.serve(ctx)
	if err != nil {
		return nil, err
	}
	source, err := b.connectPostgres(ctx, s)
	if err != nil {
		return nil, err
	}
	options := object{"mode": "incremental", "tables": []string{"wide"}, "cursor_columns": object{"wide": "id"}}
	if _, _, err := s.sync(ctx, source, options); err != nil {
		return nil, err
	}
	db, err := b.postgres.OpenPostgres()
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
	ours, lim, err := b.pair(ctx, name, s.syncing(source, options, 0, nil), limit)
	if err != nil {
		return nil, err
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
	return []report.Row{{Work: name, Ours: ms(ours), Limit: ms(lim), Beside: "the query", Ratio: "+" + ms(ours-lim),
		Target: "at most +" + ms(most), Rate: "-", OK: ours-lim <= most}}, nil
}
