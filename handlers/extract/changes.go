package extract

import (
	"context"
	"iter"
	"time"

	"headwater/connectors/driver"
	"headwater/handlers/landing/parts"
)

// Capturer is an optional interface of a Session: its source has a log of changes.
type Capturer interface {
	// Captures reports whether the source has such a log.
	Captures() bool
	// Capture takes it up, see driver.Capturer. The Session holds it, with its
	// moment, until Close or the next Capture. Other calls may come before Changes.
	Capture(ctx context.Context, c driver.Capture) (Captured, error)
	// Changes reads the captured log into parts, and stops at the first error, which
	// it yields with a zero ChangesMessage. Leaving the loop stops the reading.
	Changes(ctx context.Context, r ChangesRequest) iter.Seq2[ChangesMessage, error]
	// Confirm tells the source that everything up to a Flush's position has landed.
	// It may be called while Changes runs, and then returns before the source knows.
	Confirm(ctx context.Context, position string) error
	// Standing says how far the reader of the captured log is behind, see driver.Log. It
	// is not called while Changes runs, which tells it.
	Standing(ctx context.Context) (driver.Standing, error)
	// Holds reports whether the source's server keeps the log for a reader, see
	// driver.Capturer.
	Holds(ctx context.Context, reader string) (bool, error)
	// Release gives up what the server keeps for a reader.
	Release(ctx context.Context, reader string) error
}

// Captured is where the tables of a driver.Capture begin.
type Captured struct {
	Moment   string        // to join for the tables that are read whole, "" for none
	Position string        // behind which they go on
	Refused  map[int]error // by the table's index
}

// ChangesRequest says how the changes of captured tables are handed over.
type ChangesRequest struct {
	// Tables are in the order of the Capture's. One without a Layout is left out.
	Tables   []ChangedTable
	PartSize int64 // bytes; 0 for the default
	// Memory is about how many bytes of changes are held before they are written to
	// parts that wait for their place to resume; 0 for 16 MiB.
	Memory    int64
	TellEvery time.Duration // at the least between two messages that only count; 0 for 100 ms
}

// ChangedTable is one table whose changes are read.
type ChangedTable struct {
	Table  driver.Table
	Layout parts.Layout // of the rows that land
	// Key are the columns that tell rows apart. Changes to rows of one key are
	// collapsed between two places to resume: the last one stays.
	Key []string
	// Log says that every change lands as a row of its own, with LogColumns behind
	// the table's columns, and that nothing is replaced.
	Log   bool
	Files Files
}

// LogColumns are those of parts.LogColumns.
var LogColumns = parts.LogColumns

// ChangesMessage tells what was read since the message before. At most one of its
// pointers is set.
type ChangesMessage struct {
	Rows     int64 // changes
	Bytes    int64
	Notes    []string
	Standing *driver.Standing
	Flush    *Flush
}

// Flush is a place to commit: all changes up to its position are in its parts and
// those of the flushes before it. The last message of Changes that end is one.
type Flush struct {
	Position  string
	Committed time.Time      // when the last transaction was committed at the source, zero if not known
	Tables    []TableChanges // those that changed
	Final     bool
}

// TableChanges are what happened to one table, in order.
type TableChanges struct {
	Table   int // index in ChangesRequest.Tables
	Changes []parts.Changes
	// Inserted, Updated, Deleted count changes as the source made them.
	Inserted, Updated, Deleted, Truncated int64
	// Err, if not nil, is why no more comes of this table, and nothing of what came
	// since the flush before: what its log says makes no row of it. The others go on.
	Err    error    `json:"-"`
	Failed *failure `json:"failed,omitempty"` // Err on the wire
}
