package driver

import (
	"context"
	"iter"
)

// Scanner is an optional interface of a Source that can read a whole table in ranges:
// several at the same time, and after a crash without starting again. A full refresh
// and the first read of an incremental sync use it. Sources without it are read by
// Read, from the start.
type Scanner interface {
	// Scan fixes one snapshot of t and divides it into ranges that together have each
	// row once. landed are ranges that earlier Scans, of any process, have read to the
	// end, and whose rows are kept. ErrUnsupported means that the table cannot be
	// divided (a view, a server that is too old): the caller uses Read. ctx bounds the
	// call, not the Scan. The caller closes the Scan.
	Scan(ctx context.Context, t Table, landed []Range) (Scan, error)
}

// Scan is one snapshot of a table, divided into ranges. Its methods may be called
// concurrently. Close is called after the loops of all Reads have ended.
type Scan interface {
	// Unread returns the ranges to read, in the order that costs the source least.
	// There may be none.
	Unread() []Range
	// Kept returns those of the landed ranges whose rows are still the same. The rows
	// of the others have to be dropped: Unread covers them again, perhaps in other
	// ranges.
	Kept() []Range
	// Read yields the rows of a range as Source.Read does, without Resume, over a
	// connection that no other Read uses. A range that failed can be read again.
	Read(ctx context.Context, r Range) iter.Seq2[Batch, error]
	// Close gives the snapshot up. It is safe to call twice.
	Close() error
}

// Moments is an optional interface of a Scan that knows the moment of its rows.
type Moments interface {
	// Start returns where an incremental read by the column begins after this Scan: no
	// row that changes after the Scan's first snapshot lies before it. A nil Value
	// means that the largest value that was read will do, with the Position.
	Start(column string) Cursor
	// Notes say of which moments the rows are, if it is not one.
	Notes() []string
}

// Placer is an optional interface of a Source of which some tables cannot be divided,
// and whose incremental reads need more than the largest value of a cursor.
type Placer interface {
	// Place returns what Moments.Start returns, for a Read of all rows that begins
	// after it.
	Place(ctx context.Context, t Table, column string) (Cursor, error)
}

// RangeSize returns about how many bytes a range should have in a table of that many
// bytes: a sixteenth, so that a few connections end at nearly the same time, but 16 to
// 256 MiB, so that there are not too many files and not too much is read again after a
// crash.
func RangeSize(table int64) int64 { return min(max(table/16, 16<<20), 256<<20) }

// Range is a part of a table, about as large as RangeSize says if the source can tell.
type Range struct {
	// Token names the range to the driver that made it. It is short text, contains no
	// value of a secret column, and is valid in other processes and later Scans.
	Token string `json:"token"`
	// Rows is how many rows the range has: in Unread an estimate, -1 if there is none;
	// in landed and Kept the number that was read.
	Rows int64 `json:"rows"`
}
