package event

import (
	"encoding/json"
	"time"
)

// Schedule says when and how a source is synced without a request. Exactly one of
// Cron, Every, After and Continuous is set.
type Schedule struct {
	Cron     string `json:"cron,omitempty"`      // five fields, or a name such as @daily
	TimeZone string `json:"time_zone,omitempty"` // IANA time zone of Cron
	Every    string `json:"every,omitempty"`     // a duration such as "15m"
	After    string `json:"after,omitempty"`     // id of another source: run after each of its syncs
	// Continuous lands changes as they happen, with one sync that does not end.
	Continuous bool   `json:"continuous,omitempty"`
	Jitter     string `json:"jitter,omitempty"` // maximum delay of a run; the source's id determines the delay
	Missed     string `json:"missed"`           // once or skip: what to do about runs that nobody could start in time
	Overlap    string `json:"overlap"`          // attach or skip: what to do if the source is syncing already
	Paused     bool   `json:"paused,omitempty"`
	// Options are the sync_options of its syncs, as their command holds them.
	Options json.RawMessage `json:"sync_options,omitempty"`
}

// ScheduleChanged says that a source has another schedule from now on, or none.
type ScheduleChanged struct {
	Meta
	Version  int       `json:"version"`            // from 1; it also counts removals
	Schedule *Schedule `json:"schedule,omitempty"` // absent if the source has none
	Sentence string    `json:"sentence,omitempty"` // the schedule in words
	// Anchor is the time from which Every counts.
	Anchor *time.Time `json:"anchor,omitempty"`
	// DelayMS is the delay of its runs, within Jitter.
	DelayMS int64 `json:"delay_ms,omitempty"`
	// NextRun is when the next run is due; absent if none is, or if the schedule
	// follows another source.
	NextRun   *time.Time `json:"next_run,omitempty"`
	Unchanged bool       `json:"unchanged,omitempty"` // the schedule equals the previous one: no new version
}

// ScheduleFired says that a run was due and is carried out, by the sync of the
// event's operation or by one that was running already.
type ScheduleFired struct {
	Meta
	Version   int        `json:"version"` // of the schedule
	Due       time.Time  `json:"due"`
	At        time.Time  `json:"at"`                   // by the clock of the worker that decided
	LateMS    int64      `json:"late_ms"`              // At minus Due
	Outcome   string     `json:"outcome"`              // started or attached
	SyncID    string     `json:"sync_id"`              // the sync, which may still be waiting for a worker
	AfterSync string     `json:"after_sync,omitempty"` // the sync of the other source that made it due
	NextRun   *time.Time `json:"next_run,omitempty"`
}

// Values of ScheduleFired.Outcome.
const (
	RunStarted  = "started"
	RunAttached = "attached"
)

// ScheduleSkipped says that a run was due and is not carried out, because the
// source was syncing or about to.
type ScheduleSkipped struct {
	Meta
	Version int        `json:"version"`
	Due     time.Time  `json:"due"`
	At      time.Time  `json:"at"`
	LateMS  int64      `json:"late_ms"`
	SyncID  string     `json:"sync_id,omitempty"` // the sync that was running or waiting
	Message string     `json:"message"`
	NextRun *time.Time `json:"next_run,omitempty"`
}

// ScheduleMissed says that runs were due and will not be carried out.
type ScheduleMissed struct {
	Meta
	Version int        `json:"version"`
	From    time.Time  `json:"from"`    // when the first was due
	Through time.Time  `json:"through"` // when the last was due
	At      time.Time  `json:"at"`
	Count   int        `json:"count"`
	AtLeast bool       `json:"at_least,omitempty"` // there were more
	Reason  Reason     `json:"reason"`             // why nobody carried them out
	Message string     `json:"message"`
	NextRun *time.Time `json:"next_run,omitempty"`
}

// EventName returns the literal name of the event on the wire, which never changes.
func (*ScheduleChanged) EventName() string { return "ScheduleChanged" }
func (*ScheduleFired) EventName() string   { return "ScheduleFired" }
func (*ScheduleSkipped) EventName() string { return "ScheduleSkipped" }
func (*ScheduleMissed) EventName() string  { return "ScheduleMissed" }
