package driver

import (
	"context"
	"iter"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// Capturer is an optional interface of a Source whose server keeps a log of the
// changes to its tables: change data capture. One log is read for all tables of a
// source, in the order in which transactions were committed.
type Capturer interface {
	// Capture takes the log up and says where each table begins in it. It makes what
	// the server needs for that (a slot, a publication) only when nothing of it can
	// harm the server's other users: a table whose own updates would fail is refused
	// before anything is made, in Log.Refused. An ErrReplaced means that the server's
	// log does not go on behind c.Landed (the slot was dropped, lost, or moved by
	// somebody else): its message says why, and the way out is to read the tables
	// whole. An ErrPermission or ErrUnsupported says what the server lacks. ctx bounds
	// the call, not the Log. The caller closes the Log.
	Capture(ctx context.Context, c Capture) (Log, error)
	// Holds reports whether the server keeps the log for a reader, so that a Capture
	// of the same Reader may go on there. It is true where the server keeps its log
	// for everybody alike.
	Holds(ctx context.Context, reader string) (bool, error)
	// Release gives up what the server keeps for a reader: after it, the log is not
	// kept for it any more. It is nil where there is nothing.
	Release(ctx context.Context, reader string) error
}

// Capture says what is to be read of a log of changes.
type Capture struct {
	// Reader names the reader at the server, the same for every Capture of a source:
	// lower-case letters, digits and underscores, at most 40 bytes.
	Reader string
	Tables []CapturedTable
	// Landed is the position up to which everything had landed when the reader last
	// confirmed; "" before the first time. Nothing behind it may be missing.
	Landed string
	// Delay is how long after the first change of a transaction that has ended a place
	// to resume comes at the latest. Bytes is about how much may be read before one.
	Delay time.Duration
	Bytes int64
	// Continuous has the changes go on until their context ends. Without it they end
	// behind everything that was committed when Log.Changes was called.
	Continuous bool
}

// CapturedTable is a table of a Capture.
type CapturedTable struct {
	Table
	// After is the position up to which the table is complete: changes at or before
	// it are not given again. "" for a table that has to be read whole first.
	After string
	// Whole asks for the old row's values with each update and delete, where the
	// server can be made to send them without a change to the table.
	Whole bool
}

// Log is an open log of changes. Confirm and Standing may be called while Changes
// runs; everything else is called one at a time.
type Log interface {
	// Moment returns the name of the moment at which the tables without an After are
	// to be read (see Sharer.Join), and its position in the log: each of these tables
	// goes on behind it. The moment is held until Changes is called. Without such
	// tables both are "". A source that cannot share a moment returns a position
	// alone: the tables are read when they are read, after it, and the changes from
	// there on are applied over what was read.
	Moment() (moment, position string)
	// Refused says of each table of the Capture, by its index, why its changes cannot
	// be had; such a table gets none, and the others do not wait for it.
	Refused() map[int]error
	// Changes yields the changes of all tables that are not refused. It stops at the
	// first error, which it yields with zero Changes. An ErrRetyped means that a
	// table has other columns from here on: everything before the last place to
	// resume is valid, and the caller captures again with the tables as they are now.
	// An ErrReplaced is as that of Capture.
	Changes(ctx context.Context) iter.Seq2[Changes, error]
	// Confirm tells the server that everything up to a position, one that Changes gave
	// as a place to resume, has landed, so that it may forget it.
	Confirm(ctx context.Context, position string) error
	// Standing says how far the reader is behind.
	Standing(ctx context.Context) (Standing, error)
	// Close ends the reading and keeps the place at the server. It is safe to call
	// twice.
	Close() error
}

// Op is what happened to a row.
type Op uint8

// The operations. A row of OpOldKey is followed by the one of OpUpdate that took
// its place under another key.
const (
	OpInsert Op = iota
	OpUpdate
	OpDelete
	OpOldKey   // the row's key was this and is another now
	OpTruncate // every row of the table is gone; the row's values mean nothing
)

// Changes are some changes of one table, or a place to resume, or a standing.
type Changes struct {
	Table int // index in Capture.Tables
	// Record has a row for each change, in the order of the log, of the table's
	// columns in their order; nil for a place to resume. Of a delete and an old key
	// only the key columns hold values, others are NULL, whatever the table says,
	// unless Old is set. The consumer releases it.
	Record arrow.RecordBatch
	Ops    []Op // a row each
	// Kept are the columns of updated rows, by the row's number, whose values the
	// server does not repeat since they are as they were. They are NULL in Record.
	Kept map[int][]int
	// Old says that deletes and old keys hold the values of all columns.
	Old bool
	// Ends are, in order, how many of the rows belong to transactions that ended
	// there, with position and time. The last may be of more rows than there are:
	// its transaction goes on in later Changes.
	Ends []End
	// Resume, if not "", is the position up to which every change of every table was
	// given: all of them landed, a later Capture goes on behind it.
	Resume string
	// Committed is when the last transaction before Resume was committed, by the
	// server's clock; zero where that is not known.
	Committed time.Time
	Standing  *Standing
	Bytes     int64 // about how much the source sent
	Notes     []string
}

// End is the end of a transaction.
type End struct {
	Rows      int // of the record before it
	Position  string
	Committed time.Time
}

// Standing says how far a reader of a log is behind, and what that costs its
// server. Sizes are bytes, -1 where the server does not tell.
type Standing struct {
	At       time.Time     `json:"at"`
	Position string        `json:"position"`          // the last that was confirmed
	End      string        `json:"end,omitempty"`     // of the server's log
	Behind   int64         `json:"behind_bytes"`      // from Position to End
	Delay    time.Duration `json:"behind_ns"`         // since the oldest change that is not confirmed, about; 0 with none
	Retained int64         `json:"retained_bytes"`    // of log that the server keeps for this reader
	Left     int64         `json:"left_bytes"`        // that may come before the server gives the reader up
	State    string        `json:"state"`             // in the server's words: reserved, extended, unreserved, lost
	Message  string        `json:"message,omitempty"` // for people
}
