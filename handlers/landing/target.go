package landing

import (
	"fmt"

	"headwater/bus/event"
	"headwater/connectors/driver"
)

// How a sync lands.
const (
	// FullRefresh replaces everything the table held, in one commit at the end.
	FullRefresh = "full_refresh"
	// Incremental appends rows behind the cursor, in as many commits as wanted.
	Incremental = "incremental"
)

// Target says what one attempt of a sync lands where.
type Target struct {
	Address event.Address
	Table   driver.Table
	SyncID  string
	// Fence orders the attempts at one table: a later attempt has a larger one.
	Fence uint64
	Mode  string // FullRefresh or Incremental
	// CursorColumn is what an incremental sync goes by. A full refresh may name
	// it too, so that later incremental syncs go on behind it.
	CursorColumn string
}

func (t Target) validate() error {
	switch {
	case t.SyncID == "":
		return fmt.Errorf("landing %s: no sync id", t.Table)
	case t.Mode != FullRefresh && t.Mode != Incremental:
		return fmt.Errorf("landing %s: unknown mode %q", t.Table, t.Mode)
	case t.Mode == Incremental && t.CursorColumn == "":
		return fmt.Errorf("%w: an incremental sync of %s needs a cursor column", ErrNoCursor, t.Table)
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
}

// Column is one column of a landed table.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"` // as driver.Type names it; JSON is a string
}
