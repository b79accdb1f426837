package layout

import (
	"time"

	"headwater/bus/event"
)

// Schedule is when a source is synced by itself.
type Schedule struct {
	event.Schedule
	Version  int        `json:"version"`
	Sentence string     `json:"sentence"`
	Anchor   *time.Time `json:"anchor,omitempty"`
	DelayMS  int64      `json:"delay_ms,omitempty"`
	// NextRun is when the next run is due, as the source's events say; nil while
	// none is.
	NextRun   *time.Time `json:"next_run,omitempty"`
	AfterSync string     `json:"after_sync,omitempty"` // that made NextRun due
	Since     *time.Time `json:"since,omitempty"`      // the source was removed before
	LastRun   *Run       `json:"last_run,omitempty"`
}

// Run is what became of a run of a schedule, or of several that were missed.
type Run struct {
	Due         time.Time `json:"due"` // of the last
	At          time.Time `json:"at"`
	LateMS      int64     `json:"late_ms"`
	Outcome     string    `json:"outcome"` // started, attached, skipped, missed
	Runs        int       `json:"runs"`
	SyncID      string    `json:"sync_id,omitempty"`
	OperationID string    `json:"operation_id"`
	Message     string    `json:"message,omitempty"`
}

// What Run.Outcome may be, beside an event's.
const (
	RunSkipped = "skipped"
	RunMissed  = "missed"
)

// RunKey returns where a source is found by the next run of its schedule, which
// must be due.
func RunKey(src *Source) []byte {
	a := src.Address
	k := PutSequence([]byte{KeyRun}, Millisecond(*src.Schedule.NextRun))
	for _, text := range []string{a.Organization, a.Workspace, a.Owner, a.Source} {
		k = PutText(k, text)
	}
	return k
}

// schedule writes what clients are shown of a schedule, null for none.
func (o *Object) schedule(name string, s *Schedule) {
	if s == nil {
		o.Raw(name, nil)
		return
	}
	o.open(name)
	o.scheduleFields(s)
	o.close()
}

func (o *Object) scheduleFields(s *Schedule) {
	o.textOrNone("cron", s.Cron)
	o.textOrNone("time_zone", s.TimeZone)
	o.textOrNone("every", s.Every)
	o.textOrNone("after", s.After)
	o.textOrNone("jitter", s.Jitter)
	o.Text("missed", s.Missed)
	o.Text("overlap", s.Overlap)
	o.truth("paused", s.Paused)
	if len(s.Options) > 0 {
		o.Raw("sync_options", s.Options)
	}
	o.Number("version", int64(s.Version))
	o.Text("sentence", s.Sentence)
	o.TimeOrNull("next_run", s.NextRun)
	if s.LastRun == nil {
		o.Raw("last_run", nil)
		return
	}
	r := s.LastRun
	o.open("last_run")
	o.Time("due", r.Due)
	o.Time("at", r.At)
	o.Number("late_ms", r.LateMS)
	o.Text("outcome", r.Outcome)
	o.Number("runs", int64(r.Runs))
	o.TextOrNull("sync_id", r.SyncID)
	o.TextOrNull("operation_id", r.OperationID)
	o.TextOrNull("message", r.Message)
	o.close()
}

// AppendSchedule appends what clients are shown of a schedule, but for its end:
// readers go on with Extend's fields of their own.
func AppendSchedule(b []byte, s *Schedule) []byte {
	o := objectIn(b)
	o.scheduleFields(s)
	return o.End()
}
