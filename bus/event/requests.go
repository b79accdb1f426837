package event

import (
	"encoding/json"
	"time"
)

// What callers did that is no command: each is one request and its own
// operation, of KindRequest, which ends with it.

// WebhookCreated says that somebody made a webhook. Its address has the
// webhook's id in the place of the source. What signs for it is in no event, and
// neither are the path and the query of its URL, which may hold a secret.
type WebhookCreated struct {
	Meta
	Receiver string   `json:"receiver"`            // scheme and host of the URL
	Types    []string `json:"types,omitempty"`     // names of the events it means; all if empty
	OfSource string   `json:"of_source,omitempty"` // the source whose events it means; all if empty
	After    uint64   `json:"after"`               // it means later events than this sequence
}

// WebhookRotated says that somebody gave a webhook a new secret.
type WebhookRotated struct {
	Meta
	Receiver      string    `json:"receiver"`
	PreviousUntil time.Time `json:"previous_until"` // until then the secret before signs too
}

// WebhookDeleted says that somebody deleted a webhook: nothing is sent to it
// any more.
type WebhookDeleted struct {
	Meta
	Receiver string `json:"receiver"`
}

// TokenCreated says that somebody made an API token. Its address has the token's
// id in the place of the source and its bearer as owner. The token itself is in no
// event: Hash recognizes it, and 256 random bits cannot be found from it.
type TokenCreated struct {
	Meta
	Name       string    `json:"name"`
	Role       string    `json:"role"`                 // viewer, editor or admin
	Workspaces []string  `json:"workspaces,omitempty"` // that it reaches; all if empty
	ExpiresAt  time.Time `json:"expires_at"`
	Hash       string    `json:"hash"` // SHA-256 of the token, in hexadecimal
}

// TokenRevoked says that an API token is valid no longer, who did it, and that
// nothing brings it back.
type TokenRevoked struct {
	Meta
	Name string `json:"name"`
}

// TokenUsed says that an API token was used, for the first time or for the first
// time since a day or longer. Later uses of the same day are not told of.
type TokenUsed struct {
	Meta
	Name string `json:"name"`
}

// RequestRefused says that a caller with a valid token was refused something
// before anything was done: 403 of any request, 404, 409 and 422 of those that
// change something. Its address has the caller as owner and "refused" in the
// place of the source. Few are recorded of a caller who is refused often.
type RequestRefused struct {
	Meta
	Method  string `json:"method"`
	Route   string `json:"route"` // as in the OpenAPI document
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
	// Options are what the caller asked for, as far as it is public: never the
	// settings of a connection.
	Options    json.RawMessage `json:"options,omitempty"`
	Unrecorded uint64          `json:"unrecorded,omitempty"` // refusals of the caller before this one that are not in the history
}

func (*WebhookCreated) EventName() string { return "WebhookCreated" }
func (*WebhookRotated) EventName() string { return "WebhookRotated" }
func (*WebhookDeleted) EventName() string { return "WebhookDeleted" }
func (*TokenCreated) EventName() string   { return "TokenCreated" }
func (*TokenRevoked) EventName() string   { return "TokenRevoked" }
func (*TokenUsed) EventName() string      { return "TokenUsed" }
func (*RequestRefused) EventName() string { return "RequestRefused" }
