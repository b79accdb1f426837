package handlers

import (
	"context"
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
// concurrent use, as are Commands, Lake and Vault.
type Events interface {
	// Append publishes e as the next event of its source's history, whose last
	// sequence must be after, and returns its sequence. It returns an error
	// that wraps bus.ErrConflict when the history has moved on.
	Append(ctx context.Context, after uint64, e *event.Event) (uint64, error)
	// LastSequence returns the sequence of the address's last event, 0 if it
	// has none.
	LastSequence(ctx context.Context, a event.Address) (uint64, error)
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
