package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"headwater/api/auth"
	"headwater/api/iceberg"
	"headwater/api/s3"
	"headwater/bus/seal"
	"headwater/handlers/landing"
	"headwater/handlers/landing/views"
	"headwater/projections"
)

// lakeEndpoint is how readers outside this machine reach the lake.
type lakeEndpoint struct {
	access iceberg.Access // for the catalog; nil if readers reach the lake by themselves
	server *s3.Server     // nil if there is none on the API's address
}

// openEndpoint returns the S3 endpoint of a lake that is a folder. It listens on
// the address of --lake-listen, if set.
func (n *node) openEndpoint(ctx context.Context, cfg Config, lake *landing.Lake, vault *seal.Vault, stands func(context.Context, s3.Holder) error, answered func(s3.Answer), log *slog.Logger) (lakeEndpoint, error) {
	files := lake.Views(s3.Root)
	if files == nil {
		issuer, err := openIssuer(ctx, cfg, lake, log)
		return lakeEndpoint{access: s3.Foreign{Settings: lake.Bucket(), Issuer: issuer}}, err
	}
	if cfg.LakeListen == "off" {
		return lakeEndpoint{}, nil
	}
	d := s3.Deps{Files: shownLake{files}, MAC: vault.MAC, Stands: stands, Answered: answered, Log: log}
	if cfg.LakeListen == "" {
		server := s3.New(d)
		return lakeEndpoint{server, server}, nil
	}
	server := s3.New(d)
	address, err := n.listen(ctx, "lake-listen", cfg.LakeListen, server, nil, log)
	if err != nil {
		return lakeEndpoint{}, err
	}
	_, port, err := net.SplitHostPort(address.String())
	return lakeEndpoint{access: server.At(port)}, err
}

// beside returns a handler that serves both the API and the endpoint on one
// address.
func (d lakeEndpoint) beside(api http.Handler) http.Handler {
	if d.server == nil {
		return api
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s3.Asks(r) {
			d.server.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// revocable knows whether tokens are revoked. Stands returns nil, the reason, or
// auth.ErrLookup.
type revocable interface{ Stands(id string) error }

// stands returns a function that says whether keys to a table may be used: not
// after the table's source is removed, nor after the token with which the keys
// were requested is revoked. A source that this node does not know may be one that
// another has just connected: the end of the log decides.
func stands(view *projections.Store, tokens revocable, known *latest) func(context.Context, s3.Holder) error {
	return func(ctx context.Context, h s3.Holder) error {
		if h.TokenID != "" {
			err := tokens.Stands(h.TokenID)
			if errors.Is(err, auth.ErrLookup) {
				return err
			}
			if err != nil {
				return s3.Withdrawn("The keys count no more: " + err.Error())
			}
		}
		_, err := view.Source(h.Address)
		if errors.Is(err, projections.ErrNotFound) {
			if err := known.Reach(ctx); err != nil {
				return err
			}
			_, err = view.Source(h.Address)
		}
		if errors.Is(err, projections.ErrNotFound) {
			return s3.Withdrawn("The table's source was removed")
		}
		return err
	}
}

// shownLake is the lake as the endpoint shows it. It implements s3.Files.
type shownLake struct{ *views.Views }

func (l shownLake) Open(ctx context.Context, key string) (*s3.File, error) {
	f, err := l.Views.Open(ctx, key)
	if err != nil {
		return nil, damaged(err)
	}
	return &s3.File{ReadSeekCloser: f.ReadSeekCloser, Size: f.Size, Modified: f.Modified}, nil
}

func (l shownLake) Stat(ctx context.Context, key string) (s3.Entry, error) {
	e, err := l.Views.Stat(ctx, key)
	return s3.Entry(e), damaged(err)
}

func damaged(err error) error {
	if errors.Is(err, views.ErrDamaged) {
		return fmt.Errorf("%w: %w", s3.ErrDamaged, err)
	}
	return err
}
