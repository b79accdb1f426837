package landing

import (
	"fmt"
	"time"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing/keys"
	"headwater/handlers/landing/syncstate"
)

// How a sync lands.
const (
	// FullRefresh replaces everything the table held, in one commit at the end.
	FullRefresh = syncstate.FullRefresh
	// Incremental appends rows beyond the cursor, in as many commits as wanted.
	Incremental = syncstate.Incremental
	// Changes applies changes of the source's log to what a FullRefresh with a
	// Position has landed, in as many commits as wanted.
	Changes = syncstate.Changes
)

// Target says what one attempt of a sync lands, and where.
type Target struct {
	Address event.Address
	Table   driver.Table
	SyncID  string
	// Fence orders the attempts at one table: a later attempt has a larger one.
	Fence uint64
	Mode  string // FullRefresh, Incremental or Changes
	// CursorColumn is what an incremental sync goes by. A full refresh may name
	// it too, so that later incremental syncs go on behind it.
	CursorColumn string
	// Merge, with Incremental, has a row replace the landed rows of the same Key.
	Merge bool
	// Key are the columns that identify a row. For Merge, for Changes and for the
	// FullRefresh before them it is the primary key. For an append that reads rows
	// again (From), it is the primary key and the cursor column, which together
	// identify a version of a row.
	Key []string
	// Deleted, with Merge, is a column that says whether the source deleted the row:
	// true of a boolean, not zero of an integer, not NULL of another type. Such a row
	// removes the landed rows of its key and does not stay itself.
	Deleted string
	// Reset has the table start over: its rows are replaced in the final commit.
	Reset bool
	// Replaced says that Reset is set because the source's table is another one than
	// the table that landed.
	Replaced bool
	// StopReplaced has Begin return driver.ErrReplaced if the source's table is
	// another one than the table that landed, instead of reading it from its start.
	StopReplaced bool
	// KeepRows has a sync go on from its cursor if columns have changed, and leave the
	// landed rows as they are, instead of reading the table again.
	KeepRows bool
	// AllowEmpty lets a table that was replaced at its source and has no row now
	// replace the landed rows. Otherwise they stay.
	AllowEmpty bool
	// From is where an incremental sync starts instead of at the committed cursor, such
	// as an earlier checkpoint; a nil Value is the beginning. Rows behind it that have
	// landed are recognised by Key, or without one by all their values. Later attempts
	// of the sync go on from what earlier ones committed.
	From *driver.Cursor
	// Back returns where an incremental sync starts that would go on at a committed
	// cursor: some way before it, so that rows that came late are found. A nil Back
	// means the cursor itself.
	Back func(driver.Cursor) driver.Cursor
	// Position, with FullRefresh, is the place in the source's log behind which the
	// changes to the rows that are read begin. The final commit notes it.
	Position string
	// Moved tells the servers apart that the source has had, of which each has another:
	// what was read at one is not gone on with at the next, whatever its Position.
	Moved uint64
	// Log, with Changes and the FullRefresh before them, has each change be a row of
	// its own, with parts.LogColumns behind the table's. Nothing is replaced.
	Log bool
	// Soft, with Changes and the FullRefresh before them, has rows stay that the source
	// deleted, with true in parts.DeletedColumn, a column behind the table's.
	Soft bool
}

// follows reports whether the rows are, or will be, followed by a log's changes.
func (t Target) follows() bool { return t.Mode == Changes || t.Position != "" }

// merges reports whether a row takes the place of the landed rows of its key.
func (t Target) merges() bool { return t.Merge || t.Mode == Changes && !t.Log }

// followed says how changes of a log land by the target.
func (t Target) followed() *syncstate.Followed {
	if t.Log {
		return &syncstate.Followed{Log: true}
	}
	return &syncstate.Followed{Key: t.Key, Soft: t.Soft}
}

