package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"headwater/api/iceberg"
	"headwater/api/reads"
	"headwater/bus"
	"headwater/bus/event"
	"headwater/handlers/landing"
	"headwater/projections"
)

// Each package declares the interfaces it uses; the types below adapt others to
// them.

// eventLog is the bus as the read model follows it. It implements
// projections.Replayer.
type eventLog struct{ *bus.Bus }

func (l eventLog) Replay(ctx context.Context, after, last uint64, each func(sequence uint64, e *event.Event, size int, err error) error) error {
	err := l.Bus.Replay(ctx, after, last, each)
	if errors.Is(err, bus.ErrHistoryMissing) {
		return fmt.Errorf("%w: %w", projections.ErrLost, err)
	}
	return err
}

// lakeView is the lake as the API sees it. It implements reads.Lake.
type lakeView struct{ *landing.Lake }

func (l lakeView) Place(ctx context.Context, a event.Address, namespace, table string) (location, metadata string, err error) {
	p, err := l.Lake.Place(ctx, a, namespace, table)
	return p.Location, p.Metadata, notLanded(err)
}

func (l lakeView) Show(ctx context.Context, a event.Address, namespace, table string, limit int, moment reads.Moment) (reads.Shown, error) {
	shown, err := l.Lake.Show(ctx, a, namespace, table, limit, landing.Moment(moment))
	columns, short := make([]reads.ShownColumn, len(shown.Columns)), make([]reads.ShownShort, len(shown.Shortened))
	for i, c := range shown.Columns {
		columns[i] = reads.ShownColumn(c)
	}
	for i, s := range shown.Shortened {
		short[i] = reads.ShownShort(s)
	}
	return reads.Shown{
		SnapshotID: shown.SnapshotID, At: shown.At, Total: shown.Total, Columns: columns, Rows: shown.Rows,
		Shortened: short, Truncated: shown.Truncated, Ended: shown.Ended,
	}, notLanded(err)
}

// catalogView is the lake as the REST catalog sees it. It implements
// iceberg.Lake.
type catalogView struct{ *landing.Lake }

func (l catalogView) Metadata(ctx context.Context, a event.Address, namespace, table string, at time.Time) (iceberg.Table, error) {
	d, err := l.Lake.Metadata(ctx, a, namespace, table, at)
	switch {
	case errors.Is(err, landing.ErrNoTable):
		err = fmt.Errorf("%w: %w", iceberg.ErrNoTable, err)
	case errors.Is(err, landing.ErrExpired):
		err = fmt.Errorf("%w: %w", iceberg.ErrExpired, err)
	}
	return iceberg.Table{Folder: d.Location, Location: d.Place.Metadata, Metadata: d.JSON}, err
}

// notLanded translates the lake's errors into those of the API.
func notLanded(err error) error {
	for from, to := range map[error]error{
		landing.ErrNoTable: reads.ErrNotLanded, landing.ErrNoSnapshot: reads.ErrNotLanded, landing.ErrExpired: reads.ErrExpired, landing.ErrStorage: reads.ErrLake,
	} {
		if errors.Is(err, from) {
			return fmt.Errorf("%w: %w", to, err)
		}
	}
	return err
}
