package file

import (
	"context"

	"headwater/connectors/driver"
	"headwater/connectors/formats"
	"headwater/connectors/formats/input"
	"headwater/connectors/records"
)

// checkedRows is how many rows of a file are read before it connects, so that a
// folder of many takes no minutes.
const checkedRows = 10_000

// firstRows reads a file's first rows in the types that its columns get: what
// Parquet holds, and what the settings say of a column, is seen by reading alone,
// and what cannot be read is not to connect.
func (s *source) firstRows(ctx context.Context, e entry) error {
	table, _, err := s.shape(ctx, e, s.knownOf(e.table))
	if err != nil {
		return err
	}
	if err := records.Retype(table.Columns, s.settings.ColumnTypes); err != nil {
		return err
	}
	table.Name = e.table
	return s.firstOf(ctx, e, table)
}

// firstOf reads the first rows of a table.
func (s *source) firstOf(ctx context.Context, e entry, table driver.Table) error {
	in, err := s.open(ctx, e)
	if err != nil {
		return err
	}
	defer in.Close()
	in.Known, in.Found = &input.Known{Names: namesOf(table.Columns)}, s.known[table.Name]
	leave := func(b driver.Batch) error {
		b.Record.Release()
		return input.ErrStopped
	}
	in.Limits.BatchRows = min(s.limits.BatchRows, checkedRows)
	err = formats.Read(ctx, in.Input, table, leave)
	if err == nil || err == input.ErrStopped {
		return nil
	}
	return in.Failed(err)
}
