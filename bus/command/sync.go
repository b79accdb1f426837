package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"time"
)

// SyncSource asks to land a source's tables in the lake.
type SyncSource struct {
	Meta
	SyncID  string      `json:"sync_id"`
	Options SyncOptions `json:"options"`
}

// FollowSource asks to land the changes of a source's tables as they happen, until
// the schedule that asks for it is replaced or removed.
type FollowSource struct {
	Meta
	SyncID  string      `json:"sync_id"`
	Options SyncOptions `json:"options"` // with mode Capture
	Version int         `json:"version"` // of the schedule
}

// ReleaseChanges asks the server of a removed source to release the log that it
// retains for this reader, if the source is still removed by that event. No user
// requests it.
type ReleaseChanges struct {
	Meta
	Removed uint64 `json:"removed_sequence"` // sequence of its SourceRemoved
}

// SyncOptions are the sync_options of a request. Tables are named "table" or
// "namespace.table". A text that is not the name of a table is a pattern over
// such names, in which * matches any text. The zero value of a field means its
// default.
type SyncOptions struct {
	Mode        string             `json:"mode,omitempty"`            // FullRefresh (default), Incremental or Capture
	BatchSize   int                `json:"batch_size,omitempty"`      // rows in a batch; 0 for the default
	Tables      []string           `json:"tables,omitempty"`          // patterns; all tables if empty
	CursorField map[string]string  `json:"cursor_columns,omitempty"`  // by table: cursor column
	Merge       bool               `json:"merge,omitempty"`           // with incremental: replace rows with the same primary key
	Columns     map[string]Columns `json:"columns,omitempty"`         // by table pattern: the columns to read
	Lookback    Lookback           `json:"lookback,omitempty"`        // how far before the cursor an incremental read begins
	Parallelism int                `json:"parallelism,omitempty"`     // connections used to read one table; 0 for the default
	Reset       []string           `json:"reset,omitempty"`           // patterns of tables that start over
	StartFrom   map[string]string  `json:"start_from,omitempty"`      // by table: cursor value of an earlier checkpoint
	Deleted     map[string]string  `json:"deleted_columns,omitempty"` // with merge, by table: column that marks deleted rows
	Timeout     Duration           `json:"timeout,omitempty"`         // time limit of the whole sync
	TableLimit  Duration           `json:"table_timeout,omitempty"`   // time limit of one table, including retries
	AllowEmpty  bool               `json:"allow_empty,omitempty"`     // a file or an API that returns no row empties its table

	Exclude          []string            `json:"exclude,omitempty"`            // patterns of tables to leave out, even if Tables names them
	KeyColumns       map[string][]string `json:"key_columns,omitempty"`        // by table: columns that identify its rows, instead of a primary key
	OnReplaced       string              `json:"on_replaced,omitempty"`        // if a table is not the one that its cursor belongs to: Restart (default) or Stop
	OnColumnsChanged string              `json:"on_columns_changed,omitempty"` // if columns of old rows differ from what has landed: Reread (default) or Keep
	IdleTimeout      Duration            `json:"idle_timeout,omitempty"`       // how long a source may send nothing while it is read
	Maintenance      string              `json:"maintenance,omitempty"`        // after a sync: MaintenanceAuto (default) or MaintenanceOff
	Always           bool                `json:"always,omitempty"`             // store these options with the source, in place of those it stores

	// Only with mode Capture.
	MaxDelay   Duration `json:"max_delay,omitempty"`       // longest time from a change to its commit; default 10 s
	Changes    string   `json:"changes,omitempty"`         // MergeChanges (default) or AppendChanges
	SoftDelete bool     `json:"soft_delete,omitempty"`     // deleted rows stay and are marked
	LagWarn    int64    `json:"lag_warn_bytes,omitempty"`  // bytes of log retained by the source, above which ChangesLagging is published
	LagLimit   int64    `json:"lag_limit_bytes,omitempty"` // bytes of log retained by the source, above which the log is given up
}

// Modes of a sync.
const (
	FullRefresh = "full_refresh" // replaces everything landed before, in one commit at the end
	Incremental = "incremental"  // appends rows beyond the cursor
	Capture     = "cdc"          // reads tables whole once, and then their changes from the source's log
)

// Values of SyncOptions.OnReplaced, OnColumnsChanged, Maintenance and Changes.
const (
	MergeChanges  = "merge"  // the landed table equals the source's table
	AppendChanges = "append" // the landed table lists every change at the source

	Restart = "restart" // the table starts over
	Stop    = "stop"    // the table fails and keeps what has landed
	Reread  = "reread"  // the table is read once in full
	Keep    = "keep"    // old rows stay as they landed, and the result says so

	MaintenanceAuto = "auto" // tables are maintained when it is worthwhile
	MaintenanceOff  = "off"  // tables are maintained on request only
)

// Columns selects columns of a table.
type Columns struct {
	Exclude []string `json:"exclude"` // patterns of columns that are neither read nor landed
}

// Duration is a duration written as "90s", "15m", "2h", "3d" or "4w", or a
// combination such as "1h30m". "" is none.
type Duration string

// ErrDuration is returned for a text that is not a Duration above zero.
var ErrDuration = errors.New(`is not a length of time such as "90s", "15m", "2h", "3d" or "4w", of at most 36500d`)

var weeksAndDays = regexp.MustCompile(`^(?:(\d{1,6})w)?(?:(\d{1,6})d)?`)

// Value returns the duration, or 0 for "". It returns ErrDuration if the text is
// malformed, not above zero, or longer than 36500 days.
func (d Duration) Value() (time.Duration, error) {
	if d == "" {
		return 0, nil
	}
	const most = 36_500 * 24 * time.Hour
	var total time.Duration
	rest := string(d)
	if m := weeksAndDays.FindStringSubmatch(rest); m[0] != "" {
		weeks, _ := strconv.Atoi(m[1]) // at most six digits; 0 if missing
		days, _ := strconv.Atoi(m[2])
		if days += 7 * weeks; days > 36_500 {
			return 0, ErrDuration
		}
		total, rest = time.Duration(days)*24*time.Hour, rest[len(m[0]):]
	}
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || more <= 0 || more > most {
			return 0, ErrDuration
		}
		total += more
	}
	if total <= 0 || total > most {
		return 0, ErrDuration
	}
	return total, nil
}

// Lookback is an overlap before the cursor: a Duration for a cursor of times, a
// whole number for a cursor of numbers. "" is none.
type Lookback string

// UnmarshalJSON decodes a string or a whole number. For anything else it returns
// a json.UnmarshalTypeError, to which encoding/json adds the field's name.
func (l *Lookback) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '"' {
		var text string
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		*l = Lookback(text)
		return nil
	}
	var n *int64
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	if n != nil {
		*l = Lookback(strconv.FormatInt(*n, 10))
	}
	return nil
}

// Number returns the overlap of a cursor of numbers, and false if it is not a
// number.
func (l Lookback) Number() (int64, bool) {
	n, err := strconv.ParseInt(string(l), 10, 64)
	return n, err == nil && n > 0
}

// Time returns the overlap of a cursor of times, and false if it is not a
// Duration.
func (l Lookback) Time() (time.Duration, bool) {
	d, err := Duration(l).Value()
	return d, err == nil && d > 0
}
