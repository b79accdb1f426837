package api

import (
	"context"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"headwater/api/auth"
	"headwater/api/contract"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/projections"
)

// Limits of API tokens.
const (
	tokenTime    = 90 * 24 * time.Hour      // lifetime without expires_at
	maxTokenTime = 5 * 366 * 24 * time.Hour // longest lifetime
	maxTokens    = 200                      // active tokens of one user
	allPlaces    = "*"                      // stands for all workspaces
	mostPlaces   = 100                      // workspaces of one token
	useTime      = 5 * time.Second          // time to record that a token was used
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

// createToken creates an API token. It may not permit more than its creator's
// token.
func (h *Handler) createToken(ctx context.Context, r *request, s idempotency.Seed, settled bool) (*web.Answer, error) {
	var body tokenRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	id := s.ID("tok_")
	token := auth.NewAPIToken(id, h.tokenSecret(s, id))
	if settled {
		known, err := h.Reads.Token(id)
		if err != nil {
			return nil, web.Unavailable(err)
		}
		return shownToken(known, token, "Made the token "+body.Name)
	}
	made, err := h.wantedToken(r, body, s.At)
	if err != nil {
		return nil, err
	}
	made.Hash = auth.HashOf(token)
	at := event.Address{Organization: r.caller.Organization, Workspace: r.workspace, Owner: r.caller.Username, Source: id}
	if err := h.tellOfToken(ctx, r, s.UUID("TokenCreated", id), at, made); err != nil {
		return nil, err
	}
	known, err := h.Reads.Token(id)
	if err != nil {
		return nil, web.Unavailable(err)
	}
	return shownToken(known, token, "Made the token "+body.Name+"; it is shown only now")
}

// wantedToken validates a request for a token and returns the event that creates
// it.
func (h *Handler) wantedToken(r *request, body tokenRequest, now time.Time) (*event.TokenCreated, error) {
	if r.caller.TokenID() != "" {
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
		made.Workspaces = []string{r.workspace}
	case len(body.Workspaces) > 1 && slices.Contains(body.Workspaces, allPlaces):
		wrong = append(wrong, web.Detail{Field: "workspaces", Message: "is either " + allPlaces + " for all or the names of some"})
	case body.Workspaces[0] != allPlaces:
		made.Workspaces = body.Workspaces
	}
	for i, w := range made.Workspaces {
		if !workspaceID().MatchString(w) {
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
	if ranks[made.Role] > ranks[r.caller.Role] {
		return nil, web.Fail(http.StatusForbidden, "forbidden", "You are %s: a token of yours may have no higher role than that", r.caller.Role)
	}
	n := 0
	err := h.Reads.Tokens(r.caller.Organization, func(t projections.Token) bool {
		if t.Address.Owner == r.caller.Username && t.Active(now) {
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
func (h *Handler) tokenSecret(s idempotency.Seed, id string) string {
	secret := h.fingerprint("api token", hex.EncodeToString(s.Bytes), id)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret))[:52]
}

// tellOfToken appends an event about a token, and waits until this node has read
// it.
func (h *Handler) tellOfToken(ctx context.Context, r *request, id string, at event.Address, data event.Data) error {
	if err := h.tell(ctx, r, id, at, data); err != nil {
		return web.Unavailable(err)
	}
	sequence, err := h.Events.LastSequence(ctx, at)
	if err != nil {
		return web.Unavailable(err)
	}
	return h.reach(ctx, sequence)
}

// tokens answers with the API tokens that the caller may see, newest first: for
// an admin all of the organization, for others their own, for an API token
// itself.
func (h *Handler) tokens(_ context.Context, r *request) (*web.Answer, error) {
	all, now := []tokenDoc{}, time.Now()
	err := h.Reads.Tokens(r.caller.Organization, func(t projections.Token) bool {
		if r.handles(t) && (r.query.Get("all") == "true" || t.Active(now)) {
			all = append(all, tokenAsShown(t, now))
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return web.Success(http.StatusOK, web.Count(len(all), "token"), all)
}

// revokeToken revokes an API token. This node refuses it from the answer on,
// other nodes from when they read the event.
func (h *Handler) revokeToken(ctx context.Context, r *request) (*web.Answer, error) {
	id := r.variable("token_id")
	t, err := h.Reads.Token(id)
	if err != nil && !errors.Is(err, projections.ErrNotFound) {
		return nil, err
	}
	if err != nil || !r.handles(t) {
		return nil, web.Fail(http.StatusNotFound, "not_found", "There is no token %s", contract.Printable(id))
	}
	if t.RevokedAt == nil {
		// The event id derives from the token's, so that concurrent revocations
		// append one event.
		if err := h.tellOfToken(ctx, r, idempotency.Seed{Bytes: []byte(id), At: t.CreatedAt}.UUID("TokenRevoked"), t.Address, &event.TokenRevoked{Name: t.Name}); err != nil {
			return nil, err
		}
		if t, err = h.Reads.Token(id); err != nil {
			return nil, err
		}
	}
	return web.Success(http.StatusOK, "Revoked the token "+t.Name, tokenAsShown(t, time.Now()))
}

// handles reports whether the caller may see and revoke a token.
func (r *request) handles(t projections.Token) bool {
	if t.Address.Organization != r.caller.Organization {
		return false
	}
	if own := r.caller.TokenID(); own != "" {
		return t.Address.Source == own
	}
	return t.Address.Owner == r.caller.Username || r.caller.Role == auth.RoleAdmin
}

func shownToken(t projections.Token, token, message string) (*web.Answer, error) {
	doc := tokenAsShown(t, time.Now())
	doc.Token = token
	return web.Success(http.StatusOK, message, doc)
}

func tokenAsShown(t projections.Token, now time.Time) tokenDoc {
	doc := tokenDoc{
		ID: t.Address.Source, Name: t.Name, Role: t.Role, Workspaces: t.Workspaces, User: t.Address.Owner, Status: "active", CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy,
		ExpiresAt: t.ExpiresAt, LastUsedAt: t.UsedAt, RevokedAt: t.RevokedAt, RevokedBy: orNull(t.RevokedBy, ""),
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

// tokenUsed records that an API token was used, once a day. After a failure a
// later use of the token tries again.
func (h *Handler) tokenUsed(t auth.APIToken) {
	select {
	case h.telling <- struct{}{}:
	default:
		return // all slots are taken; a later use tries again
	}
	h.work.Go(func() {
		defer func() { <-h.telling }()
		ctx, cancel := context.WithTimeout(context.Background(), useTime)
		defer cancel()
		known, err := h.Reads.Token(t.Address.Source)
		if err != nil {
			return
		}
		now := time.Now().UTC()
		// one event from all nodes is enough, so its id derives from the day
		id := idempotency.Seed{Bytes: []byte(t.Address.Source), At: now.Truncate(24 * time.Hour)}.UUID("TokenUsed")
		e := &event.Event{ID: id, Time: now, Data: &event.TokenUsed{
			Meta: event.At(t.Address, event.Operation{ID: id, Kind: event.KindRequest, Targets: 1, Actor: t.Address.Owner}), Name: known.Name,
		}}
		after, err := h.Events.LastSequence(ctx, t.Address)
		if err == nil {
			_, err = h.Events.Append(ctx, after, e)
		}
		if err != nil {
			h.Log.Debug("the use of a token is not in the history", "token", t.Address.Source, "error", err)
		}
	})
}
