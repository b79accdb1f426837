// Package syncstate is what a snapshot says about the sync that made it: how far it
// is, and what its rows were read from.
package syncstate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headwater/connectors/driver"
	"headwater/handlers/landing/border"
)

// How a sync lands, as State.Mode says it.
const (
	FullRefresh = "full_refresh"
	Incremental = "incremental"
	Changes     = "cdc"
)

// What a snapshot says about the sync that made it, beside what Iceberg itself
// says. These names are read by other services.
const (
	propCursor       = "headwater.cursor" // JSON of driver.Cursor
	propCursorColumn = "headwater.cursor-column"
	PropSync         = "headwater.sync-id"
	propFence        = "headwater.fence"
	propGeneration   = "headwater.generation"
	propMode         = "headwater.mode"
	propFinal        = "headwater.final"
	propOverlap      = "headwater.overlap"
	propRecords      = "headwater.records" // of this sync so far
	propBytes        = "headwater.bytes"
	propFiles        = "headwater.files"
	propJSON         = "headwater.json-fields" // ids of the columns whose text is JSON
	propIdentity     = "headwater.identity"    // what the cursor belongs to, as the source says it
	propColumns      = "headwater.columns"     // JSON object: the columns read, each with a mark of what it is
	propLacking      = "headwater.lacking"     // JSON array: columns that older rows lack
	propBorder       = "headwater.border"      // JSON of border.Border
	propNotes        = "headwater.notes"       // JSON array: what this sync was told of the table
	propKey          = "headwater.key"         // JSON array: columns of which no two rows share the values
	propAsOf         = "headwater.as-of"       // RFC 3339: when the first read of this sync began
	propDeleted      = "headwater.deleted"     // rows of this sync so far that came marked as deleted
	propPosition     = "headwater.position"    // in the source's log: the table is complete up to there
	propMoved        = "headwater.moved"       // Moved, absent for 0
	propPositionAt   = "headwater.position-at" // RFC 3339: when the last transaction before it was committed at the source
	propFollowed     = "headwater.changes"     // JSON of followed: how changes behind the position land
	PropStateOf      = "headwater.state-of"    // of a maintenance: the snapshot whose state it repeats
)

// Replaced reports whether the sync that made a snapshot replaced all rows of its table,
// as the snapshot's summary says.
func Replaced(summary map[string]string) bool { return summary[propMode] == FullRefresh }

// State is what the current snapshot says.
type State struct {
	SnapshotID int64 // 0 when there is none
	Sync       string
	Fence      uint64
	Generation int64 // rises each time a commit replaces everything
	Mode       string
	Final      bool
	Cursor     driver.Cursor
	// Overlap, while a sync that reads rows again is under way, is where the
	// table had come to before it; nil otherwise. Rows up to there may have
	// landed, and the sync does not end before it.
	Overlap *driver.Cursor
	Records int64 // of that sync so far
	Bytes   int64
	Files   int
	Total   int64 // records of the whole table
	// JSON are the ids of the columns whose text is JSON. Iceberg has one type
	// for both. It is nil where nobody noted them.
	JSON   []int
	Origin Origin
	// Border is what has landed of the rows that the next read shows again, nil
	// where that is not known.
	Border *border.Border
	Notes  []string // of that sync so far
	// Key are columns by which each row of the table is one, nil where rows may
	// share their values: rows that are appended are versions.
	Key     []string
	Deleted int64 // rows of that sync so far that came marked as deleted
	// AsOf is when the first read began whose rows that sync committed, nil where
	// nobody noted it.
	AsOf *time.Time
	// Position is up to where in the source's log the table is complete, "" for one
	// that no log is followed into. Followed says how changes land.
	Position   string
	Moved      uint64     // of the source when the sync read it; see Target.Moved
	PositionAt *time.Time // nil where that is not known
	Followed   *Followed
}

// Followed says how the changes of a log land in a table. What lands in another
// way does not go on from there.
type Followed struct {
	Key  []string `json:"key,omitempty"`
	Log  bool     `json:"log,omitempty"`
	Soft bool     `json:"soft_delete,omitempty"`
}

// Same reports whether changes land in one way.
func (f *Followed) Same(as *Followed) bool {
	return f != nil && as != nil && f.Log == as.Log && f.Soft == as.Soft && slices.Equal(f.Key, as.Key)
}

