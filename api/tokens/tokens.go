// Package tokens has the calls on API tokens: create, list and revoke, and the note
// of the day that one was used. They send no command; their events are the tokens.
package tokens

import (
	"context"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/contract"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/projections"
)

// Model is what the calls read of tokens. *projections.Store implements it, and
// documents each method.
type Model interface {
	call.Waiter
	Token(id string) (projections.Token, error)
	Tokens(organization string, use func(projections.Token) bool) error
}

// Calls are the calls on API tokens. All fields are required. They are safe for
// concurrent use.
type Calls struct {
	Model  Model
	Events call.Events
	// Fingerprint returns a keyed hash of the texts, the same on every node.
	Fingerprint     func(purpose string, parts ...string) []byte
	MinSequenceWait time.Duration // how long an answer waits for the read model
	Log             *slog.Logger

	using atomic.Int32   // uses of tokens that are being recorded
	work  sync.WaitGroup // the same
}

// Limits of API tokens.
const (
	tokenTime    = 90 * 24 * time.Hour      // lifetime without expires_at
	maxTokenTime = 5 * 366 * 24 * time.Hour // longest lifetime
	maxTokens    = 200                      // active tokens of one user
	allPlaces    = "*"                      // stands for all workspaces
	mostPlaces   = 100                      // workspaces of one token
	useTime      = 5 * time.Second          // time to record that a token was used
	usesAtOnce   = 8                        // uses of tokens that are recorded concurrently
)

type tokenRequest struct {
	Name       string     `json:"name"`
	Role       string     `json:"role"`
	Workspaces []string   `json:"workspaces"`
	ExpiresAt  *time.Time `json:"expires_at"`
}

