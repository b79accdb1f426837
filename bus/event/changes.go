package event

import "time"

// Changes is where a reader stands in its source's log of changes.
type Changes struct {
	// Position is that up to which every change of every table has landed.
	Position string `json:"position"`
	// CommittedAt is when the last transaction that landed was committed, by the
	// source's clock; absent before there is one.
	CommittedAt *time.Time `json:"committed_at,omitempty"`
	// FreshUntil is up to when the lake is complete, by the clock of the worker: that
	// at which it had seen the log's end and landed what lay before it, or else of
	// CommittedAt. It is absent before all tables were read.
	FreshUntil *time.Time `json:"fresh_until,omitempty"`
	// At is when the source was asked what follows, absent before it was. Sizes are
	// absent where the source does not tell.
	At            *time.Time `json:"at,omitempty"`
	BehindBytes   *int64     `json:"behind_bytes,omitempty"`   // of log behind Position
	BehindSeconds *int64     `json:"behind_seconds,omitempty"` // since the oldest change that has not landed, about; 0 with none
	RetainedBytes *int64     `json:"retained_bytes,omitempty"` // of log that the source keeps for this reader
	LeftBytes     *int64     `json:"left_bytes,omitempty"`     // that may come before the source gives the reader up
	SlotState     string     `json:"slot_state,omitempty"`     // in the source's words
	Message       string     `json:"message,omitempty"`        // for people
}

// ChangesLanded is a checkpoint of a sync of mode cdc: everything up to a position
// of the source's log has landed, and the source may forget it. It comes at most
// every 10 s, and at least every 30 s while the sync runs.
type ChangesLanded struct {
	Meta
	SyncID  string  `json:"sync_id"`
	Changes Changes `json:"changes"`
	Records int64   `json:"records_processed"` // by the whole sync so far
	Bytes   int64   `json:"bytes"`
}

// ChangesLagging says that the source keeps more of its log for this reader than
// sync_options.lag_warn_bytes, which costs its disk. It comes once, until that is
// over: then it says so.
type ChangesLagging struct {
	Meta
	SyncID    string  `json:"sync_id"`
	Over      bool    `json:"over,omitempty"` // it lags no more
	WarnBytes int64   `json:"warn_bytes"`
	Changes   Changes `json:"changes"`
	Message   string  `json:"message"`
}

// ChangesGivenUp says that the source's log is not followed any more: the next sync
// of mode cdc reads every table whole.
type ChangesGivenUp struct {
	Meta
	SyncID   string `json:"sync_id,omitempty"`
	Reader   string `json:"reader"`             // as the source calls it
	Position string `json:"position,omitempty"` // up to which everything had landed
	Released bool   `json:"released"`           // the source keeps nothing for it any more
	Reason   Reason `json:"reason"`
	Message  string `json:"message"` // why; what is left at the source, and how it is removed
}

func (*ChangesLanded) EventName() string  { return "ChangesLanded" }
func (*ChangesLagging) EventName() string { return "ChangesLagging" }
func (*ChangesGivenUp) EventName() string { return "ChangesGivenUp" }