// Properties returns what a snapshot is to say.
func (s State) Properties() (iceberg.Properties, error) {
	props := iceberg.Properties{
		propCursorColumn: s.Cursor.Column,
		PropSync:         s.Sync,
		propFence:        strconv.FormatUint(s.Fence, 10),
		propGeneration:   strconv.FormatInt(s.Generation, 10),
		propMode:         s.Mode,
		propFinal:        strconv.FormatBool(s.Final),
		propRecords:      strconv.FormatInt(s.Records, 10),
		propBytes:        strconv.FormatInt(s.Bytes, 10),
		propFiles:        strconv.Itoa(s.Files),
		propIdentity:     s.Origin.Identity,
		propDeleted:      strconv.FormatInt(s.Deleted, 10),
	}
	if s.Position != "" {
		props[propPosition] = s.Position
	}
	if s.Moved != 0 {
		props[propMoved] = strconv.FormatUint(s.Moved, 10)
	}
	for name, value := range map[string]any{
		propCursor: s.Cursor, propOverlap: s.Overlap, propJSON: append([]int{}, s.JSON...),
		propColumns: s.Origin.Columns, propLacking: s.Origin.Lacking, propBorder: s.Border, propNotes: s.Notes, propKey: s.Key, propAsOf: s.AsOf,
		propPositionAt: s.PositionAt, propFollowed: s.Followed,
	} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		if string(text) != "null" || name == propOverlap {
			props[name] = string(text)
		}
	}
	return props, nil
}

// Of reads the state of a table back. Snapshots that no sync made, such as another
// tool's compaction, are skipped: the newest sync before them counts. It returns an error
// that names the snapshot and the property that cannot be read.
func Of(meta table.Metadata) (State, error) {
	head := meta.CurrentSnapshot()
	if head == nil {
		return State{}, nil
	}
	made := SnapshotOf(meta)
	total, err := TotalRecords(head)
	if err != nil {
		return State{}, err
	}
	if made == nil {
		return State{SnapshotID: head.SnapshotID, Total: total}, nil
	}
	s, err := In(made)
	s.Total = total
	return s, err
}

// SnapshotOf returns the snapshot that says how far the table is, nil for none.
func SnapshotOf(meta table.Metadata) *table.Snapshot {
	made := meta.CurrentSnapshot()
	for made != nil && (made.Summary == nil || made.Summary.Properties[PropSync] == "") {
		if made.ParentSnapshotID == nil {
			return nil
		}
		made = meta.SnapshotByID(*made.ParentSnapshotID)
	}
	return made
}

// In reads the state from a snapshot that a sync made, without the Total.
func In(made *table.Snapshot) (State, error) {
	p := made.Summary.Properties
	s := State{SnapshotID: made.SnapshotID}
	var err error
	if of := p[PropStateOf]; of != "" {
		if s.SnapshotID, err = strconv.ParseInt(of, 10, 64); err != nil {
			return State{}, fmt.Errorf("snapshot %d: %s: %w", made.SnapshotID, PropStateOf, err)
		}
	}
	s.Sync, s.Mode, s.Final = p[PropSync], p[propMode], p[propFinal] == "true"
	s.Origin.Identity, s.Position = p[propIdentity], p[propPosition]
	for name, into := range map[string]any{ // which older snapshots lack
		propDeleted: &s.Deleted, propOverlap: &s.Overlap, propJSON: &s.JSON, propColumns: &s.Origin.Columns, propLacking: &s.Origin.Lacking,
		propBorder: &s.Border, propNotes: &s.Notes, propKey: &s.Key, propAsOf: &s.AsOf,
		propPositionAt: &s.PositionAt, propFollowed: &s.Followed, propMoved: &s.Moved,
	} {
		if text := p[name]; text != "" {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				return State{}, fmt.Errorf("snapshot %d: %s: %w", made.SnapshotID, name, err)
			}
		}
	}
	if err := json.Unmarshal([]byte(p[propCursor]), &s.Cursor); err != nil {
		return State{}, fmt.Errorf("snapshot %d: %s: %w", made.SnapshotID, propCursor, err)
	}
	if s.Fence, err = strconv.ParseUint(p[propFence], 10, 64); err != nil {
		return State{}, fmt.Errorf("snapshot %d: %s: %w", made.SnapshotID, propFence, err)
	}
	for _, n := range []struct {
		name string
		into *int64
	}{{propGeneration, &s.Generation}, {propRecords, &s.Records}, {propBytes, &s.Bytes}} {
		if *n.into, err = strconv.ParseInt(p[n.name], 10, 64); err != nil {
			return State{}, fmt.Errorf("snapshot %d: %s: %w", made.SnapshotID, n.name, err)
		}
	}
	if s.Files, err = strconv.Atoi(p[propFiles]); err != nil {
		return State{}, fmt.Errorf("snapshot %d: %s: %w", made.SnapshotID, propFiles, err)
	}
	return s, nil
}

// TotalRecords returns how many rows readers of a snapshot see. A summary without the
// counts is an error.
func TotalRecords(s *table.Snapshot) (int64, error) {
	if s.Summary == nil {
		return 0, fmt.Errorf("snapshot %d has no summary", s.SnapshotID)
	}
	n, err := strconv.ParseInt(s.Summary.Properties["total-records"], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("snapshot %d: total-records: %w", s.SnapshotID, err)
	}
	// A position delete that a sync or a tool wrote removes one row each.
	gone := s.Summary.Properties["total-position-deletes"]
	if gone == "" {
		return n, nil
	}
	deleted, err := strconv.ParseInt(gone, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("snapshot %d: total-position-deletes: %w", s.SnapshotID, err)
	}
	return n - deleted, nil
}
