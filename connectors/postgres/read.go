package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/session"
)

// Read yields the table's rows in one snapshot.
func (s *source) Read(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		more := true
		give := func(b driver.Batch) bool {
			more = yield(b, nil)
			return more
		}
		if err := s.read(ctx, t, from, give); err != nil && more {
			yield(driver.Batch{}, err)
		}
	}
}

// unreplaced locks a table, then tells whether one of its heaps was replaced after the
// snapshot was taken. TRUNCATE, and ALTER of a column's type, do that, and an older
// snapshot then finds the table empty. It also tells if another table has taken the name.
const unreplaced = `SELECT 1 FROM %[1]s LIMIT 0; ` + catalog.ReachedFrom + `
SELECT coalesce(bool_or(c.relfilenode <> pg_relation_filenode(c.oid)), false) OR to_regclass(%[4]s)::oid IS DISTINCT FROM (SELECT min(oid) FROM named)
FROM tree JOIN pg_class c ON c.oid = tree.oid WHERE c.relkind IN ('r', 'm') AND c.relfilenode <> 0;`

// read takes two round trips: one for the transaction and the catalog, one for the rows
// and the end of the transaction. A read from a cursor may take more.
func (s *source) read(ctx context.Context, t driver.Table, from driver.Cursor, give func(driver.Batch) bool) error {
	c, p, err := s.begin(ctx, t, from)
	if err != nil {
		return err
	}
	defer func() { s.Keep(ctx, c) }()
	r, err := p.resume(ctx, c, from)
	if err != nil {
		return err
	}
	query, err := p.selection(from, r)
	if err != nil {
		return err
	}
	d := s.decoder(p, from.Column)
	if from.Column != "" {
		d.From, d.Ceiling, d.Position = from.Value, p.ceiling(from.Column), p.moment.Position(p.server)
	}
	if note := p.unseen(cmp.Or(from.Column, p.by)); note != "" {
		r.notes = append(r.notes, note)
	}
	d.Notes, d.ExpectsRow = append(d.Notes, r.notes...), r.border
	return copyTable(ctx, c, d, p, query, give)
}

// decoder returns the decoder for rows of the plan's table. cursor is the column by
// which they are sorted, "" for none.
func (s *source) decoder(p *plan, cursor string) *binarycopy.Decoder {
	hows := make([]binarycopy.Decoding, len(p.columns))
	for i, c := range p.columns {
		hows[i] = c.How
	}
	d := binarycopy.NewDecoder(p.table, hows, cursor, s.Limits, nil)
	d.ASCII, d.Nulls = p.server.ASCII, s.Settings.Nulls()
	d.FirstRow = s.Settings.FirstRow()
	d.Charset, _ = s.Settings.Charset() // Validate has checked it
	d.NameRows(p.table.PrimaryKey)
	for _, note := range p.row.Notes {
		if p.row.Filtered {
			d.Notes = append(d.Notes, note)
		}
	}
	return d
}

// copyTable reads what the query selects from the table, and ends the transaction.
func copyTable(ctx context.Context, c *session.Session, d *binarycopy.Decoder, p *plan, query string, give func(driver.Batch) bool) error {
	t := p.table
	return stream(ctx, c, d, fmt.Sprintf(unreplaced, session.Relation(t), session.Literal(t.Namespace), session.Literal(t.Name), session.Literal(session.Relation(t)))+p.server.BeforeRows(p.row.RelKind)+"COPY ("+query+") TO STDOUT (FORMAT binary); COMMIT", give)
}

// stream runs a COPY and gives its rows to the consumer, who works on one batch while
// the next is decoded. The decoder waits for the consumer.
func stream(ctx context.Context, c *session.Session, d *binarycopy.Decoder, sql string, give func(driver.Batch) bool) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan driver.Batch, 1)
	stopped := driver.E(driver.ErrTimeout, context.Canceled, "stopped")
	d.Emit = func(b driver.Batch) error {
		select {
		case batches <- b:
			return nil
		case <-inner.Done():
			b.Record.Release()
			return stopped
		}
	}
	result := make(chan error, 1)
	go func() {
		defer close(batches)
		result <- decode(inner, c, d, sql)
	}()
	deliver(batches, give, cancel, d)
	err := <-result
	if ctx.Err() != nil {
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "table %s: stopped", d.Table)
	}
	return err
}

// heartbeat is how often a batch without rows says that a query is still running.
const heartbeat = 20 * time.Second

// deliver gives batches to the consumer. After it wants no more it releases the others.
func deliver(batches <-chan driver.Batch, give func(driver.Batch) bool, cancel func(), d *binarycopy.Decoder) {
	more := true
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case b, ok := <-batches:
			switch {
			case !ok:
				return
			case !more:
				b.Record.Release()
			default:
				more = give(b)
			}
			beat.Reset(heartbeat)
		case <-beat.C:
			if more {
				d.SentEmpty.Store(true)
				more = give(d.EmptyBatch())
			}
		}
		if !more {
			cancel()
		}
	}
}

// decode runs a COPY through the decoder.
func decode(ctx context.Context, c *session.Session, d *binarycopy.Decoder, sql string) (err error) {
	defer func() {
		if recover() != nil {
			c.Abort()
			err = d.Malformed()
		}
	}()
	d.Context = ctx
	defer d.Release()
	if err := c.CopyOut(ctx, sql, d.Limits.MaxRowBytes, d.FirstRow, d); err != nil {
		var long *session.LongRow
		switch {
		case errors.Is(err, binarycopy.ErrMalformed):
			return d.Malformed()
		case errors.As(err, &long):
			d.Row++
			return d.TooLong(long.Size, long.Begin)
		case errors.Is(err, os.ErrDeadlineExceeded) && d.Row == 0:
			// A retry would wait as long again.
			return driver.E(driver.ErrLimit, nil, "table %s: no row came within %s: raise connection_config.first_row_seconds, or give the query less to do", d.Table, d.FirstRow)
		}
		return session.Classify(ctx, err, "table "+d.Table.String())
	}
	if err := d.Finish(); err != nil || !d.ExpectsRow || d.SawValue {
		return err
	}
	return driver.E(driver.ErrReplaced, nil, "%s shows no row at the cursor of the last sync nor behind it: its rows are others, or its last ones were deleted", d.Table)
}
