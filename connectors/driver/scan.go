package driver

import (
	"context"
	"iter"
)

// Scanner is an optional interface of a Source that can read a whole table in
// ranges: several at once, and after a crash without starting over. A full
// refresh, and the first read of an incremental sync, use it where it is there;
// whoever has no Scanner is read by Read, from the start.
type Scanner interface {
	// Scan fixes one snapshot of t and divides it into ranges that together
	// hold each of its rows once. landed are ranges that were read to their end
	// by earlier Scans, of this process or another, and whose rows are kept. An
	// error of kind ErrUnsupported means that this table cannot be divided (a
	// view, a server too old): the caller reads it by Read. ctx bounds the call,
	// not the Scan. The caller closes the Scan.
	Scan(ctx context.Context, t Table, landed []Range) (Scan, error)
}

// Scan is one snapshot of a table, divided. Its methods may be called
// concurrently; Close comes after the loops of every Read have ended.
type Scan interface {
	// Unread returns the ranges to read, in the order that is cheapest for the
	// source. There may be none.
	Unread() []Range
	// Kept returns those of the landed ranges that were handed to Scanner.Scan
	// which still hold what was read of them. The rows of the others must be
	// given up: their ranges are among Unread again, perhaps divided otherwise.
	Kept() []Range
	// Read yields the rows of a range as Source.Read does, without Resume, over
	// a connection that no other Read uses meanwhile. A range that failed can be
	// read again.
	Read(ctx context.Context, r Range) iter.Seq2[Batch, error]
	// Close gives the snapshot up. It is safe to call twice.
	Close() error
}

// Moments is an optional interface of a Scan that knows of what moment it is.
type Moments interface {
	// Start returns the place that an incremental read by the column goes on
	// from after this Scan: no row that changed since the Scan's first snapshot
	// lies before it. A Value of nil means that the largest that was read will
	// do, with the Position.
	Start(column string) Cursor
	// Notes say of what moment, or of how many, the rows are, where it is not
	// one.
	Notes() []string
}

// Placer is an optional interface of a Source whose tables cannot all be divided
// and whose incremental reads go by more than the largest cursor value.
type Placer interface {
	// Place returns what Moments.Start does, of a Read of all rows that begins
	// after it.
	Place(ctx context.Context, t Table, column string) (Cursor, error)
}

// RangeSize returns how many bytes a range of a table of so many bytes should
// have, about: a sixteenth, so that few connections end at nearly the same time,
// but 16 to 256 MiB, so that neither are the files many nor is much read again
// after a crash.
func RangeSize(table int64) int64 { return min(max(table/16, 16<<20), 256<<20) }

// Range is a part of a table, about as large as RangeSize says where the source
// can tell.
type Range struct {
	// Token names the range to the driver that made it, and to nobody else. It
	// is short text, holds no value of a secret column, and is valid in other
	// processes and later Scans.
	Token string `json:"token"`
	// Rows is how many rows the range has: an estimate in Unread, -1 where there
	// is none; in landed and Kept the count of those that were read.
	Rows int64 `json:"rows"`
}
