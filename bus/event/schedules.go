package event

import (
	"encoding/json"
	"time"
)

// Schedule is when a source is synced by itself, and how. Exactly one of Cron,
// Every, After and Continuous is given.
type Schedule struct {
	Cron     string `json:"cron,omitempty"`      // five fields, or a name such as @daily
	TimeZone string `json:"time_zone,omitempty"` // of Cron, an IANA name
	Every    string `json:"every,omitempty"`     // a length of time such as "15m"
	After    string `json:"after,omitempty"`     // id of another source: after each sync of it
	// Continuous has changes landed as they come, by one sync that does not end.
	Continuous bool   `json:"continuous,omitempty"`
	Jitter     string `json:"jitter,omitempty"` // how much later a run may be; the source's id decides
	Missed     string `json:"missed"`           // once or skip: of runs whose time passed while nobody was there
	Overlap    string `json:"overlap"`          // attach or skip: when the source is syncing already
	Paused     bool   `json:"paused,omitempty"`
	// Options are the sync_options of its syncs, as their command holds them.
	Options json.RawMessage `json:"sync_options,omitempty"`
}

// ScheduleChanged says that a source has another schedule from now on, or none.
type ScheduleChanged struct {
	Meta
	Version  int       `json:"version"`            // from 1; it counts also where there is none any more
	Schedule *Schedule `json:"schedule,omitempty"` // absent where the source has none
	Sentence string    `json:"sentence,omitempty"` // the schedule in words
	// Anchor is the moment from which Every counts.
	Anchor *time.Time `json:"anchor,omitempty"`
	// DelayMS is how much later than named its runs are due, by Jitter.
	DelayMS int64 `json:"delay_ms,omitempty"`
	// NextRun is when the next run is due; absent while nothing is, or where no
	// clock decides.
	NextRun   *time.Time `json:"next_run,omitempty"`
	Unchanged bool       `json:"unchanged,omitempty"` // the same as before: no new version
}

// ScheduleFired says that a run of a schedule was due and is carried out: by the
// sync of the operation that the event belongs to, or by one that ran already.
type ScheduleFired struct {
	Meta
	Version   int        `json:"version"` // of the schedule
	Due       time.Time  `json:"due"`
	At        time.Time  `json:"at"`                   // by the clock of the worker that decided
	LateMS    int64      `json:"late_ms"`              // At after Due
	Outcome   string     `json:"outcome"`              // started or attached
	SyncID    string     `json:"sync_id"`              // of the sync, which may yet wait for its turn
	AfterSync string     `json:"after_sync,omitempty"` // the sync of the other source that made it due
	NextRun   *time.Time `json:"next_run,omitempty"`
}

// What ScheduleFired's Outcome may be.
const (
	RunStarted  = "started"
	RunAttached = "attached"
)

// ScheduleSkipped says that a run was due and is not carried out because the
// source was syncing, or about to.
type ScheduleSkipped struct {
	Meta
	Version int        `json:"version"`
	Due     time.Time  `json:"due"`
	At      time.Time  `json:"at"`
	LateMS  int64      `json:"late_ms"`
	SyncID  string     `json:"sync_id,omitempty"` // that ran, or waits
	Message string     `json:"message"`
	NextRun *time.Time `json:"next_run,omitempty"`
}

// ScheduleMissed says that runs were due and will not be carried out any more.
type ScheduleMissed struct {
	Meta
	Version int        `json:"version"`
	From    time.Time  `json:"from"`    // when the first was due
	Through time.Time  `json:"through"` // when the last was
	At      time.Time  `json:"at"`
	Count   int        `json:"count"`
	AtLeast bool       `json:"at_least,omitempty"` // more were not counted
	Reason  Reason     `json:"reason"`             // why nobody carried them out
	Message string     `json:"message"`
	NextRun *time.Time `json:"next_run,omitempty"`
}

func (*ScheduleChanged) EventName() string { return "ScheduleChanged" }
func (*ScheduleFired) EventName() string   { return "ScheduleFired" }
func (*ScheduleSkipped) EventName() string { return "ScheduleSkipped" }
func (*ScheduleMissed) EventName() string  { return "ScheduleMissed" }
