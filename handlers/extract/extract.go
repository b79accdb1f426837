// Package extract is the half of a sync that touches the source: it reads rows
// and encodes them as Parquet parts. Local does so in this process; a Pool does
// so in child processes with bounded memory, which is what the service uses: a
// hostile server or file can end its child, never the service.
package extract

import (
	"context"
	"encoding/json"
	"iter"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/handlers/landing/border"
	"headwater/handlers/landing/digest"
	"headwater/handlers/landing/parts"
)

// Opener opens sources. It is safe for concurrent use. Its errors are *driver.Error
// without any secret.
type Opener interface {
	// Open opens a source, which the caller closes. of names the source among all, as
	// event.Address.Tokens does: what is kept of a source serves only the same one.
	// public are its settings and secret its secrets, as JSON.
	Open(ctx context.Context, of, connector string, public, secret json.RawMessage, limits driver.Limits) (Session, error)
	// Forget ends what is kept of a source. Nothing is kept of its open sessions once
	// they are closed.
	Forget(of string)
}

// OrganizationOf returns the organization of a source that Open's of names, as the token
// of a subject.
func OrganizationOf(of string) string {
	organization, _, _ := strings.Cut(of, ".")
	return organization
}

// Session is one open source. Its methods are called one at a time; Close may
// be called at any moment. Errors of the source are *driver.Error without any
// secret; those of the files have parts.ErrStorage.
type Session interface {
	// Check returns the steps that it took, also beside an error.
	Check(ctx context.Context) ([]driver.Step, error)
	// Discover returns the tables of the source. Beside a *driver.UnreadTables, which
	// names those that cannot be read, it returns the others.
	Discover(ctx context.Context) ([]driver.Table, error)
	// Extract reads a table into parts. It stops at the first error, which it
	// yields with a zero Message. Leaving the loop stops the reading; parts that
	// no Message named stay in the files.
	Extract(ctx context.Context, r Request, to Files) iter.Seq2[Message, error]
	// Close ends a call under way. Calls after it fail. It is safe to call twice.
	Close() error
}

// Knower is an optional interface of a Session and of a Source that guesses how its
// tables are written, and is told what is known of them.
type Knower interface {
	// Knows reports whether the source uses what it is told.
	Knows() bool
	// Know is told the tables as they were, before Check and Discover.
	Know(tables []driver.Table)
}

// Source is an open source in this process: *connectors.Conn is one. Conn says what
// its methods return.
type Source interface {
	Check(ctx context.Context) ([]driver.Step, error)
	Discover(ctx context.Context) ([]driver.Table, error)
	Read(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error]
	Scan(ctx context.Context, t driver.Table, landed []driver.Range) (driver.Scan, error)
	// Whole returns a table that Scan cannot divide as one range. It returns nil if the
	// source does not say where a later read by the column goes on.
	Whole(ctx context.Context, t driver.Table, column string) (driver.Scan, error)
	Close() error
}

// Files is where parts are written. Both methods may be called concurrently.
type Files interface {
	parts.Files
	// NextName returns the name of a new part, another one each time.
	NextName() string
}

// Request says what to read of a table and how to hand it over. Its layout must
// be that of the table's columns.
type Request struct {
	Table  driver.Table
	Layout parts.Layout

	// Whole reads every row, in ranges where the source can, else in the order of
	// From.Column if that is set. Without Whole the rows behind From are read, in
	// the order of its column.
	Whole  bool
	From   driver.Cursor
	Landed []driver.Range // ranges that an earlier attempt has staged
	// Border holds the landed rows that a read beyond From returns again: those at From or
	// beyond it. nil for a whole read.
	Border *border.Border
	// Keyless says that landed rows are never replaced by others.
	Keyless bool
	// Largest names an ordered column; Range.Largest then says at which of its values a
	// later read can go on. "" for none; without Whole it is From.Column.
	Largest string
	// Parallelism is how many ranges are read at once, each over its own
	// connection. 0 is 1.
	Parallelism int
	// Narrow is how many of them are read at once until Widen is called. 0 is all.
	Narrow int

	// A checkpoint is due after so many bytes as the source sent them, or so much time,
	// if the source can resume. Zero fields mean the default: 64 MiB, 30 s.
	CheckpointBytes int64
	CheckpointEvery time.Duration
	PartSize        int64         // bytes; 0 for the default
	TellEvery       time.Duration // at least between two Messages that only count; 0 for 100 ms

	// Moment is the name of the moment at which to read, if that is possible, as Sharer
	// returned it; "" for a moment of its own. Message.Apart says if it was not.
	Moment string

	// Digest, if not nil, sums up the rows of the whole table instead of writing
	// parts: the last message carries the sums.
	Digest *digest.Spec
}

// Message tells what was read since the message before. At most one of its
// pointers is set.
type Message struct {
	Rows  int64 // read by now and not told before, encoded or not
	Bytes int64 // the same, as the source sent them
	// Notes are sentences of the source about the table, each once.
	Notes []string
	// Apart says why the read is not at the Request's Moment, "" if it is. It is the same
	// in each Message of a read.
	Apart string

	Plan       *Plan
	Range      *Range
	Checkpoint *Checkpoint
	Digest     *digest.Sums // of the whole table: the last message
}

// Plan is the first Message of a read in ranges.
type Plan struct {
	Kept   []driver.Range // those of Request.Landed that still hold; the others are read again
	Unread int            // how many ranges are read now
	Rows   int64          // about how many rows they have, -1 if unknown
	// Start is where the next read goes on at the latest, as the source says of this
	// read's first snapshot; nil if it does not say.
	Start *driver.Cursor
}

// Range is a range that was read to its end, and the durable parts of its rows.
type Range struct {
	driver.Range                // with the rows counted
	Largest      *driver.Cursor // the value of Request.Largest at which a later read can go on, nil without one
	Border       *border.Border // of this range alone, at Largest or where the read was to start
	Parts        []parts.Part
}

// Checkpoint is a place to commit: everything read so far is in the parts of
// this and the messages before.
type Checkpoint struct {
	Next  *driver.Cursor // where to resume, nil if it cannot
	Parts []parts.Part
	// Border holds those rows that a read at Next returns again and that are landed with
	// this checkpoint.
	Border *border.Border
	Kept   border.Kept // of the rows since the Checkpoint before
	// Final says that the table has been read to its end. After a read in
	// ranges it carries neither parts nor a cursor.
	Final bool
}

func (r Request) withDefaults() Request {
	if r.Parallelism <= 0 {
		r.Parallelism = 1
	}
	if r.CheckpointBytes <= 0 {
		r.CheckpointBytes = 64 << 20
	}
	if r.CheckpointEvery <= 0 {
		r.CheckpointEvery = 30 * time.Second
	}
	if r.TellEvery <= 0 {
		r.TellEvery = 100 * time.Millisecond
	}
	return r
}
