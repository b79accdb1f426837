package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"headwater/api/auth"
	"headwater/bus"
	"headwater/projections"
)

// newAuth returns the Authenticator that the configuration describes.
func newAuth(ctx context.Context, cfg Config, made auth.APITokens, log *slog.Logger) (*auth.Authenticator, error) {
	c := auth.Config{JWKSURL: cfg.JWKSURL, Issuer: cfg.JWTIssuer, Audience: cfg.JWTAudience, Tokens: made, Log: log}
	if c.JWKSURL == "" {
		var err error
		if c.Key, err = auth.LoadOrCreateKey(cfg.JWTSecretFile); err != nil {
			return nil, fmt.Errorf("--jwt-secret-file: %w", err)
		}
	}
	return auth.New(ctx, c)
}

// apiTokens looks up API tokens in the read model. It knows none until the read
// model has caught up.
type apiTokens struct {
	view      atomic.Pointer[projections.Store]
	latest    atomic.Pointer[latest] // nil for a node that is alone
	confirmed atomic.Int64           // Unix time when the read model was last known to be at the end of the log; 0 if it cannot be cut off
}

// A node that is cut off from the log does not learn of revocations: after
// staleAfter it accepts no API tokens. It checks every checkEvery.
const (
	staleAfter = 30 * time.Second
	checkEvery = 5 * time.Second
)

func (m *apiTokens) APIToken(id string) (auth.APIToken, error) {
	view := m.view.Load()
	if view == nil {
		return auth.APIToken{}, errors.New("the read model is not there yet")
	}
	if confirmed := m.confirmed.Load(); confirmed != 0 && time.Since(time.Unix(confirmed, 0)) > staleAfter {
		return auth.APIToken{}, errors.New("the log does not answer")
	}
	t, err := view.Token(id)
	if latest := m.latest.Load(); latest != nil && errors.Is(err, projections.ErrNotFound) { // another node may have made it just now
		if err := latest.Reach(context.Background()); err != nil {
			return auth.APIToken{}, err
		}
		t, err = view.Token(id)
	}
	if errors.Is(err, projections.ErrNotFound) {
		return auth.APIToken{}, fmt.Errorf("%w: %w", auth.ErrNoToken, err)
	}
	found := auth.APIToken{
		Address: t.Address, Role: t.Role, Workspaces: t.Workspaces, Hash: t.Hash, Expires: t.ExpiresAt, Revoked: t.RevokedAt != nil,
	}
	if t.UsedAt != nil {
		found.Used = *t.UsedAt
	}
	return found, err
}

// serve begins to look up tokens in a read model that has caught up, and
// disconnects subscribers whose token is revoked. latest is nil for a node that is
// alone.
func (m *apiTokens) serve(view *projections.Store, wire *bus.Bus, latest *latest) {
	m.latest.Store(latest)
	view.OnRevoked(func(id string) { go wire.Disconnect(id) })
	m.view.Store(view)
}

// watch records when the read model is at the end of the log, until ctx is done.
func (m *apiTokens) watch(ctx context.Context, view *projections.Store, wire *bus.Bus) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for m.confirmed.Store(time.Now().Unix()); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		once, done := context.WithTimeout(ctx, checkEvery)
		// A deposed leader that does not know it yet may report an old end.
		err := wire.Quorum(once)
		if err == nil {
			var log bus.StreamState
			if log, err = wire.EventsState(once); err == nil {
				err = view.Wait(once, log.Last)
			}
		}
		if done(); err == nil {
			m.confirmed.Store(began.Unix())
		}
	}
}

// grants returns a function that lets the holder of an API token read the same
// history on the bus.
func grants(tokens *auth.Authenticator) func(string) (bus.Grant, error) {
	return func(token string) (bus.Grant, error) {
		claims, err := tokens.Verify(token)
		if err != nil {
			return bus.Grant{}, err
		}
		return bus.Grant{Subscribe: claims.Subjects(), Inbox: claims.Inbox(), Expires: claims.Expires, ID: claims.TokenID()}, nil
	}
}
