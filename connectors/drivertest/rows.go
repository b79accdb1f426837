package drivertest

import (
	"context"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"

	"headwater/connectors/driver"
)

// Rows returns the values of all rows of a read as Text gives them, in their order, and
// the error that ended it, with the rows before that.
func Rows(batches iter.Seq2[driver.Batch, error]) (rows [][]string, err error) {
	for b, err := range batches {
		if err != nil {
			return rows, err
		}
		for i := range int(b.Record.NumRows()) {
			var row []string
			for _, column := range b.Record.Columns() {
				row = append(row, Text(column, i))
			}
			rows = append(rows, row)
		}
		b.Record.Release()
	}
	return rows, nil
}

// RangeRows is Rows of all ranges of a table, one after the other.
func RangeRows(ctx context.Context, s driver.Scanner, table driver.Table) (rows [][]string, err error) {
	sc, err := s.Scan(ctx, table, nil)
	if err != nil {
		return nil, err
	}
	defer sc.Close()
	for _, r := range sc.Unread() {
		more, err := Rows(sc.Read(ctx, r))
		if rows = append(rows, more...); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// BytesOf returns how many bytes the buffers of a batch were made for.
func BytesOf(batch arrow.RecordBatch) (n int) {
	for _, column := range batch.Columns() {
		for _, b := range column.Data().Buffers() {
			if b != nil {
				n += cap(b.Buf())
			}
		}
	}
	return n
}