// tokenDoc is an API token as the API shows it. The secret text is in the one
// answer that creates it.
type tokenDoc struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Role       string     `json:"role"`
	Workspaces []string   `json:"workspaces"`
	User       string     `json:"user"`
	Status     string     `json:"status"`
	CreatedAt  time.Time  `json:"created_at"`
	CreatedBy  string     `json:"created_by"`
	ExpiresAt  time.Time  `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	RevokedBy  *string    `json:"revoked_by"`
	Token      string     `json:"token,omitempty"`
}

// ranks orders the roles from least to most permitted.
var ranks = map[string]int{auth.RoleViewer: 0, auth.RoleEditor: 1, auth.RoleAdmin: 2}

// Create creates an API token. It may not permit more than its creator's
// token.
func (c *Calls) Create(ctx context.Context, r *call.Request, s idempotency.Seed, settled bool) (*web.Answer, error) {
	var body tokenRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	id := s.ID("tok_")
	token := auth.NewAPIToken(id, c.tokenSecret(s, id))
	if settled {
		known, err := c.Model.Token(id)
		if err != nil {
			return nil, web.Unavailable(err)
		}
		return shownToken(known, token, "Made the token "+body.Name)
	}
	made, err := c.wantedToken(r, body, s.At)
	if err != nil {
		return nil, err
	}
	made.Hash = auth.HashOf(token)
	at := r.Address(r.Caller.Username, id)
	if err := c.tellOfToken(ctx, r, s.UUID("TokenCreated", id), at, made); err != nil {
		return nil, err
	}
	known, err := c.Model.Token(id)
	if err != nil {
		return nil, web.Unavailable(err)
	}
	return shownToken(known, token, "Made the token "+body.Name+"; it is shown only now")
}

// wantedToken validates a request for a token and returns the event that creates
// it.
func (c *Calls) wantedToken(r *call.Request, body tokenRequest, now time.Time) (*event.TokenCreated, error) {
	if r.Caller.TokenID() != "" {
		return nil, web.Fail(http.StatusForbidden, "forbidden", "An API token makes no tokens: make one with a token of your own")
	}
	made := &event.TokenCreated{Name: strings.TrimSpace(body.Name), Role: body.Role, ExpiresAt: now.Add(tokenTime)}
	var wrong []web.Detail
	if made.Name == "" || strings.ContainsFunc(made.Name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		wrong = append(wrong, web.Detail{Field: "name", Message: "must be a text without control characters"})
	}
	if made.Role == "" {
		made.Role = auth.RoleViewer
	}
	switch body.Workspaces = slices.Compact(slices.Sorted(slices.Values(body.Workspaces))); {
	case len(body.Workspaces) == 0:
		made.Workspaces = []string{r.Workspace}
	case len(body.Workspaces) > 1 && slices.Contains(body.Workspaces, allPlaces):
		wrong = append(wrong, web.Detail{Field: "workspaces", Message: "is either " + allPlaces + " for all or the names of some"})
	case body.Workspaces[0] != allPlaces:
		made.Workspaces = body.Workspaces
	}
	for i, w := range made.Workspaces {
		if !call.WorkspaceID().MatchString(w) {
			wrong = append(wrong, web.Detail{Field: fmt.Sprintf("workspaces[%d]", i), Message: "must be 1 to 64 letters, digits, _ or -"})
		}
	}
	if body.ExpiresAt != nil {
		made.ExpiresAt = body.ExpiresAt.UTC()
		if !made.ExpiresAt.After(time.Now()) || made.ExpiresAt.After(now.Add(maxTokenTime)) {
			wrong = append(wrong, web.Detail{Field: "expires_at", Message: "must be a time within the next five years"})
		}
	}
	if len(wrong) > 0 {
		return nil, web.Malformed(web.Sorted(wrong)...)
	}
	if ranks[made.Role] > ranks[r.Caller.Role] {
		return nil, web.Fail(http.StatusForbidden, "forbidden", "You are %s: a token of yours may have no higher role than that", r.Caller.Role)
	}
	n := 0
	err := c.Model.Tokens(r.Caller.Organization, func(t projections.Token) bool {
		if t.Address.Owner == r.Caller.Username && t.Active(now) {
			n++
		}
		return n < maxTokens
	})
	if err == nil && n >= maxTokens {
		err = web.Fail(http.StatusConflict, "too_many_tokens", "You have %d active tokens already; revoke one", maxTokens)
	}
	return made, err
}

// tokenSecret derives the secret part of a token from the request's seed and the
// master key, so that a retry shows the same token.
func (c *Calls) tokenSecret(s idempotency.Seed, id string) string {
	secret := c.Fingerprint("api token", hex.EncodeToString(s.Bytes), id)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret))[:52]
}

// tellOfToken appends an event about a token, and waits until this node has read
// it.
func (c *Calls) tellOfToken(ctx context.Context, r *call.Request, id string, at event.Address, data event.Data) error {
	if err := r.Tell(ctx, c.Events, id, at, data); err != nil {
		return web.Unavailable(err)
	}
	sequence, err := c.Events.LastSequence(ctx, at)
	if err != nil {
		return web.Unavailable(err)
	}
	return call.Reach(ctx, c.Model, c.MinSequenceWait, sequence)
}

// List answers with the API tokens that the caller may see, newest first: for
// an admin all of the organization, for others their own, for an API token
// itself.
func (c *Calls) List(_ context.Context, r *call.Request) (*web.Answer, error) {
	all, now := []tokenDoc{}, time.Now()
	err := c.Model.Tokens(r.Caller.Organization, func(t projections.Token) bool {
		if handles(r, t) && (r.Query.Get("all") == "true" || t.Active(now)) {
			all = append(all, tokenAsShown(t, now))
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return web.Success(http.StatusOK, web.Count(len(all), "token"), all)
}

// Revoke revokes an API token. This node refuses it from the answer on,
// other nodes from when they read the event.
func (c *Calls) Revoke(ctx context.Context, r *call.Request) (*web.Answer, error) {
	id := r.Variable("token_id")
	t, err := c.Model.Token(id)
	if err != nil && !errors.Is(err, projections.ErrNotFound) {
		return nil, err
	}
	if err != nil || !handles(r, t) {
		return nil, web.Fail(http.StatusNotFound, "not_found", "There is no token %s", contract.Printable(id))
	}
	if t.RevokedAt == nil {
		// The event id derives from the token's, so that concurrent revocations
		// append one event.
		if err := c.tellOfToken(ctx, r, idempotency.Seed{Bytes: []byte(id), At: t.CreatedAt}.UUID("TokenRevoked"), t.Address, &event.TokenRevoked{Name: t.Name}); err != nil {
			return nil, err
		}
		if t, err = c.Model.Token(id); err != nil {
			return nil, err
		}
	}
	return web.Success(http.StatusOK, "Revoked the token "+t.Name, tokenAsShown(t, time.Now()))
}

// handles reports whether the caller may see and revoke a token.
func handles(r *call.Request, t projections.Token) bool {
	if t.Address.Organization != r.Caller.Organization {
		return false
	}
	if own := r.Caller.TokenID(); own != "" {
		return t.Address.Source == own
	}
	return t.Address.Owner == r.Caller.Username || r.Caller.Role == auth.RoleAdmin
}

func shownToken(t projections.Token, token, message string) (*web.Answer, error) {
	doc := tokenAsShown(t, time.Now())
	doc.Token = token
	return web.Success(http.StatusOK, message, doc)
}

func tokenAsShown(t projections.Token, now time.Time) tokenDoc {
	doc := tokenDoc{
		ID: t.Address.Source, Name: t.Name, Role: t.Role, Workspaces: t.Workspaces, User: t.Address.Owner, Status: "active", CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy,
		ExpiresAt: t.ExpiresAt, LastUsedAt: t.UsedAt, RevokedAt: t.RevokedAt, RevokedBy: web.OrNull(t.RevokedBy, ""),
	}
	if doc.Workspaces == nil {
		doc.Workspaces = []string{allPlaces}
	}
	switch {
	case t.RevokedAt != nil:
		doc.Status = "revoked"
	case !t.Active(now):
		doc.Status = "expired"
	}
	return doc
}
