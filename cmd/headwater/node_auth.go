package main

import (
	"context"
	"fmt"
	"log/slog"

	"headwater/api/auth"
	"headwater/bus"
	"headwater/bus/event"
)

// newAuth returns the judge of tokens that the configuration describes.
func newAuth(ctx context.Context, cfg Config, log *slog.Logger) (*auth.Authenticator, error) {
	c := auth.Config{JWKSURL: cfg.JWKSURL, Issuer: cfg.JWTIssuer, Audience: cfg.JWTAudience, Log: log}
	if c.JWKSURL == "" {
		var err error
		if c.Key, err = auth.LoadOrCreateKey(cfg.JWTSecretFile); err != nil {
			return nil, fmt.Errorf("--jwt-secret-file: %w", err)
		}
	}
	return auth.New(ctx, c)
}

// grants lets the holder of an API token read the same history on the bus.
func grants(tokens *auth.Authenticator) func(string) (bus.Grant, error) {
	return func(token string) (bus.Grant, error) {
		claims, err := tokens.Verify(token)
		if err != nil {
			return bus.Grant{}, err
		}
		inbox := "_INBOX." + event.Token(claims.Organization) + "." + event.Token(claims.Username)
		return bus.Grant{Subscribe: claims.Subjects(), Inbox: inbox, Expires: claims.Expires}, nil
	}
}
