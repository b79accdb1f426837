// Package driver is the contract between Headwater and its connectors. A connector
// implements Driver and Source and imports nothing else of the project. Callers hold a
// *connectors.Conn, which adds time limits, kinds of errors and the scrubbing of secrets
// to every Source.
package driver

import (
	"context"
	"encoding/json"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// Driver makes sources of one kind. It is safe for concurrent use.
type Driver interface {
	Spec() Spec
	// Open prepares a source from a configuration that was validated against
	// Spec().Settings. It may dial. A failure is an *Error. The caller closes the
	// source.
	Open(ctx context.Context, cfg Config) (Source, error)
}

// Source is one open database, API or set of files. Its methods are called one at a
// time, except that the loop of a Read may be left at any moment.
type Source interface {
	// Check proves that the source can be read: it connects, authenticates and
	// reads something small. A failure is an *Error.
	Check(ctx context.Context) error
	// Discover returns every table the source offers, sorted by namespace and
	// name. A source without tables returns an empty list, not an error. With an
	// *UnreadTables it returns the others.
	Discover(ctx context.Context) ([]Table, error)
	// Read yields the rows of t, with t's columns in their order, as record batches of
	// ArrowSchema(t). With from.Column set it yields only rows whose cursor lies after
	// from.Value (at or after it if from.Inclusive is set), and rows with a NULL
	// cursor, which come first, only if from.Value is nil or from.Nulls is set. If t
	// is not the table that from belongs to, it fails with ErrReplaced before the
	// first row. It stops at the first error, which it yields with a zero Batch. A
	// batch without rows is allowed: it says that the read goes on although none of
	// its rows are wanted. The consumer releases each Batch.Record.
	Read(ctx context.Context, t Table, from Cursor) iter.Seq2[Batch, error]
	// Close releases everything. It is safe to call twice.
	Close() error
}

// Stepper is an optional interface of a Source whose check has parts worth reporting.
// It returns the steps done so far, and the error of the one that failed.
type Stepper interface {
	CheckSteps(ctx context.Context) ([]Step, error)
}

// Knower is an optional interface of a Source that guesses how its tables are written.
// Before Discover it is told which tables it had the last time, so that it makes the
// same guesses.
type Knower interface {
	Know(tables []Table)
}

// Step is one part of a check.
type Step struct {
	Name     string // resolve, connect, authenticate, permissions, read
	Duration time.Duration
	Message  string // for people, may be empty
	Err      error  // nil when it passed
}

// Spec describes a driver.
type Spec struct {
	Name    string   // as in "type": postgresql, mysql, sqlite, file, api
	Aliases []string // further exact names: postgres, mariadb, csv, ...
	Class   string   // database, file or api: what "type" may say instead of the name
	Schemes []string // URL schemes that mean this driver
	Ports   []int    // TCP ports that mean this driver
	Endings []string // file endings that mean this driver, with the dot
	// Default is what a configuration of the class means that names a host and
	// says nothing else: one driver of a class may have it.
	Default bool
	Title   string // for people
	// Changes says that its sources are Capturers: their servers have a log of changes
	// that can be read, if they are set up for it.
	Changes bool
	// LetGo is what somebody does by hand at a server that cannot be reached in place
	// of Capturer.Release, with %s for the reader: a statement; "" for nothing.
	LetGo string
	// Settings is a pointer to a zero value of the typed configuration. Its
	// fields are tagged for encoding/json and invopop/jsonschema. A field is a
	// secret unless it is tagged public:"true"; only listed keys are accepted.
	Settings any
}

// Config is what a Source is opened with.
type Config struct {
	// Settings is the JSON object of public fields and secrets together, valid
	// for Spec().Settings. Drivers decode it with Decode.
	Settings json.RawMessage
	// Dial is the only way to the network. It refuses addresses that the
	// operator does not allow.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Files is the only way to local files. Names are slash-separated and
	// relative.
	Files fs.FS
	// Limits bound what a source may cost.
	Limits Limits
	// Log is for the operator; never for row values or settings.
	Log *slog.Logger
}

// Limits bound what one source may cost. Zero fields mean the default.
type Limits struct {
	BatchRows   int           // rows a batch, default 65,536
	BatchBytes  int64         // bytes a batch, about, default 16 MiB
	BatchAge    time.Duration // that rows wait for their batch to fill while more come, default 30 s
	MaxBytes    int64         // bytes read from the source in one Read; 0 is no limit
	MaxFileSize int64         // bytes of one file after decompression; 0 is no limit
	MaxPages    int           // pages of an HTTP API, default 100,000
	MaxColumns  int           // columns of one table, default 10,000
	MaxRowBytes int64         // bytes of one row, default 64 MiB
	Idle        time.Duration // without a byte from the source, default 60 s
}

// WithDefaults fills the zero fields that have a default.
func (l Limits) WithDefaults() Limits {
	if l.BatchRows <= 0 {
		l.BatchRows = 65_536
	}
	if l.BatchBytes <= 0 {
		l.BatchBytes = 16 << 20
	}
	if l.BatchAge <= 0 {
		l.BatchAge = 30 * time.Second
	}
	if l.MaxPages <= 0 {
		l.MaxPages = 100_000
	}
	if l.MaxColumns <= 0 {
		l.MaxColumns = 10_000
	}
	if l.MaxRowBytes <= 0 {
		l.MaxRowBytes = 64 << 20
	}
	if l.Idle <= 0 {
		l.Idle = 60 * time.Second
	}
	return l
}

// Table is one table, view, file or endpoint.
type Table struct {
	Namespace   string
	Name        string
	Kind        string // table, view, file, endpoint
	RowEstimate int64  // -1 if the source does not know
	PrimaryKey  []string
	Cursor      string // column that an incremental sync would use by default, "" if none fits
	Columns     []Column
	// Identity says what a cursor of this table belongs to: the server, database and
	// table, or the file. A sync does not go on from a cursor with another Identity.
	// The core only compares it; it is short, contains no secret, and is "" if the
	// source cannot tell.
	Identity string
	// Notes say, in whole sentences for people, what a sync of this table cannot see
	// or keep. They are shown by connect, schema and every sync.
	Notes []string
	// Blank says that there was no row from which columns, key and cursor could be
	// found: what was known of them stays.
	Blank bool
	// Emptied says that the source itself states that it has no row now. Without it a
	// full refresh of a file or endpoint that yields none, where there were rows, is
	// refused.
	Emptied bool
	// CursorNotes say what an incremental sync that follows Cursor cannot see, as
	// DefaultCursor returns them. Only such a sync shows them.
	CursorNotes []string
	// LeftOut is why the source does not offer what it has under this name, "" if it
	// does. A table that is left out has a Namespace, Name and Kind, and is never
	// read.
	LeftOut string
}

// String returns "namespace.name", or the name alone.
func (t Table) String() string {
	if t.Namespace == "" {
		return t.Name
	}
	return t.Namespace + "." + t.Name
}

// Column returns the named column, or false if there is none.
func (t Table) Column(name string) (Column, bool) {
	for _, c := range t.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// Column is one column of a Table.
type Column struct {
	Name       string
	Type       Type
	SourceType string // the source's name of the type
	Nullable   bool
	Comment    string
	// Sampled says that the type was found by looking at JSON values and may be
	// another one the next time: the column can also be read as JSON, and as any type
	// if it had no value (SourceType Unseen).
	Sampled bool
	// Identity is the source's own identity of the column: its number, its type with
	// labels, the expression that generates it, the default that filled existing rows.
	// If it changes, values that landed before may not be those of the source. "" if
	// the source cannot tell.
	Identity string
	// Unordered says that a cursor cannot follow the column although its Type has an
	// order: an enum, a time that is text.
	Unordered bool
	// Unique says that no two rows have the same value.
	Unique bool
	// Grain is the step between values of a time column: 24 h for dates, 1 s for whole
	// seconds, 0 for microseconds.
	Grain time.Duration
	// Equality is how the source compares values of the column, for keys.
	Equality Equality
	// Filled says that rows which existed before the column may have something other
	// than NULL in it: a default, or what a rewrite of the table put there. Only
	// sources with a log of changes tell.
	Filled bool
}

// Equality says how a source compares two values of a key column. The zero value
// compares what lands byte by byte.
type Equality string

// The other equalities. What begins with NotComparable ends with the reason, for
// people, why rows cannot be merged by such a column.
const (
	EqualNumbers   Equality = "numbers"   // decimal text: 7.0 equals 7.00
	EqualFolded    Equality = "folded"    // text without regard to case, by Unicode's simple lower case
	EqualPadded    Equality = "padded"    // text without regard to spaces at its end
	EqualCollated  Equality = "collated"  // text by a collation that ignores case, accents and spaces at the end
	EqualIntervals Equality = "intervals" // 1 mon equals 30 days, 1 day equals 24:00:00
	NotComparable           = "not comparable: "
)

// Unseen is the SourceType of a Sampled column that held no value.
const Unseen = "null"

// Cursor says where an incremental read goes on. The zero Cursor reads everything, in
// any order.
type Cursor struct {
	Column string  `json:"column,omitempty"`
	Value  *string `json:"value,omitempty"` // in the form of FormatCursor; nil before the first row
	// Position is what the source noted beside the value, such as the transactions
	// that were open then. It is opaque JSON of at most MaxPosition bytes, and the
	// next Read gets it back unchanged.
	Position json.RawMessage `json:"position,omitempty"`
	// Inclusive asks a Read for rows at Value, too.
	Inclusive bool `json:"inclusive,omitempty"`
	// Nulls asks a Read for rows with a NULL cursor, too.
	Nulls bool `json:"nulls,omitempty"`
}

// MaxPosition bounds a Cursor's Position, in bytes.
const MaxPosition = 64 << 10

// Batch is one record batch of a Read.
type Batch struct {
	// Record is the consumer's, who releases it. Its memory may then be that of a
	// later batch: what points into it, such as a string of it, is to be copied before.
	Record arrow.RecordBatch
	// Resume is the cursor to read on from when every batch up to and including this
	// one is kept: no row would be missing and none would come twice. It is nil where
	// a read cannot be resumed, as between rows with the same cursor value. A read
	// without a column to follow may have a Position in its last Resume.
	Resume *Cursor
	// Bytes is about how much the source sent for this batch.
	Bytes int64
	// Notes say, in whole sentences, what this read could not see or keep. Each is
	// shown once in the table's result, however often it comes.
	Notes []string
}

// Validator is an optional interface of a pointer to Spec.Settings, for what a JSON
// Schema cannot say. The error names the field and never its value.
type Validator interface {
	Validate() error
}
