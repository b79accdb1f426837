package httpapi

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// endpoint is the address of one table.
type endpoint struct {
	Endpoint
	url   *url.URL
	nests []string // paths into a record's objects that are key or cursor
}

// endpoints checks the settings and returns what to read, sorted by name.
func (s *Settings) endpoints() ([]endpoint, error) {
	base, err := baseURL(s.BaseURL)
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	all := slices.Clone(s.Endpoints)
	for _, p := range s.Paths {
		all = append(all, Endpoint{Path: p})
	}
	if len(all) == 0 {
		all = []Endpoint{{}}
	}
	var endpoints []endpoint
	for _, e := range all {
		if strings.ContainsAny(e.Path, "?#@\\") || strings.Contains(e.Path, "//") || strings.ContainsFunc(e.Path, func(r rune) bool { return r < ' ' }) {
			return nil, driver.InvalidField("paths", "must be like \"orders\" or \"/v1/orders\", without host and query; query parameters belong into connection_config.params")
		}
		if strings.ContainsAny(e.Path, "{}") {
			return nil, driver.InvalidField("paths", "has a placeholder in braces: an endpoint for each record of another is not offered; list the paths one by one")
		}
		u := *base
		if e.Path != "" {
			// What is escaped stays so: %2F within a name is no slash.
			rest := strings.TrimPrefix(e.Path, "/")
			u.RawPath = strings.TrimSuffix(base.EscapedPath(), "/") + "/" + rest
			decoded, err := url.PathUnescape(rest)
			if err != nil {
				decoded = rest
			}
			u.Path = strings.TrimSuffix(base.Path, "/") + "/" + decoded
		}
		if e.Name == "" {
			e.Name = nameOf(u.Path)
		}
		if e.RecordsPath == "" {
			e.RecordsPath = s.RecordsPath
		}
		if e.PrimaryKey == nil {
			e.PrimaryKey = s.PrimaryKey
		}
		if e.Cursor == "" {
			e.Cursor = s.Cursor
		}
		e.SinceParam = orElse(e.SinceParam, s.SinceParam)
		e.SinceFormat = orElse(e.SinceFormat, s.SinceFormat)
		e.SinceLookback = orElse(e.SinceLookback, s.SinceLookback)
		if _, err := lookbackOf(e.SinceLookback); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(endpoints, func(other endpoint) bool { return other.Name == e.Name }) {
			return nil, driver.InvalidField("endpoints", "has two tables named %q; give them a name", e.Name)
		}
		endpoints = append(endpoints, endpoint{e, &u, nestsOf(e)})
	}
	slices.SortFunc(endpoints, func(a, b endpoint) int { return strings.Compare(a.Name, b.Name) })
	return endpoints, nil
}

// baseURL parses the address. It must contain no credentials, because it is not kept
// secret.
func baseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return nil, driver.InvalidField("base_url", "is missing")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Hostname() == "":
		return nil, driver.InvalidField("base_url", "must be an address like https://api.example.com/v1/orders")
	case u.User != nil:
		return nil, driver.InvalidField("base_url", "must hold no user and password; put them into username and password, where they are kept secret")
	case u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(s, "?"):
		return nil, driver.InvalidField("base_url", "must end before \"?\" and \"#\"; put query parameters into params, where they are kept secret")
	}
	return u, nil
}

// nameOf returns the last part of a path, without .json.
func nameOf(p string) string {
	name := strings.TrimSuffix(path.Base(path.Clean("/"+p)), ".json")
	if name == "/" || name == "" {
		return "records"
	}
	return name
}

// Validate returns an ErrInvalidConfig that names the wrong field, and never its value.
func (s *Settings) Validate() error {
	_, err := s.endpoints()
	return err
}

// check refuses settings with which requests could not be made.
func (s *Settings) check() error {
	bad := func(field, what string) error {
		return driver.InvalidField(field, "%s", what)
	}
	if s.APIKeyHeader != "" && s.APIKeyParam != "" {
		return bad("api_key_param", "and api_key_header exclude each other")
	}
	if s.BearerToken != "" && (s.Username != "" || s.Password != "") {
		return bad("bearer_token", "and username with password exclude each other")
	}
	if s.APIKeyHeader != "" {
		if what := headerName(s.APIKeyHeader); what != "" {
			return bad("api_key_header", what)
		}
	}
	values := []struct{ field, value string }{{"api_key", s.APIKey}, {"bearer_token", s.BearerToken}, {"username", s.Username}, {"password", s.Password}}
	for name, value := range s.Headers {
		if what := headerName(name); what != "" {
			return bad("headers", what)
		}
		values = append(values, struct{ field, value string }{"headers", value})
	}
	for _, v := range values {
		if strings.ContainsFunc(v.value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return bad(v.field, "holds a line break or control character; it may have been copied with one")
		}
	}
	if p := s.Pagination.Type; !slices.Contains([]string{"", "auto", "link", "next_url", "cursor", "page", "offset", "none"}, p) {
		return bad("pagination.type", "must be auto, link, next_url, cursor, page, offset or none")
	}
	if n := s.Pagination.EndStatus; n != 0 && (n < 400 || n > 499) {
		return bad("pagination.end_status", "must be 400 to 499")
	}
	if s.PageSize < 0 || s.MaxPages < 0 || s.TimeoutSeconds < 0 || s.TimeoutSeconds > 600 {
		return bad("timeout_seconds", "must be 1 to 600, page_size and max_pages at least 1")
	}
	for _, shape := range append([]string{s.RecordShape}, shapesOf(s.Endpoints)...) {
		if !slices.Contains([]string{"", "list", "map", "single"}, shape) {
			return bad("record_shape", "must be list, map or single")
		}
	}
	if s.MaxWaitSeconds < 0 || s.MaxWaitSeconds > 3600 {
		return bad("max_wait_seconds", "must be 1 to 3600")
	}
	if _, err := s.authorities(); err != nil {
		return err
	}
	return records.CheckTypes(s.ColumnTypes)
}

func shapesOf(endpoints []Endpoint) (shapes []string) {
	for _, e := range endpoints {
		shapes = append(shapes, e.RecordShape)
	}
	return shapes
}

// authorities returns the TLS configuration that trusts the authority of the settings
// besides the system's, nil if there is none.
func (s *Settings) authorities() (*tls.Config, error) {
	if s.CACertificate == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM([]byte(s.CACertificate)) {
		return nil, driver.InvalidField("ca_certificate", "holds no certificate in PEM form")
	}
	return &tls.Config{RootCAs: pool}, nil
}

// headerName returns what is wrong with a header's name, "" if nothing is.
func headerName(name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r) }) {
		return "must be a name that HTTP allows, such as X-Api-Token"
	}
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Accept-Encoding", "Upgrade", "Te", "Trailer", "Proxy-Authorization":
		return "must not be Host, Accept-Encoding or a header of the connection"
	}
	return ""
}
