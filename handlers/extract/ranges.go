package extract

import (
	"context"

	"headwater/connectors/driver"
	"headwater/handlers/landing/border"
	"headwater/handlers/landing/parts"
)

// ranges reads the unread ranges of a scan, several at once, and closes it.
func (e *extraction) ranges(ctx context.Context, scan driver.Scan) error {
	defer func() {
		if err := scan.Close(); err != nil {
			e.l.log.Debug("close a scan", "table", e.r.Table.String(), "error", err)
		}
	}()
	unread := scan.Unread()
	plan := planOf(scan.Kept(), unread)
	moments, _ := scan.(driver.Moments)
	if moments != nil && e.r.Largest != "" {
		start := moments.Start(e.r.Largest)
		plan.Start, e.start = &start, start.Value
		if _, err := e.track(nil); err != nil {
			return err
		}
	}
	if err := e.send(ctx, Message{Plan: plan}); err != nil {
		return err
	}
	work := make(chan driver.Range, len(unread))
	for _, r := range unread {
		work <- r
	}
	close(work)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	e.l.each(ctx, min(e.r.Parallelism, len(unread)), e.r.Narrow, func() {
		if err := e.some(ctx, scan, work); err != nil {
			stop(err)
		}
	})
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if moments != nil {
		e.told.note(moments.Notes())
	}
	return e.send(ctx, Message{Checkpoint: &Checkpoint{Final: true}})
}

func planOf(kept, unread []driver.Range) *Plan {
	p := &Plan{Kept: kept, Unread: len(unread)}
	for _, r := range unread {
		if r.Rows < 0 {
			p.Rows = -1
			return p
		}
		p.Rows += r.Rows
	}
	return p
}

// rangeEnding is a range that is read, but perhaps not durable yet.
type rangeEnding struct {
	*ending
	done Range
}

// some reads one range after another. The last rows of one become durable while
// the next is read.
func (e *extraction) some(ctx context.Context, scan driver.Scan, work <-chan driver.Range) error {
	var before *rangeEnding
	defer func() {
		if before != nil {
			_, _ = before.wait()
		}
	}()
	for r := range work {
		this, err := e.one(ctx, scan, r)
		if err != nil {
			return err
		}
		err = e.tell(ctx, before)
		if before = this; err != nil {
			return err
		}
	}
	return e.tell(ctx, before)
}

// tell waits for a range, if any, and tells of it.
func (e *extraction) tell(ctx context.Context, r *rangeEnding) error {
	if r == nil {
		return nil
	}
	made, err := r.wait()
	if err != nil {
		return err
	}
	r.done.Parts = made
	return e.send(ctx, Message{Range: &r.done})
}

// one reads one range to its end.
func (e *extraction) one(ctx context.Context, scan driver.Scan, r driver.Range) (*rangeEnding, error) {
	seen, err := e.track(nil)
	if err != nil {
		return nil, err
	}
	enc, rows := e.encode(), int64(0)
	for batch, err := range scan.Read(ctx, r) {
		if err == nil {
			rows += batch.Record.NumRows()
			err = e.take(ctx, enc, seen, batch)
		}
		if err != nil {
			_, _ = enc.Finish()
			return nil, err
		}
	}
	if err := context.Cause(ctx); err != nil {
		_, _ = enc.Finish()
		return nil, err
	}
	r.Rows = rows
	done := Range{Range: r}
	if seen != nil {
		done.Border = seen.Border()
		if at := seen.Reached(); at != nil {
			done.Largest = &driver.Cursor{Column: e.r.Largest, Value: at}
		}
	}
	return &rangeEnding{end(enc), done}, nil
}

// take hands a batch of a range to its encoder.
func (e *extraction) take(ctx context.Context, enc *parts.Encoder, seen *border.Tracker, b driver.Batch) error {
	defer b.Record.Release()
	if err := e.count(ctx, b, b.Record.NumRows()); err != nil || b.Record.NumRows() == 0 {
		return err
	}
	if seen != nil {
		seen.See(b.Record)
	}
	b.Record.Retain()
	return enc.Put(ctx, b.Record)
}
