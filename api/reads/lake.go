package reads

import (
	"context"
	"errors"
	"time"

	"headwater/bus/event"
)

// Lake says where landed tables are stored and reads rows of them. The wiring
// adapts the lake to it. Its methods return ErrNotLanded for a table that has
// never landed, and are safe for concurrent use.
type Lake interface {
	// Place returns the URLs of a table's folder and of the metadata file that
	// defines it now.
	Place(ctx context.Context, a event.Address, namespace, table string) (location, metadata string, err error)
	// Bucket returns the settings that a reader of a lake in a bucket needs
	// besides the URL; no credentials.
	Bucket() map[string]string
	// Show returns up to limit rows of the table at that moment. The values
	// marshal to JSON; an int64 may exceed what JSON readers represent exactly.
	// Show returns ErrNotLanded if nothing had landed by then, ErrExpired or
	// ErrLake.
	Show(ctx context.Context, a event.Address, namespace, table string, limit int, moment Moment) (Shown, error)
}

// Errors of a Lake. Each becomes a failure that the caller sees.
var (
	ErrNotLanded = errors.New("nothing of the table has landed")
	// ErrExpired says that the lake no longer has the snapshot.
	ErrExpired = errors.New("the snapshot is no longer kept")
	// ErrLake says that the lake cannot return its files now.
	ErrLake = errors.New("the lake does not answer")
)

// Moment selects a state of a table, by snapshot or by time. The zero Moment is
// now.
type Moment struct {
	SnapshotID int64
	Time       time.Time
}

// Shown is a sample of a landed table's rows.
type Shown struct {
	SnapshotID int64     // 0 before the first commit
	At         time.Time // when the snapshot was committed
	Total      int64     // rows of the whole snapshot
	Columns    []ShownColumn
	Rows       [][]any
	Shortened  []ShownShort
	Truncated  bool   // the snapshot has more rows
	Ended      string // the limit that ended the sample: "bytes", "time" or ""
}

// ShownColumn is a column of the landed table.
type ShownColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// ShownShort is a value of which only the beginning is shown: its row and column
// in Shown, and its full size in bytes.
type ShownShort struct{ Row, Column, Bytes int }
