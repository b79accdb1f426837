package extract

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"

	"headwater/connectors/driver"
	"headwater/handlers/landing/digest"
)

// digest sums up the rows of a table as it is now.
func (e *extraction) digest(ctx context.Context) error {
	side := digest.New(*e.r.Digest, nil)
	at := make([]int, len(e.r.Digest.Columns))
	for i, name := range e.r.Digest.Columns {
		at[i] = -1
		for j, c := range e.r.Table.Columns {
			if c.Name == name {
				at[i] = j
			}
		}
	}
	columns := make([]arrow.Array, len(at))
	for batch, err := range e.l.Read(ctx, e.r.Table, driver.Cursor{}) {
		if err != nil {
			return err
		}
		for i, j := range at {
			if columns[i] = nil; j >= 0 {
				columns[i] = batch.Record.Column(j)
			}
		}
		rows := batch.Record.NumRows()
		err := side.Add(columns, int(rows), nil)
		if err == nil {
			err = e.count(ctx, batch, rows)
		}
		batch.Record.Release()
		if err != nil {
			return err
		}
	}
	// A source may take the end of its context for the end of the rows.
	if err := context.Cause(ctx); err != nil {
		return err
	}
	sums := side.Sums()
	return e.send(ctx, Message{Digest: &sums})
}
