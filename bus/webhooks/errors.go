package webhooks

import "errors"

// What a Registry returns, wrapped.
var (
	// ErrNotFound says that there is no such webhook.
	ErrNotFound = errors.New("there is no such webhook")
	// ErrTooMany says that the workspace and scope have as many as they may.
	ErrTooMany = errors.New("too many webhooks")
	// ErrTooManyOfAll says that the organization has as many as it may.
	ErrTooManyOfAll = errors.New("too many webhooks of the organization")
	// ErrURL says that events cannot be sent to a URL as it is written.
	ErrURL = errors.New("unusable URL")
	// ErrUnreachable says that the URL's host is unknown, or that the egress
	// policy allows none of its addresses.
	ErrUnreachable = errors.New("unreachable URL")
)

// Problem is an error about a URL with a message for people, which holds nothing
// of the URL but its host.
type Problem struct {
	Kind    error // ErrURL or ErrUnreachable
	Message string
}

func (p *Problem) Error() string { return p.Message }
func (p *Problem) Unwrap() error { return p.Kind }
