// Package webhooks delivers events to URLs: a Registry keeps what is delivered
// where, a Deliverer does it. DESIGN.md says what that guarantees.
package webhooks

import (
	"strings"
	"time"

	"headwater/bus/event"
)

// Webhook says which events go where. It holds no secret but references.
type Webhook struct {
	ID           string    `json:"id"`
	Organization string    `json:"organization"`
	Workspace    string    `json:"workspace_id"`
	Owner        string    `json:"owner"` // user name; empty for scope "organization"
	URL          string    `json:"url"`
	Description  string    `json:"description"`
	Types        []string  `json:"types"`     // names of events; all of sources if empty
	SourceID     string    `json:"source_id"` // all if empty
	After        uint64    `json:"after"`     // only later events than this sequence
	CreatedAt    time.Time `json:"created_at"`
	CreatedBy    string    `json:"created_by"`

	SecretRef     string    `json:"secret_ref"`
	PreviousRef   string    `json:"previous_ref,omitempty"` // signs too, until PreviousUntil
	PreviousUntil time.Time `json:"previous_until"`
}

// Address returns where the webhook and its secrets belong.
func (w *Webhook) Address() event.Address {
	return event.Address{Organization: w.Organization, Workspace: w.Workspace, Owner: w.Owner, Source: w.ID}
}

// Filters returns the subjects of the events that the webhook means: no more
// than its owner may read, in its workspace. No two of them overlap.
func (w *Webhook) Filters() []string {
	owners := []string{event.Shared}
	if w.Owner != "" {
		owners = append(owners, event.Token(w.Owner))
	}
	source, names := "*", w.Types
	if w.SourceID != "" {
		source = event.Token(w.SourceID)
	}
	if len(names) == 0 {
		names = []string{"*"}
	}
	var filters []string
	for _, owner := range owners {
		for _, name := range names {
			filters = append(filters, strings.Join([]string{event.SubjectPrefix, event.Token(w.Organization), event.Token(w.Workspace), owner, source, name}, "."))
		}
	}
	return filters
}

// State is how far a webhook is and what its last attempts came to. Times are
// nil before there was such a thing.
type State struct {
	Floor uint64   `json:"floor"`           // everything up to here was taken
	Ahead []uint64 `json:"ahead,omitempty"` // taken beyond it, ascending

	LastDelivered   uint64     `json:"last_delivered"` // sequence
	LastDeliveredAt *time.Time `json:"last_delivered_at,omitempty"`
	Failures        int        `json:"failures"` // attempts since one was taken
	LastAttemptAt   *time.Time `json:"last_attempt_at,omitempty"`
	LastStatus      int        `json:"last_status"` // of HTTP; 0 when there was no answer
	LastReason      string     `json:"last_reason"` // empty when the last attempt was taken
	NextAttemptAt   *time.Time `json:"next_attempt_at,omitempty"`
	Waiting         []Waiting  `json:"waiting,omitempty"` // sources whose event was not taken, at most maxWaiting
}

// Waiting is a source (or operation, or test) whose next event was not taken.
type Waiting struct {
	SourceID      string     `json:"source_id"`
	Sequence      uint64     `json:"sequence"`
	Failures      int        `json:"failures"`
	Status        int        `json:"status"`
	Reason        string     `json:"reason"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
}

// Attempt is what became of one request to a receiver.
type Attempt struct {
	Status     int // 0 when there was no answer
	Reason     string
	Duration   time.Duration
	RetryAfter time.Duration // as the receiver asked, 0 if it did not
}

// Taken reports whether the receiver took the event.
func (a Attempt) Taken() bool { return a.Reason == "" }
