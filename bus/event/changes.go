package event

import "time"

// Changes is the position of a reader in its source's log of changes.
type Changes struct {
	// Position is the position up to which every change of every table has landed.
	Position string `json:"position"`
	// CommittedAt is when the last landed transaction was committed, by the source's
	// clock; absent before the first.
	CommittedAt *time.Time `json:"committed_at,omitempty"`
	// FreshUntil is the time up to which the lake is complete, by the worker's clock:
	// when it had landed everything up to the end of the log, else CommittedAt as that clock
	// showed it, whatever the source's does. It is absent until all tables have been read.
	FreshUntil *time.Time `json:"fresh_until,omitempty"`
	// At is when the source was asked about the rest of its log; absent before the
	// first time. Sizes are absent if the source does not report them.
	At            *time.Time `json:"at,omitempty"`
	BehindBytes   *int64     `json:"behind_bytes,omitempty"`   // of log after Position
	BehindSeconds *int64     `json:"behind_seconds,omitempty"` // approximate age of the oldest change that has not landed; 0 if there is none
	RetainedBytes *int64     `json:"retained_bytes,omitempty"` // of log that the source retains for this reader
	LeftBytes     *int64     `json:"left_bytes,omitempty"`     // that may still be written before the source drops the reader
	SlotState     string     `json:"slot_state,omitempty"`     // in the source's words
	Message       string     `json:"message,omitempty"`        // for people
}

// ChangesLanded is a checkpoint of a sync with mode cdc: everything up to a position
// in the source's log has landed, and the source may discard it. It is published
// at most every 10 s, and at least every 30 s while the sync runs.
type ChangesLanded struct {
	Meta
	SyncID  string  `json:"sync_id"`
	Changes Changes `json:"changes"`
	Records int64   `json:"records_processed"` // by the whole sync so far
	Bytes   int64   `json:"bytes"`
}

// ChangesLagging says that the source retains more of its log for this reader than
// sync_options.lag_warn_bytes, which takes up its disk. It is published once, and
// again with Over when the lag is below the limit.
type ChangesLagging struct {
	Meta
	SyncID    string  `json:"sync_id"`
	Over      bool    `json:"over,omitempty"` // the lag is below the limit again
	WarnBytes int64   `json:"warn_bytes"`
	Changes   Changes `json:"changes"`
	Message   string  `json:"message"`
}

// ChangesGivenUp says that the source's log is no longer followed: the next sync
// with mode cdc reads every table whole.
type ChangesGivenUp struct {
	Meta
	SyncID   string `json:"sync_id,omitempty"`
	Reader   string `json:"reader"`             // the source's name for the reader
	Position string `json:"position,omitempty"` // position up to which everything had landed
	Released bool   `json:"released"`           // the source retains nothing for the reader any more
	Reason   Reason `json:"reason"`
	Message  string `json:"message"` // why; what is left at the source, and how it is removed
	// Left is the sequence of the SourceConnected by which the source has left the server
	// that this is about; 0 for the server that it has.
	Left uint64 `json:"left,omitempty"`
}

// EventName returns the literal name of the event on the wire, which never changes.
func (*ChangesLanded) EventName() string  { return "ChangesLanded" }
func (*ChangesLagging) EventName() string { return "ChangesLagging" }
func (*ChangesGivenUp) EventName() string { return "ChangesGivenUp" }
