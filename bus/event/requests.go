package event

import (
	"encoding/json"
	"time"
)

// What callers did that is no command: each is one request and its own
// operation, of KindRequest, which ends with it.

// WebhookCreated reports that a user created a webhook. Its address has the
// webhook's id in place of the source. No event contains the signing key, or the
// path and query of the URL, which may hold a secret.
type WebhookCreated struct {
	Meta
	Receiver string   `json:"receiver"`            // scheme and host of the URL
	Types    []string `json:"types,omitempty"`     // names of the events it receives; all if empty
	OfSource string   `json:"of_source,omitempty"` // the source whose events it receives; all if empty
	After    uint64   `json:"after"`               // it receives events after this sequence
}

// WebhookRotated reports that a user gave a webhook a new secret.
type WebhookRotated struct {
	Meta
	Receiver      string    `json:"receiver"`
	PreviousUntil time.Time `json:"previous_until"` // the previous secret signs as well until then
}

// WebhookDeleted reports that a user deleted a webhook: nothing is sent to it
// any more.
type WebhookDeleted struct {
	Meta
	Receiver string `json:"receiver"`
}

// TokenCreated reports that a user created an API token. Its address has the
// token's id in place of the source and its bearer as owner. No event contains
// the token itself: Hash recognizes it, and 256 random bits cannot be recovered
// from it.
type TokenCreated struct {
	Meta
	Name       string    `json:"name"`
	Role       string    `json:"role"`                 // viewer, editor or admin
	Workspaces []string  `json:"workspaces,omitempty"` // in which it may be used; all if empty
	ExpiresAt  time.Time `json:"expires_at"`
	Hash       string    `json:"hash"` // SHA-256 of the token, in hexadecimal
}

// TokenRevoked reports that an API token was revoked, and by whom. This cannot
// be undone.
type TokenRevoked struct {
	Meta
	Name string `json:"name"`
}

// TokenUsed reports that an API token was used for the first time, or for the
// first time in a day or longer. Other uses on the same day are not reported.
type TokenUsed struct {
	Meta
	Name string `json:"name"`
}

// RequestRefused reports that a caller with a valid token was refused before
// anything was done: 403 for any request, and 404, 409 and 422 for requests that
// change something. Its address has the caller as owner and "refused" in place
// of the source. Only some refusals of a caller are recorded if there are many.
type RequestRefused struct {
	Meta
	Method  string `json:"method"`
	Route   string `json:"route"` // as in the OpenAPI document
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
	// Options are the public parts of the request, never the settings of a
	// connection.
	Options    json.RawMessage `json:"options,omitempty"`
	Unrecorded uint64          `json:"unrecorded,omitempty"` // earlier refusals of the caller that are not in the history
}

// EventName returns the literal name of the event on the wire, which never changes.
func (*WebhookCreated) EventName() string { return "WebhookCreated" }
func (*WebhookRotated) EventName() string { return "WebhookRotated" }
func (*WebhookDeleted) EventName() string { return "WebhookDeleted" }
func (*TokenCreated) EventName() string   { return "TokenCreated" }
func (*TokenRevoked) EventName() string   { return "TokenRevoked" }
func (*TokenUsed) EventName() string      { return "TokenUsed" }
func (*RequestRefused) EventName() string { return "RequestRefused" }
