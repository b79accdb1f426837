package handlers

import (
	"context"
	"encoding/json"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/landing"
	"headwater/handlers/landing/border"
	"headwater/handlers/landing/digest"
	"headwater/handlers/landing/parts"
)

// Events is the log of events as handlers write it. *bus.Bus is one. It is safe for
// concurrent use, as are State, Commands, Lake and Vault.
type Events interface {
	// Append publishes e as the next event of its source's history, whose last
	// sequence must be after, and returns its sequence. It returns an error
	// that wraps bus.ErrConflict when the history has moved on.
	Append(ctx context.Context, after uint64, e *event.Event) (uint64, error)
	// LastSequence returns the sequence of the address's last event, 0 if it
	// has none.
	LastSequence(ctx context.Context, a event.Address) (uint64, error)
}

// State is the read model of sources on this node, which may lag behind the history. Its
// errors are those of the store. See Projected.
type State interface {
	// Wait returns once the answers of the other methods include the event at sequence
	// and all before it, or with ctx's error.
	Wait(ctx context.Context, sequence uint64) error
	// Source returns the zero Source for an address that never had one. One that was
	// removed has a Removal.
	Source(a event.Address) (Source, error)
	// SourceID returns the id of the source of that name. If there is none it returns the
	// id that the next one will have, which no former source of the name had.
	SourceID(organization, workspace, owner, name string) (string, error)
	// Schema returns the newest version of an address's schema, the zero Schema
	// before the first.
	Schema(a event.Address) (Schema, error)
	// Landed returns the landed tables of a source, in no order; none for a source that is
	// not there.
	Landed(a event.Address) ([]LandedTable, error)
	// LandedFrom returns up to most landed tables of all sources, beginning at from ("" is
	// the start), and where the next call begins, "" at the end.
	LandedFrom(from string, most int) (tables []PlacedTable, next string, err error)
	// Sync returns the zero Sync for an unknown id.
	Sync(a event.Address, syncID string) (Sync, error)
	// Operation returns the zero Operation for an unknown id.
	Operation(a event.Address, id string) (Operation, error)
	// Due returns the removed sources whose grace period ended before the time
	// and that are not purged.
	Due(before time.Time) ([]Due, error)
	// DueRuns returns up to most runs of schedules that are due and undecided, the oldest
	// first, and when the first run after those is due, zero for none.
	DueRuns(now time.Time, most int) (due []DueRun, next time.Time, err error)
	// WatchRuns is Watch for what DueRuns returns.
	WatchRuns(ctx context.Context) <-chan struct{}
	// Watch returns a channel that receives after an event of the address was applied,
	// until ctx ends. Events that come close together may be one receive.
	Watch(ctx context.Context, a event.Address) <-chan struct{}
}

// Source is the state of a source.
type Source struct {
	Last            uint64   // sequence of the newest event that it includes, 0 if that is not known
	Connected       bool     // and not removed
	Removal         *Removal // of one that was removed, else nil
	Name            string
	Type            string
	Connector       string
	Config          json.RawMessage // public settings
	SecretRef       string
	Metadata        json.RawMessage
	Sync            json.RawMessage // the sync options that it keeps, nil for none
	ConfigVersion   int
	SchemaVersion   int
	Running         *Running // the sync that was started and has not ended
	Schedule        *Scheduled
	ScheduleVersion int // of the last schedule, also once that is removed
	// Changes is the source's place in its log; without a Position it follows none.
	Changes Changes
}

// Changes is a source's place in its log of changes.
type Changes struct {
	event.Changes
	Lagging bool // the last ChangesLagging says that sync_options.lag_warn_bytes is exceeded
}

// Schema is one version of a source's schema.
type Schema struct {
	Version int // from 1
	Tables  []event.Table
	LeftOut []event.LeftOut
}

// LandedTable is a table of which a sync has committed something.
type LandedTable struct {
	Namespace, Name string
	Cursor          string // cursor column of the last sync that had one
	Mode            string // of the sync that committed last
	SetAside        bool   // the source's log has gone on without it
}

// Removal is how a source was removed.
type Removal struct {
	Sequence       uint64 // of its SourceRemoved
	Purged         bool   // it can never be restored; its keys and tables are destroyed or about to be
	Destroyed      bool   // nothing of it is left
	DestroyedAfter time.Time
}

// Due is a removal whose grace period has passed.
type Due struct {
	Address event.Address
	Removed uint64 // Removal.Sequence
}

