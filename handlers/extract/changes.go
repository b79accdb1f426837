package extract

import (
	"context"
	"iter"
	"time"

	"headwater/connectors/driver"
	"headwater/handlers/landing/parts"
)

// Capturer is an optional interface of a Session whose source may have a log of changes.
// Without one its methods fail with driver.ErrUnsupported, or do nothing.
type Capturer interface {
	// Captures reports whether the source has such a log.
	Captures() bool
	// Capture opens the log for the tables, see driver.Capturer. The Session holds the
	// log, with its moment, until Close, Release or the next Capture. Other calls may come
	// before Changes.
	Capture(ctx context.Context, c driver.Capture) (Captured, error)
	// Changes reads the captured log into parts, and stops at the first error, which
	// it yields with a zero ChangesMessage. Leaving the loop stops the reading. Without a
	// captured log it fails.
	Changes(ctx context.Context, r ChangesRequest) iter.Seq2[ChangesMessage, error]
	// Confirm tells the source that everything up to a Flush's position has landed.
	// While Changes runs it may be called, too, and returns before the source knows; if
	// the source then refuses, Changes ends with that error.
	Confirm(ctx context.Context, position string) error
	// Standing says how far the reader of the captured log is behind, see driver.Log. It
	// must not be called while Changes runs, whose messages have it.
	Standing(ctx context.Context) (driver.Standing, error)
	// Holds reports whether the source's server keeps the log for a reader, see
	// driver.Capturer.
	Holds(ctx context.Context, reader string) (bool, error)
	// Release has the server drop what it keeps for a reader. It returns nil if the
	// server keeps nothing.
	Release(ctx context.Context, reader, owner string) error
}

// Captured says where the changes to the tables of a driver.Capture begin.
type Captured struct {
	Moment   string        // Request.Moment for the tables that are read whole, "" for none
	Position string        // the changes to those tables begin after it
	Refused  map[int]error // why a table's changes cannot be had, by its index in the Capture
}

// ChangesRequest says how the changes of captured tables are handed over.
type ChangesRequest struct {
	// Tables are in the order of the Capture's. Changes to one without a Layout are
	// dropped.
	Tables   []ChangedTable
	PartSize int64 // bytes; 0 for the default
	// Memory is about how many bytes of changes are held before they are written to
	// parts that wait for their place to resume; 0 for 16 MiB.
	Memory    int64
	TellEvery time.Duration // at least between two messages that only count; 0 for 100 ms
}

// ChangedTable is one table whose changes are read.
type ChangedTable struct {
	Table  driver.Table
	Layout parts.Layout // of the rows that land
	// Key are the columns that tell rows apart. Changes to rows of one key are
	// collapsed between two places to resume: the last one counts.
	Key []string
	// Log says that every change lands as a row of its own, with LogColumns after the
	// table's columns, and that nothing is replaced.
	Log   bool
	Files Files
}

// LogColumns are those of parts.LogColumns.
var LogColumns = parts.LogColumns

// ChangesMessage tells what was read since the message before. At most one of its
// pointers is set.
type ChangesMessage struct {
	Rows     int64    // changes that were read
	Bytes    int64    // of those, as the source sent them
	Notes    []string // sentences of the source about the log
	Standing *driver.Standing
	Flush    *Flush
}

// Flush is a place to commit: all changes up to its position are in its parts and
// those of the flushes before it. If the request was not for a continuous log, the last
// message is a Flush that is Final.
type Flush struct {
	Position  string
	Committed time.Time      // when the last transaction was committed, by the source's clock, zero if not known
	Fresh     time.Time      // by this machine's clock: what the source had committed before it lies before Position; zero if not known
	Tables    []TableChanges // those that changed
	Final     bool
}

// TableChanges are what happened to one table, in order.
type TableChanges struct {
	Table   int // index in ChangesRequest.Tables
	Changes []parts.Changes
	// Inserted, Updated, Deleted and Truncated count changes as the source made them,
	// before they are collapsed.
	Inserted, Updated, Deleted, Truncated int64
	// Err, if not nil, says why a change makes no row of this table. Nothing that came
	// since the flush before is in Changes, and nothing of the table follows. The other
	// tables go on.
	Err    error    `json:"-"`
	Failed *failure `json:"failed,omitempty"` // Err on the wire
}
