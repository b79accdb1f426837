package extract

import (
	"context"
	"sync"

	"headwater/connectors/driver"
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
	if err := e.send(ctx, Message{Plan: planOf(scan.Kept(), unread)}); err != nil {
		return err
	}
	work := make(chan driver.Range, len(unread))
	for _, r := range unread {
		work <- r
	}
	close(work)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for range min(e.r.Parallelism, len(unread)) {
		wg.Go(func() {
			if err := e.some(ctx, scan, work); err != nil {
				stop(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
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
			before.wait()
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
	enc, most, rows := e.encode(), e.max, int64(0)
	for batch, err := range scan.Read(ctx, r) {
		if err == nil {
			rows += batch.Record.NumRows()
			err = e.take(ctx, enc, &most, batch)
		}
		if err != nil {
			enc.Finish()
			return nil, err
		}
	}
	if err := context.Cause(ctx); err != nil {
		enc.Finish()
		return nil, err
	}
	r.Rows = rows
	return &rangeEnding{end(enc), Range{Range: r, Largest: most.cursor()}}, nil
}

func (e *extraction) take(ctx context.Context, enc *parts.Encoder, most *maximum, b driver.Batch) error {
	defer b.Record.Release()
	if err := e.count(ctx, b); err != nil {
		return err
	}
	if err := most.see(b.Record); err != nil || b.Record.NumRows() == 0 {
		return err
	}
	b.Record.Retain()
	return enc.Put(ctx, b.Record)
}
