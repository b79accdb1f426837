// Package webhooks delivers events to URLs. A Registry stores which events go
// where, and its Deliver sends them. DESIGN.md says what is guaranteed.
package webhooks

import (
	"strings"
	"time"

	"headwater/bus/event"
)

// Webhook says which events are sent where. It holds references to secrets,
// never a secret.
type Webhook struct {
	ID           string    `json:"id"`
	Organization string    `json:"organization"`
	Workspace    string    `json:"workspace_id"`
	Owner        string    `json:"owner"` // user name; "" for scope "organization"
	URL          string    `json:"url"`
	Description  string    `json:"description"`
	Types        []string  `json:"types"`     // names of events; all events of sources if empty
	SourceID     string    `json:"source_id"` // all if empty
	After        uint64    `json:"after"`     // only events after this sequence
	CreatedAt    time.Time `json:"created_at"`
	CreatedBy    string    `json:"created_by"`

	SecretRef     string    `json:"secret_ref"`
	PreviousRef   string    `json:"previous_ref,omitempty"` // signs as well until PreviousUntil
	PreviousUntil time.Time `json:"previous_until"`
}

// Address returns the address of the webhook and its secrets.
func (w *Webhook) Address() event.Address {
	return event.Address{Organization: w.Organization, Workspace: w.Workspace, Owner: w.Owner, Source: w.ID}
}

// Filters returns the subject filters of the webhook's events. They stay within
// what its owner may read in its workspace, and no two overlap.
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

// State is the progress of a webhook and the result of its last attempts. Times
// are nil if there was none.
type State struct {
	Floor uint64   `json:"floor"`           // all events up to this sequence were delivered
	Ahead []uint64 `json:"ahead,omitempty"` // delivered beyond Floor, ascending

	LastDelivered   uint64     `json:"last_delivered"` // sequence
	LastDeliveredAt *time.Time `json:"last_delivered_at,omitempty"`
	Failures        int        `json:"failures"` // failed attempts since the last success
	LastAttemptAt   *time.Time `json:"last_attempt_at,omitempty"`
	LastStatus      int        `json:"last_status"` // HTTP status; 0 if there was no answer
	LastReason      string     `json:"last_reason"` // "" if the last attempt succeeded
	NextAttemptAt   *time.Time `json:"next_attempt_at,omitempty"`
	Waiting         []Waiting  `json:"waiting,omitempty"` // sources whose next event was refused, at most maxWaiting
}

// Waiting is a source (or operation, or test) whose next event was refused.
type Waiting struct {
	SourceID      string     `json:"source_id"`
	Sequence      uint64     `json:"sequence"`
	Failures      int        `json:"failures"`
	Status        int        `json:"status"`
	Reason        string     `json:"reason"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
}

// Attempt is one request to a receiver.
type Attempt struct {
	Status     int // 0 if there was no answer
	Reason     string
	Duration   time.Duration
	RetryAfter time.Duration // as the receiver asked; 0 if it did not
}

// Taken reports whether the receiver accepted the event.
func (a Attempt) Taken() bool { return a.Reason == "" }
