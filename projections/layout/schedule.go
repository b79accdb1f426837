package layout

import (
	"time"

	"headwater/bus/event"
)

// Schedule says when a source is synced without a request.
type Schedule struct {
	event.Schedule
	Version  int        `json:"version"`
	Sentence string     `json:"sentence"`
	Anchor   *time.Time `json:"anchor,omitempty"`
	DelayMS  int64      `json:"delay_ms,omitempty"`
	// NextRun is when the next run is due, as the source's events say; nil if
	// none is.
	NextRun   *time.Time `json:"next_run,omitempty"`
	AfterSync string     `json:"after_sync,omitempty"` // sync that made NextRun due
	Since     *time.Time `json:"since,omitempty"`      // when the source that it follows was removed
	LastRun   *Run       `json:"last_run,omitempty"`
	Failures  int        `json:"failures,omitempty"` // in a row, of a continuous one's syncs
}

// Run is the outcome of a run of a schedule, or of several that were missed.
type Run struct {
	Due         time.Time `json:"due"` // when it was due; the last of several
	At          time.Time `json:"at"`
	LateMS      int64     `json:"late_ms"`
	Outcome     string    `json:"outcome"` // started, attached, skipped, missed
	Runs        int       `json:"runs"`
	SyncID      string    `json:"sync_id,omitempty"`
	OperationID string    `json:"operation_id"`
	Message     string    `json:"message,omitempty"`
}

// Values of Run.Outcome besides those of events.
const (
	RunSkipped = "skipped"
	RunMissed  = "missed"
)

// RunKey returns the key of the source in the index by next run, which must be
// due.
func RunKey(src *Source) []byte {
	a := src.Address
	k := PutSequence([]byte{KeyRun}, Millisecond(*src.Schedule.NextRun))
	for _, text := range []string{a.Organization, a.Workspace, a.Owner, a.Source} {
		k = PutText(k, text)
	}
	return k
}

// schedule writes the document of a schedule, or null for none.
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
	o.truthOrNone("continuous", s.Continuous)
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

// AppendSchedule appends the document of a schedule without its end. Readers
// continue it with Extend.
func AppendSchedule(b []byte, s *Schedule) []byte {
	o := objectIn(b)
	o.scheduleFields(s)
	return o.End()
}
