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

// newAuth returns the judge of tokens that the configuration describes.
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

// madeTokens are the API tokens that the read model knows. Until there is one, and
// it has caught up, none is known.
type madeTokens struct {
	view  atomic.Pointer[projections.Store]
	heard atomic.Int64 // when the read model was last at the end of the log, in Unix seconds; 0 where it cannot be cut off
}

// deafFor is how long a node takes API tokens of which it may not have heard that
// they were revoked: one that is cut off from the log. It asks every deafEvery.
const (
	deafFor   = 30 * time.Second
	deafEvery = 5 * time.Second
)

func (m *madeTokens) APIToken(id string) (auth.APIToken, error) {
	view := m.view.Load()
	if view == nil {
		return auth.APIToken{}, errors.New("the read model is not there yet")
	}
	if heard := m.heard.Load(); heard != 0 && time.Since(time.Unix(heard, 0)) > deafFor {
		return auth.APIToken{}, errors.New("the log does not answer")
	}
	t, err := view.Token(id)
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

// serve begins to find the tokens of a read model that has caught up, and ends
// their subscribers' connections when they are revoked.
func (m *madeTokens) serve(view *projections.Store, wire *bus.Bus) {
	view.OnRevoked(func(id string) { go wire.Disconnect(id) })
	m.view.Store(view)
}

// listen notes when the read model is at the end of the log, until ctx is done.
func (m *madeTokens) listen(ctx context.Context, view *projections.Store, wire *bus.Bus) {
	tick := time.NewTicker(deafEvery)
	defer tick.Stop()
	for m.heard.Store(time.Now().Unix()); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		once, done := context.WithTimeout(ctx, deafEvery)
		// The end may be told by a leader that was cut off and does not know.
		err := wire.Quorum(once)
		if err == nil {
			var log bus.StreamState
			if log, err = wire.EventsState(once); err == nil {
				err = view.Wait(once, log.Last)
			}
		}
		if done(); err == nil {
			m.heard.Store(began.Unix())
		}
	}
}

// grants lets the holder of a token of the API read the same history on the bus.
func grants(tokens *auth.Authenticator) func(string) (bus.Grant, error) {
	return func(token string) (bus.Grant, error) {
		claims, err := tokens.Verify(token)
		if err != nil {
			return bus.Grant{}, err
		}
		return bus.Grant{Subscribe: claims.Subjects(), Inbox: claims.Inbox(), Expires: claims.Expires, ID: claims.TokenID()}, nil
	}
}