func (t Target) validate() error {
	switch {
	case t.SyncID == "":
		return fmt.Errorf("landing %s: no sync id", t.Table)
	case t.Mode != FullRefresh && t.Mode != Incremental && t.Mode != Changes:
		return fmt.Errorf("landing %s: unknown mode %q", t.Table, t.Mode)
	case t.Mode == Incremental && t.CursorColumn == "":
		return fmt.Errorf("%w: an incremental sync of %s needs a cursor column", ErrNoCursor, t.Table)
	}
	if err := t.validateKey(); err != nil {
		return err
	}
	if t.CursorColumn != "" {
		c, ok := t.Table.Column(t.CursorColumn)
		if !ok {
			return fmt.Errorf("%w: %s has no column %q", ErrNoCursor, t.Table, t.CursorColumn)
		}
		if !c.Type.Ordered() {
			return fmt.Errorf("%w: column %q of %s is %s, which has no order", ErrNoCursor, c.Name, t.Table, c.Type)
		}
	}
	return nil
}

func (t Target) validateKey() error {
	if err := t.validateFollowing(); err != nil {
		return err
	}
	switch {
	case t.Merge && t.Mode != Incremental:
		return fmt.Errorf("landing %s: only an incremental sync merges", t.Table)
	case t.Merge && len(t.Key) == 0:
		return fmt.Errorf("%w: %s has no key to merge by; name its key, or append", ErrBadKey, t.Table)
	case t.Deleted != "" && !t.Merge:
		return fmt.Errorf("landing %s: only a merge removes rows", t.Table)
	case t.From != nil && (t.Mode != Incremental || t.Reset):
		return fmt.Errorf("landing %s: only an incremental sync that is no reset starts from a cursor", t.Table)
	case t.From != nil && t.From.Column != t.CursorColumn:
		return fmt.Errorf("%w: %s goes by %q and was to start from a cursor of %q", ErrNoCursor, t.Table, t.CursorColumn, t.From.Column)
	}
	seen := map[string]bool{}
	for _, name := range t.Key {
		if _, ok := t.Table.Column(name); !ok {
			return fmt.Errorf("%w: %s has no column %q", ErrBadKey, t.Table, name)
		}
		if column, _ := t.Table.Column(name); t.Merge || t.follows() && !t.Log {
			if _, err := keys.Canonical(name, column.Equality); err != nil {
				return err
			}
		}
		if seen[name] {
			return fmt.Errorf("%w: %s names column %q twice", ErrBadKey, t.Table, name)
		}
		seen[name] = true
	}
	if _, ok := t.Table.Column(t.Deleted); t.Deleted != "" && !ok {
		return fmt.Errorf("%w: %s has no column %q that says which rows are deleted", ErrBadTable, t.Table, t.Deleted)
	}
	return nil
}

func (t Target) validateFollowing() error {
	switch {
	case t.Position != "" && t.Mode != FullRefresh:
		return fmt.Errorf("landing %s: only a full refresh is given the position that changes go on behind", t.Table)
	case (t.Log || t.Soft) && !t.follows(), t.Log && t.Soft:
		return fmt.Errorf("landing %s: changes land as a log, or leave deleted rows, and nothing else does", t.Table)
	case t.follows() && !t.Log && len(t.Key) == 0:
		return fmt.Errorf("%w: %s has no key to apply changes by; name its key, or land the changes themselves", ErrBadKey, t.Table)
	}
	return nil
}

// Committed says how much of a sync has landed in a table. The counts are
// totals of the sync, over all its commits and attempts.
type Committed struct {
	Records, Bytes int64
	Files          int
	// Total counts the rows that readers see in the table, of this sync and of
	// those before.
	Total int64
	// SnapshotID is 0 while nothing of the sync is visible.
	SnapshotID int64
	// Location is the table's folder as a URL.
	Location string
	// Cursor is where the next incremental read goes on.
	Cursor driver.Cursor
	// Deleted counts the rows of the sync that came marked as deleted, and the keys
	// that changes removed; Records includes them.
	Deleted int64
	// Upkeep says, after a final commit, that a maintenance of the table is due.
	Upkeep bool
	// AsOf is when the read of the sync's rows began, the first one if there were
	// several attempts; nil if nothing is committed or the time is not known.
	AsOf *time.Time
}
