// Package events has the call that reads the log: pages of events, and streams of
// them (server-sent events). What a caller may see is decided by its token alone.
package events

import (
	"context"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/quota"
	"headwater/bus/event"
)

// History reads the log. *bus.Bus implements it.
type History interface {
	// State returns the first and the last sequence that the log holds, and when
	// the log was created.
	State(ctx context.Context) (first, last uint64, created time.Time, err error)
	// NewestOf returns the sequence of the newest event that matches any of the
	// subject filters, or 0 if there is none.
	NewestOf(ctx context.Context, filters ...string) (uint64, error)
	// Past calls each with the matching events after one sequence and up to
	// another, in order, until each returns false. last must not exceed what
	// NewestOf returned for the filters.
	Past(ctx context.Context, after, last uint64, filters []string, each func(*message.Message) bool) error
	// Follow returns a subscriber to the events after that sequence, past and
	// future, in order. Its topic is one or more subject filters joined by
	// commas. A subscription ends, and its channel is closed, when its context
	// is done.
	Follow(after uint64) message.Subscriber
	// Decode reads a message. The sequence is valid even if err is not nil.
	Decode(msg *message.Message) (sequence uint64, e *event.Event, err error)
}

// Model is what events need of the read model. *projections.Store implements it,
// and documents each method.
type Model interface {
	call.Waiter
	SequenceAt(at time.Time) (uint64, error)
	WatchSource(ctx context.Context, a event.Address) <-chan struct{}
}

// Limits limit what pages and streams of events may cost on this node.
type Limits struct {
	MaxStreams      int           // event streams one user may have open; a workspace 4, an organization 16 times as many
	MaxPages        int           // pages that one organization may have in progress
	MaxUnread       int64         // bytes of large answers that clients of one organization have not read
	Heartbeat       time.Duration // between two comments that keep an idle stream open
	StreamWrite     time.Duration // for a client to read one event, longer for a large one
	PageWait        time.Duration // for the log to return one page
	MinSequenceWait time.Duration // how long a page with until waits for the read model
}

// Calls are the calls that read the log. All fields are required. They are safe for
// concurrent use.
type Calls struct {
	History  History
	Model    Model
	Auth     *auth.Authenticator
	Unread   *quota.Limiter  // bytes of answers that clients have not read
	Draining <-chan struct{} // closed when streams have to end
	Log      *slog.Logger
	Limits   Limits

	streams quota.Limiter
	pages   quota.Limiter
	making  quota.Queues // pages being built
}