// Running is a sync under way.
type Running struct {
	SyncID    string
	Attempt   int
	Fence     uint64 // sequence of its newest SyncStarted
	Operation event.Operation
	Started   time.Time // its first attempt
	Updated   time.Time // its newest event
}

// Sync is one sync, under way or ended.
type Sync struct {
	Ended   bool
	Attempt int
	Started time.Time
}

// Operation is what one request asked for, target by target.
type Operation struct {
	Kind    string
	Actor   string
	Total   int      // targets it has
	Targets []Target // those that have had an event
}

// Target is one source of an Operation.
type Target struct {
	Index    int
	SourceID string
	SyncID   string
	Ended    bool
	Done     bool // ended as asked for
	Attached bool // a sync of another operation ends it
}

// Commands sends commands. *bus.Bus is one.
type Commands interface {
	Send(ctx context.Context, c *command.Command) error
}

// Connectors opens sources: an *extract.Pool in child processes, Opened in this
// one.
type Connectors = extract.Opener

// Conn is one open source.
type Conn = extract.Session

// Lake is where tables land. See Landing for *landing.Lake.
type Lake interface {
	// Begin takes a table over for one attempt of a sync. The caller ends the Writer by
	// Abort or a final Commit. It returns landing.ErrFenced for an attempt that another
	// has overtaken.
	Begin(ctx context.Context, t landing.Target) (Writer, error)
	// Drop removes every table and file of a source, and says what is left. It may be
	// repeated.
	Drop(ctx context.Context, a event.Address) (landing.Dropped, error)
	// Maintain is *landing.Lake's.
	Maintain(ctx context.Context, a event.Address, namespace, name string, asked bool) (landing.Maintained, error)
	// UpkeepDue is *landing.Lake's.
	UpkeepDue(ctx context.Context, a event.Address, namespace, name string) (occasion string, due bool, err error)
	// Standing and Digest are *landing.Lake's.
	Standing(ctx context.Context, a event.Address, t driver.Table, key []string) (landing.Standing, error)
	Digest(ctx context.Context, st landing.Standing, spec digest.Spec, newer []digest.Hash) (digest.Sums, error)
}

// Writer lands one table. *landing.Writer is one; its comments say what comes back on
// failure.
type Writer interface {
	extract.Files
	// Cursor returns where the read goes on; without a value it begins at the start.
	Cursor() driver.Cursor
	// Finished returns what earlier attempts of the sync have landed in the
	// table, and whether that is all of it.
	Finished() (landing.Committed, bool)
	// Landed returns the counts of what this sync has landed or staged.
	Landed() landing.Committed
	Layout() parts.Layout
	// Table returns the table with the types by which it must be read to fit the landed
	// rows.
	Table() driver.Table
	Add(made ...parts.Part) error
	Commit(ctx context.Context, next *driver.Cursor, final bool) (landing.Committed, error)
	// Border, Reached, Notes and Tell set what a commit records beside its rows: which of
	// them the next read returns again, and notes for people.
	Border() *border.Border
	Reached(b *border.Border, kept border.Kept)
	Notes() []string
	Tell(notes []string, asOf time.Time)
	// Position, Change and At are for Target.Mode landing.Changes: up to where the table
	// has the source's log, changes to commit, and the position that the next commit
	// records.
	Position() string
	Change(position string, c ...parts.Changes) error
	At(position string, committed time.Time)
	// Staged, Keep, Start, Stage, Hold and StagedMax are for the ranges of a whole read.
	Staged() []driver.Range
	Keep(ctx context.Context, kept []driver.Range) error
	Start(at *driver.Cursor)
	Stage(ctx context.Context, r driver.Range, max *driver.Cursor, edge *border.Border, made []parts.Part) error
	Hold(ctx context.Context, r driver.Range, max *driver.Cursor, edge *border.Border, made []parts.Part) error
	StagedMax() (*driver.Cursor, error)
	Abort(ctx context.Context) error
}

// Vault keeps the sealed secrets of sources. *seal.Vault is one.
type Vault interface {
	// Open returns the secrets that ref names, as JSON, or the vault's error.
	Open(ctx context.Context, a event.Address, ref string) ([]byte, error)
	// Forget removes the secrets that ref names; it may be repeated.
	Forget(ctx context.Context, a event.Address, ref string) error
	// Destroy removes the keys of a source, after which none of its secrets can be
	// opened; it may be repeated.
	Destroy(ctx context.Context, a event.Address) error
}
