// Package readmodel is what a node knows of sources when a command is decided: the state
// that its projection has folded from their histories. It reads, and decides nothing.
package readmodel

import (
	"context"
	"encoding/json"
	"time"

	"headwater/bus/event"
)

// State is the read model of sources on this node, which may lag behind the history. Its
// errors are those of the store. It is safe for concurrent use. See Projected.
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
	Last            uint64    // sequence of the newest event that it includes, 0 if that is not known
	Connected       bool      // and not removed
	Removal         *Removal  // of one that was removed, else nil
	Created         time.Time // when it was connected first
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
	// Moved is the sequence of the SourceConnected that moved the source last to a server
	// without its log, 0 for none. A position is one in the log of the server that the
	// source had when Moved was the same.
	Moved uint64
	Left  []Left // servers that may keep a log for it, which it has left
	Taken *Taken // nil if the server that it has keeps no log for it
}

// Taken says that a sync of mode cdc has begun since the source's server let its log go last:
// it may keep one, whether or not a position was told.
type Taken struct {
	Sequence uint64    // of the latest SyncStarted of such a sync
	At       time.Time // when that sync began or, once it has ended, when it did
}

// Left is a server that a source has left, and that may still keep its log of changes.
type Left struct {
	Moved     uint64 // sequence of the SourceConnected by which it was left
	Connector string
	Config    json.RawMessage
	SecretRef string
	Position  string // up to which everything had landed
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

// PlacedTable is a landed table with the address of its source.
type PlacedTable struct {
	Address         event.Address
	Namespace, Name string
}

// Removal is how a source was removed.
type Removal struct {
	Sequence       uint64 // of its SourceRemoved
	At             time.Time
	Purged         bool // it can never be restored; its keys and tables are destroyed or about to be
	Destroyed      bool // nothing of it is left
	DestroyedAfter time.Time
}

// Due is a removal whose grace period has passed.
type Due struct {
	Address event.Address
	Removed uint64 // Removal.Sequence
}

// DueRun is a run of a schedule that is due and not decided yet.
type DueRun struct {
	Address event.Address
	Version int
	Due     time.Time
}

// Running is a sync under way.
type Running struct {
	SyncID    string
	Attempt   int
	Fence     uint64 // sequence of its newest SyncStarted
	Mode      string
	Operation event.Operation
	Started   time.Time // its first attempt
	Updated   time.Time // its newest event
}

// Scheduled is the state of a source's schedule.
type Scheduled struct {
	event.Schedule
	Version   int
	Sentence  string
	Anchor    time.Time
	Next      time.Time // when the next run is due, zero for none
	AfterSync string
	Since     time.Time // the source was removed before
	Operation string    // of its last run, "" before the first
	Started   bool      // that run began the sync SyncID
	SyncID    string
}

// Sync is one sync, under way or ended.
type Sync struct {
	Ended   bool
	Mode    string
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

// GoesOn reports whether the running sync is the continuous one of the source's schedule.
func (s Source) GoesOn() bool {
	k := s.Schedule
	return k != nil && k.Continuous && k.Started && s.Running != nil && k.Operation == s.Running.Operation.ID
}

// TargetOf returns the target of a source, by the sync it asked for unless that is ""; false
// without one.
func (o Operation) TargetOf(source, syncID string) (Target, bool) {
	for _, t := range o.Targets {
		if t.SourceID == source && (syncID == "" || t.SyncID == "" || t.SyncID == syncID) {
			return t, true
		}
	}
	return Target{}, false
}
