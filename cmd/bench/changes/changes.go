// Package changes measures syncs that follow a source's log: how fast they catch up, what
// memory and processor time that takes, and how soon a change is seen in the lake.
package changes

import (
	"context"
	"fmt"
	"time"

	"headwater/cmd/bench/processes"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
)

// What catching up with a log of changes must reach.
const (
	postgresWall  = 1.3       // of the time of receiving the same changes and dropping them
	mariadbWall   = 1.5       // the same, of a reader that costs its server less
	changesMemory = 300 << 20 // bytes, of all processes at once
	changesRows   = 1_000_000 // two thirds inserts, one third updates
	changesTable  = 500_000   // rows that are there before
)

// Postgres measures syncs of mode cdc that catch up with one table and with
// twenty, beside pg_recvlogical, which receives the same changes of a slot like ours.
func Postgres(ctx context.Context, b *rig.Rig) ([]report.Row, error) {
	var all []report.Row
	for _, tables := range []int{1, 20} {
		c, err := changingPostgres(ctx, b, tables)
		if err != nil {
			return all, err
		}
		rows, err := catchUp(ctx, b, c)
		all = append(all, rows...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// changing is a database whose tables change: followed0 and on, of changesTable rows
// together.
type changing interface {
	// name is the product's, and beside what receives its changes and drops them,
	// which may take so many times less than ours.
	name() string
	beside() (what string, most float64)
	// shape says how the changes come, "" for the way that the README describes.
	shape() string
	tables() int
	source() (kind string, config rig.Object)
	// begin is called once the service follows the tables.
	begin(ctx context.Context) error
	// change adds so many pairs of rows to each table from an id on, the first behind
	// those that are there, and updates as many, in transactions of about a thousand
	// changes.
	change(ctx context.Context, next, rounds int) error
	// receive receives the changes since it was called before, and drops them.
	receive(ctx context.Context) (time.Duration, error)
}

// followed is a service that follows a database's tables.
type followed struct {
	changing
	b       *rig.Rig
	s       *rig.Service
	id      string // of the source
	options rig.Object
	each    int // changes to each table at a time
	next    int // id
}

func followedTable(i int) string { return fmt.Sprintf("followed%d", i) }

func follow(ctx context.Context, b *rig.Rig, c changing) (*followed, error) {
	s, err := b.Start(ctx, b.Cache)
	if err != nil {
		return nil, err
	}
	f := &followed{changing: c, b: b, s: s, options: rig.Object{"mode": "cdc"}, each: b.Rows(changesRows) / c.tables(), next: b.Rows(changesTable)/c.tables() + 1}
	kind, config := c.source()
	// A slot has the source's name, and is one of the whole server.
	name := fmt.Sprint(kind, " ", config["database"])
	if f.id, err = s.Connect(ctx, kind, name, config); err != nil {
		return nil, err
	}
	if _, _, err := s.SyncTables(ctx, f.id, f.options); err != nil {
		return nil, err
	}
	return f, c.begin(ctx)
}

// catchUp measures the changes to a database.
func catchUp(ctx context.Context, b *rig.Rig, c changing) ([]report.Row, error) {
	f, err := follow(ctx, b, c)
	if err != nil {
		return nil, err
	}
	defer f.s.Stop()
	return f.catchUp(ctx)
}

func (f *followed) catchUp(ctx context.Context) ([]report.Row, error) {
	var spent []time.Duration
	var peak int64
	ours := func(ctx context.Context) (time.Duration, error) {
		if err := f.change(ctx, f.next, f.each/3); err != nil {
			return 0, err
		}
		f.next += 2 * (f.each / 3)
		before, watch := processes.CPU(f.s.Pid()), processes.WatchMemory(f.s.Pid())
		_, took, err := f.s.SyncTables(ctx, f.id, f.options)
		most, _ := watch()
		spent, peak = append(spent, processes.CPU(f.s.Pid())-before), max(peak, most)
		f.b.Say("%.2f s, %.2f s of CPU, at most %d MiB at once", took.Seconds(), spent[len(spent)-1].Seconds(), most>>20)
		return took, err
	}
	count := f.each / 3 * 3 * f.tables()
	of := "one table"
	if f.tables() > 1 {
		of = fmt.Sprintf("%d tables", f.tables())
	}
	name := fmt.Sprintf("%s, catching up with %d changes of %s%s", f.name(), count, of, f.shape())
	our, lim, err := f.b.Pair(ctx, name, ours, f.receive)
	if err != nil {
		return nil, err
	}
	for i := range f.tables() {
		if _, err := f.s.Verify(ctx, f.id, followedTable(i), int64(f.next-1)); err != nil {
			return nil, fmt.Errorf("%s: %w", followedTable(i), err)
		}
	}
	what, most := f.beside()
	return []report.Row{
		report.Ratio(name, what, count, our, lim, most),
		memoryRow("the same, memory of all processes", peak, fmt.Sprintf("%.0f k changes/s of CPU", float64(count)/rig.Median(spent[1:]).Seconds()/1000)),
	}, nil
}

func memoryRow(work string, peak int64, rate string) report.Row {
	return report.Row{Work: work, Ours: fmt.Sprintf("%d MiB", peak>>20), Limit: "-", Ratio: "-", Target: fmt.Sprintf("at most %d MiB", changesMemory>>20), Rate: rate, OK: peak <= changesMemory}
}
