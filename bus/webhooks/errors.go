package webhooks

import "errors"

// Errors that a Registry wraps.
var (
	// ErrNotFound says that there is no such webhook.
	ErrNotFound = errors.New("there is no such webhook")
	// ErrTooMany says that the workspace has MaxPerScope webhooks of that scope.
	ErrTooMany = errors.New("too many webhooks")
	// ErrTooManyOfAll says that the organization has MaxPerOrganization
	// webhooks.
	ErrTooManyOfAll = errors.New("too many webhooks of the organization")
	// ErrURL says that a URL is malformed or not permitted for webhooks.
	ErrURL = errors.New("unusable URL")
	// ErrUnreachable says that the URL's host is unknown, or that the egress
	// policy permits none of its addresses.
	ErrUnreachable = errors.New("unreachable URL")
)

// Problem is an error about a URL. Its message is for people and contains
// nothing of the URL except the host.
type Problem struct {
	Kind    error // ErrURL or ErrUnreachable
	Message string
}

// Error returns the message.
func (p *Problem) Error() string { return p.Message }

// Unwrap returns the kind.
func (p *Problem) Unwrap() error { return p.Kind }
