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
	// Capture opens the log and decides where each table begins in it. It makes what
	// the server needs (a slot, a publication), but only if that cannot harm other
	// users of the server: a table whose own updates would fail is refused first, in
	// Log.Refused. ErrReplaced means that the log cannot be continued behind c.Landed
	// (the slot was dropped, lost, or moved by somebody else): its message says why,
	// and the tables have to be read whole. ErrPermission and ErrUnsupported say what
	// the server lacks. ctx bounds the call, not the Log. The caller closes the Log.
	Capture(ctx context.Context, c Capture) (Log, error)
	// Holds reports whether the server keeps the log for a reader, so that a Capture
	// of the same Reader may go on there. It is true where the server keeps its log
	// for everybody alike.
	Holds(ctx context.Context, reader string) (bool, error)
	// Release gives up what the server keeps for a reader. It returns nil if there is
	// nothing, or if it is another Owner's, see Capture; owner "" is nobody in particular.
	Release(ctx context.Context, reader, owner string) error
}

// Capture says what to read of a log of changes.
type Capture struct {
	// Reader names the reader on the server. It is the same for every Capture of a
	// source: lower-case letters, digits and underscores, at most 40 bytes.
	Reader string
	// Owner tells services apart whose sources have the same Reader: what a server keeps
	// for another Owner's Reader is not taken. "" is nobody in particular.
	Owner  string
	Tables []CapturedTable
	// Landed is the position that the reader confirmed last: everything up to it has
	// landed. "" before the first time. No change behind it may be missing.
	Landed string
	// Delay is the longest time between the first change of a transaction that has
	// ended and the next place to resume. Bytes is about how much may be read before
	// one.
	Delay time.Duration
	Bytes int64
	// Continuous makes the changes go on until their context ends. Without it they end
	// behind what was committed when Log.Changes was called.
	Continuous bool
}

// CapturedTable is a table of a Capture.
type CapturedTable struct {
	Table
	// After is the position up to which the table is complete. Changes at or before it
	// are not given again. "" is a table that has to be read whole first.
	After string
	// Whole asks for all values of the old row with each update and delete, if the
	// server can be made to send them without a change to the table.
	Whole bool
}

// Log is an open log of changes. Confirm and Standing may be called while Changes
// runs; everything else is called one at a time.
type Log interface {
	// Moment returns the name of the moment at which the tables without an After are
	// to be read (see Sharer.Join), and its position in the log, behind which their
	// changes begin. The moment is held until Changes is called. Without such tables
	// both are "". A source that cannot share a moment returns only a position: the
	// tables are read later, and the changes behind the position are applied over what
	// was read.
	Moment() (moment, position string)
	// Refused returns, by the table's index in the Capture, why its changes cannot be
	// had. Such a table gets no changes, and the others do not wait for it.
	Refused() map[int]error
	// Changes yields the changes of all tables that are not refused. It stops at the
	// first error, which it yields with zero Changes. ErrRetyped means that a table
	// has other columns from here on, or a change that cannot land: everything before
	// the last place to resume is valid, and the caller captures again with the tables
	// as they are now. ErrReplaced is that of Capture.
	Changes(ctx context.Context) iter.Seq2[Changes, error]
	// Confirm tells the server that everything up to a position has landed, so that it
	// can delete its log up to there. The position is a place to resume that Changes
	// gave.
	Confirm(ctx context.Context, position string) error
	// Standing says how far the reader is behind. ErrReplaced says that the log is no
	// longer the one that was read, or lacks what lies behind: Changes need not notice, and
	// may wait for ever at the end of what was, or end there. So the consumer asks while it
	// waits, and once more behind the last change.
	Standing(ctx context.Context) (Standing, error)
	// Close ends the reading. The server keeps the reader's place. It is safe to call
	// twice.
	Close() error
}

// Op is what happened to a row.
type Op uint8

// The operations. A row of OpOldKey is followed by the row of OpUpdate that has taken its
// place under another key.
const (
	OpInsert Op = iota
	OpUpdate
	OpDelete
	OpOldKey   // the key of a row before its key was changed
	OpTruncate // all rows of the table were deleted; the values mean nothing
)

// Changes are some changes of one table, or a place to resume, or a standing.
type Changes struct {
	Table int // index in Capture.Tables
	// Record has a row for each change, in the order of the log and with the table's
	// columns; it is nil for a place to resume. Rows of OpDelete and OpOldKey have
	// only the values of the key unless Old is set; the others are NULL even in
	// columns that are not nullable. The consumer releases it.
	Record arrow.RecordBatch
	Ops    []Op // one for each row
	// Kept are, by the number of an updated row, the columns whose unchanged values
	// the server does not repeat. They are NULL in Record.
	Kept map[int][]int
	// Old says that rows of OpDelete and OpOldKey have the values of all columns.
	Old bool
	// Ends are the ends of transactions, in order, with the number of rows that each
	// has here. The last may have more rows than Record has left: its transaction goes
	// on in later Changes.
	Ends []End
	// Resume, if not "", is a place to resume: every change of every table up to this
	// position was given. When they all have landed, a later Capture can go on behind
	// it.
	Resume string
	// Committed is when the last transaction before Resume was committed, by the
	// server's clock; zero if that is not known.
	Committed time.Time
	// Fresh is a time by this machine's clock: whatever the server had committed before
	// it lies before Resume. It is zero if that is not known.
	Fresh    time.Time
	Standing *Standing
	Bytes    int64 // about how much the source sent
	Notes    []string
}

// End is the end of a transaction.
type End struct {
	Rows      int // how many rows of the record belong to it
	Position  string
	Committed time.Time
}

// Standing says how far a reader of a log is behind, and what that costs its
// server. Sizes are in bytes, -1 if the server does not say.
type Standing struct {
	At       time.Time     `json:"at"`                // by this machine's clock, before the server was asked: what is committed later may lie behind End
	Position string        `json:"position"`          // that was confirmed last
	End      string        `json:"end,omitempty"`     // of the server's log
	Behind   int64         `json:"behind_bytes"`      // from Position to End
	Delay    time.Duration `json:"behind_ns"`         // about how old the oldest unconfirmed change is; 0 if there is none
	Retained int64         `json:"retained_bytes"`    // how much log the server keeps for this reader
	Left     int64         `json:"left_bytes"`        // how much more may come before the server gives the reader up
	State    string        `json:"state"`             // in the server's words: reserved, extended, unreserved, lost
	Message  string        `json:"message,omitempty"` // for people
}
