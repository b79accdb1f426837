package file

import (
	"context"

	"headwater/connectors/driver"
)

// checkedRows is how many rows of a file are read before it connects, so that a
// folder of many takes no minutes.
const checkedRows = 10_000

// firstRows reads a file's first rows in the types that its columns get: what
// Parquet holds, and what the settings say of a column, is seen by reading alone,
// and what cannot be read is not to connect.
func (s *source) firstRows(ctx context.Context, e entry) error {
	table, err := s.discover(ctx, e)
	if err != nil {
		return err
	}
	in, err := s.open(ctx, e)
	if err != nil {
		return err
	}
	defer in.Close()
	in.known = s.before[e.table]
	leave := func(b driver.Batch) error {
		b.Record.Release()
		return errLeft
	}
	few := *s
	few.limits.BatchRows = min(s.limits.BatchRows, checkedRows)
	switch in.format {
	case "parquet":
		err = few.readParquet(ctx, in, table, leave)
	case "csv", "tsv":
		err = few.readCSV(ctx, in, table, leave)
	default:
		err = few.readJSON(ctx, in, table, leave)
	}
	if err == nil || err == errLeft {
		return nil
	}
	return in.failed(ctx, err)
}
