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

// Opener opens sources. Its errors are *driver.Error without any secret.
type Opener interface {
	// Open opens a source. of names it among all, as event.Address.Tokens does: what
	// is kept of a source is for the same one only.
	Open(ctx context.Context, of, connector string, public, secret json.RawMessage, limits driver.Limits) (Session, error)
	// Forget ends what is kept of a source, and keeps nothing of its open sessions.
	Forget(of string)
}

// OrganizationOf returns whose source it is, in the form that subjects have.
func OrganizationOf(of string) string {
	organization, _, _ := strings.Cut(of, ".")
	return organization
}

// Session is one open source. Its methods are called one at a time; Close may
// be called at any moment. Errors of the source are *driver.Error without any
// secret; those of the files have parts.ErrStorage.
type Session interface {
	Check(ctx context.Context) ([]driver.Step, error)
	// Discover returns tables beside a *driver.UnreadTables, too.
	Discover(ctx context.Context) ([]driver.Table, error)
	// Extract reads a table into parts. It stops at the first error, which it
	// yields with a zero Message. Leaving the loop stops the reading; parts that
	// no Message told of are left behind in the files.
	Extract(ctx context.Context, r Request, to Files) iter.Seq2[Message, error]
	Close() error
}

// Knower is an optional interface of a Session and of a Source: what is known of
// the tables goes to sources that guess how they are written.
type Knower interface {
	// Knows reports whether the source wants to know.
	Knows() bool
	// Know is told the tables as they were, before Check and Discover.
	Know(tables []driver.Table)
}

// Source is an open source in this process: *connectors.Conn is one.
type Source interface {
	Check(ctx context.Context) ([]driver.Step, error)
	Discover(ctx context.Context) ([]driver.Table, error)
	Read(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error]
	Scan(ctx context.Context, t driver.Table, landed []driver.Range) (driver.Scan, error)
	// Whole returns a table that Scan cannot divide as one range, nil where its
	// source does not say where a read by the column goes on after it.
	Whole(ctx context.Context, t driver.Table, column string) (driver.Scan, error)
	Close() error
}

// Files is where parts are written. Both methods may be called concurrently.
type Files interface {
	parts.Files
	// NextName returns the name of a new part.
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
	// Border is what landed of the rows that a read behind From shows again, at
	// From or behind it; nil for a whole read.
	Border *border.Border
	// Keyless says that rows which landed are never replaced by others.
	Keyless bool
	// Largest names an ordered column of which it is reported where later reads
	// go on. "" for none; without Whole it is From.Column.
	Largest string
	// Parallelism is how many ranges are read at once, each over its own
	// connection. 0 is 1.
	Parallelism int
	// Narrow is how many of them until the Session is told to Widen. 0 is all.
	Narrow int

	// A checkpoint is due after so many bytes or so much time, where the source
	// can resume. Zero fields mean the default: 64 MiB, 30 s.
	CheckpointBytes int64
	CheckpointEvery time.Duration
	PartSize        int64         // bytes; 0 for the default
	TellEvery       time.Duration // at the least between two Messages that only count; 0 for 100 ms

	// Moment is the name of the one that the read is to be of where it can, as Sharer
	// returned it; "" for one of its own.
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
	// Notes are what the source says of the table, each once.
	Notes []string
	// Apart says why the read is not of the Request's Moment, "" where it is. It is
	// the same in each Message of a read.
	Apart string

	Plan       *Plan
	Range      *Range
	Checkpoint *Checkpoint
	Digest     *digest.Sums // of the whole table: the last message
}

// Plan comes first of a read in ranges.
type Plan struct {
	Kept   []driver.Range // of Request.Landed; the rest is read again
	Unread int            // how many ranges are read now
	Rows   int64          // about how many rows they have, -1 if unknown
	// Start is where the next read goes on at the latest, as the source says it
	// of this read's first snapshot; nil where it says nothing.
	Start *driver.Cursor
}

// Range is a range that was read to its end, and the durable parts of its rows.
type Range struct {
	driver.Range                // with the rows counted
	Largest      *driver.Cursor // of Request.Largest that a read can go on at, nil without a value
	Border       *border.Border // of this range alone, at Largest or where the read was to start
	Parts        []parts.Part
}

// Checkpoint is a place to commit: everything read so far is in the parts of
// this and the messages before.
type Checkpoint struct {
	Next  *driver.Cursor // to resume at, nil where there is none
	Parts []parts.Part
	// Border is what of the rows that a read at Next shows has landed with this.
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
