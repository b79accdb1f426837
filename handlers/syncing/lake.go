package syncing

import (
	"context"
	"time"

	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/landing"
	"headwater/handlers/landing/border"
	"headwater/handlers/landing/parts"
)

// Lake is where tables land. *landing.Lake is one, but for its type of Writer.
type Lake interface {
	// Begin takes a table over for one attempt of a sync. The caller ends the Writer by
	// Abort or a final Commit. It returns landing.ErrFenced for an attempt that another
	// has overtaken.
	Begin(ctx context.Context, t landing.Target) (Writer, error)
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
