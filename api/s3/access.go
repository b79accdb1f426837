package s3

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"headwater/api/iceberg"
)

// View returns a table as a client of this endpoint should see it. A client that
// accepts keys, or that calls from another machine where the lake's paths mean
// nothing, gets keys and the names of this endpoint. It implements
// iceberg.Access.
func (s *Server) View(_ context.Context, ask iceberg.Ask) (iceberg.View, error) {
	folder, ours := s.Files.Key(ask.Table.Folder)
	if !ours || !ask.Delegated && isLocal(ask.Request.RemoteAddr) {
		return iceberg.View{Table: ask.Table, Config: map[string]string{}}, nil
	}
	metadata, err := s.Files.Metadata(ask.Table.Metadata)
	if err != nil {
		return iceberg.View{}, err
	}
	until := s.expiry(ask.Caller.Expires)
	a := ask.Address
	keys, err := s.issue(claims{
		Organization: a.Organization, Workspace: a.Workspace, Owner: a.Owner, Source: a.Source, Folder: folder,
		Username: ask.Caller.Username, TokenID: ask.Caller.TokenID, Expires: until.Unix(),
	})
	if err != nil {
		return iceberg.View{}, err
	}
	return iceberg.View{
		Table: iceberg.Table{Folder: s.Files.Named(ask.Table.Folder), Location: s.Files.Named(ask.Table.Location), Metadata: metadata},
		Config: map[string]string{
			"s3.endpoint": s.endpoint(ask.Request), "s3.path-style-access": "true", "s3.region": Region, "client.region": Region,
			"s3.access-key-id": keys.access, "s3.secret-access-key": keys.secret, "s3.session-token": keys.session,
			"s3.session-token-expires-at-ms": strconv.FormatInt(until.UnixMilli(), 10),
		},
		Expires: until,
	}, nil
}

func isLocal(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err != nil || at.Addr().Unmap().IsLoopback()
}

// endpoint returns the URL of the endpoint for a client that reached the catalog
// with this request.
func (s *Server) endpoint(r *http.Request) string {
	scheme, host := "http", r.Host
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	if s.Port != "" {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		scheme, host = "http", net.JoinHostPort(strings.Trim(host, "[]"), s.Port)
	}
	return forClient(r, scheme+"://"+host)
}

// forClient returns the URL of an endpoint as the client of a request joins it with
// names of files. Without a trailing slash ClickHouse looks for a table's metadata
// below the table's folder once more. With it, some releases of DuckDB send the slash
// as part of the host name.
func forClient(r *http.Request, endpoint string) string {
	if strings.HasPrefix(r.UserAgent(), "ClickHouse/") {
		return strings.TrimRight(endpoint, "/") + "/"
	}
	return endpoint
}
