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
	// Without a trailing slash ClickHouse looks for a table's metadata below the
	// table's folder once more. With it, some releases of DuckDB send the slash
	// as part of the host name.
	if strings.HasPrefix(r.UserAgent(), "ClickHouse/") {
		host += "/"
	}
	return scheme + "://" + host
}

// Foreign is the Access of a lake in a bucket. Its readers have keys of their
// own: the service's keys open the whole bucket and are not given out. Its
// settings are those of the lake's URL.
type Foreign map[string]string

// View returns the settings of the bucket, and says that there are no keys. It
// implements iceberg.Access.
func (f Foreign) View(_ context.Context, ask iceberg.Ask) (iceberg.View, error) {
	config := map[string]string{"headwater.credentials": "none"}
	region := f["region"]
	if f["endpoint"] != "" {
		config["s3.endpoint"] = f["endpoint"]
		config["s3.path-style-access"] = strconv.FormatBool(f["use_path_style"] != "false")
		if region == "" {
			region = Region
		}
	}
	if region != "" {
		config["s3.region"], config["client.region"] = region, region
	}
	return iceberg.View{Table: ask.Table, Config: config}, nil
}
