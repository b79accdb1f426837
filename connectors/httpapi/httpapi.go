// Package httpapi reads JSON over HTTP from APIs that nobody described to it: it
// finds the records in the answers, their types and the way to the next page by
// itself. What it finds can be said in the settings instead.
//
// Every endpoint is one table. Requests are GETs to the host of base_url alone;
// redirects and next pages on other hosts are refused, because credentials
// would go there too.
package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"headwater/connectors/driver"
)

// Settings configure an API.
type Settings struct {
	BaseURL string `json:"base_url" public:"true" jsonschema:"required,title=Base URL,description=The address of the API without user and query: put credentials and parameters into their own fields,example=https://api.example.com/v1/orders"`

	APIKey       string            `json:"api_key,omitempty" jsonschema:"title=API key,description=Sent as X-API-Key and where that is refused as a bearer token"`
	APIKeyHeader string            `json:"api_key_header,omitempty" public:"true" jsonschema:"title=API key header,description=The only header to send the API key in"`
	APIKeyParam  string            `json:"api_key_param,omitempty" public:"true" jsonschema:"title=API key parameter,description=The query parameter to send the API key in instead of a header"`
	BearerToken  string            `json:"bearer_token,omitempty" jsonschema:"title=Bearer token"`
	Username     string            `json:"username,omitempty" public:"true" jsonschema:"title=Username,description=For HTTP basic authentication"`
	Password     string            `json:"password,omitempty" jsonschema:"title=Password"`
	Headers      map[string]string `json:"headers,omitempty" jsonschema:"title=Headers,description=Sent with every request"`
	Params       map[string]string `json:"params,omitempty" jsonschema:"title=Parameters,description=Query parameters of every request"`

	Paths              []string          `json:"paths,omitempty" public:"true" jsonschema:"title=Paths,description=Paths below base_url: each is one table; base_url itself when absent"`
	Endpoints          []Endpoint        `json:"endpoints,omitempty" public:"true" jsonschema:"title=Endpoints,description=Like paths with settings of their own"`
	RecordsPath        string            `json:"records_path,omitempty" public:"true" jsonschema:"title=Records path,description=The dotted path to the list of records in an answer; found when absent"`
	Pagination         Pagination        `json:"pagination,omitzero" public:"true" jsonschema:"title=Pagination,description=Found when absent"`
	PageSize           int               `json:"page_size,omitempty" public:"true" jsonschema:"title=Page size,description=Records to ask for in one page,minimum=1"`
	MaxPages           int               `json:"max_pages,omitempty" public:"true" jsonschema:"title=Most pages,minimum=1"`
	ConcurrentRequests int               `json:"concurrent_requests,omitempty" public:"true" jsonschema:"title=Requests at once,description=Pages to ask for at a time where the API tells beforehand that there are more (3): 1 for an API that minds,minimum=1,maximum=16"`
	TimeoutSeconds     int               `json:"timeout_seconds,omitempty" public:"true" jsonschema:"title=Time limit,description=Seconds that one request may take (30),minimum=1,maximum=600"`
	PrimaryKey         []string          `json:"primary_key,omitempty" public:"true" jsonschema:"title=Primary key,description=Fields that identify a record"`
	Cursor             string            `json:"cursor,omitempty" public:"true" jsonschema:"title=Cursor,description=The field that incremental syncs follow"`
	SampleRows         int64             `json:"sample_rows,omitempty" public:"true" jsonschema:"title=Sample rows,description=How many records decide the types: 0 is 1000 and -1 all,minimum=-1"`
	ColumnTypes        map[string]string `json:"column_types,omitempty" public:"true" jsonschema:"title=Column types,description=Types by field name that replace those found such as string or decimal(15\\,2)"`
}

// Endpoint is one table of an API. Empty fields take the value of Settings.
type Endpoint struct {
	Path        string   `json:"path" public:"true" jsonschema:"required"`
	Name        string   `json:"name,omitempty" public:"true" jsonschema:"description=The table's name; the last part of the path when absent"`
	RecordsPath string   `json:"records_path,omitempty" public:"true"`
	PrimaryKey  []string `json:"primary_key,omitempty" public:"true"`
	Cursor      string   `json:"cursor,omitempty" public:"true"`
}

// Pagination says how an API gives the next page. Empty fields are found, or
// have the usual name.
type Pagination struct {
	Type        string `json:"type,omitempty" public:"true" jsonschema:"enum=auto,enum=link,enum=next_url,enum=cursor,enum=page,enum=offset,enum=none"`
	NextField   string `json:"next_field,omitempty" public:"true" jsonschema:"description=The dotted path to the next page's URL in an answer"`
	CursorField string `json:"cursor_field,omitempty" public:"true" jsonschema:"description=The dotted path to the next page's cursor in an answer"`
	CursorParam string `json:"cursor_param,omitempty" public:"true"`
	PageParam   string `json:"page_param,omitempty" public:"true"`
	StartPage   *int   `json:"start_page,omitempty" public:"true" jsonschema:"description=The number of the first page (1)"`
	OffsetParam string `json:"offset_param,omitempty" public:"true"`
	SizeParam   string `json:"size_param,omitempty" public:"true" jsonschema:"description=The parameter for page_size (per_page or limit)"`
}

// Driver is the driver of HTTP APIs.
type Driver struct{}

var (
	_ driver.Driver    = Driver{}
	_ driver.Validator = (*Settings)(nil)
)

// Spec describes the driver. Its URL schemes are not claimed: other connectors
// speak HTTP too, and "type": "api" names this one.
func (Driver) Spec() driver.Spec {
	return driver.Spec{Name: "api", Aliases: []string{"http", "https", "rest", "httpapi"}, Class: "api", Title: "HTTP API (JSON)", Settings: &Settings{}}
}

// Open checks the settings. It does not connect.
func (Driver) Open(ctx context.Context, cfg driver.Config) (driver.Source, error) {
	s := &source{limits: cfg.Limits.WithDefaults(), log: cfg.Log, sleep: sleep, bodies: make(chan *body, keptBodies), known: map[string][]driver.Column{}}
	if err := driver.Decode(cfg.Settings, &s.settings); err != nil {
		return nil, err
	}
	var err error
	if s.endpoints, err = s.settings.endpoints(); err != nil {
		return nil, err
	}
	s.timeout = 30 * time.Second
	if s.settings.TimeoutSeconds > 0 {
		s.timeout = time.Duration(s.settings.TimeoutSeconds) * time.Second
	}
	connections := max(4, s.settings.ConcurrentRequests)
	s.maxPages = s.limits.MaxPages
	if n := s.settings.MaxPages; n > 0 {
		s.maxPages = min(n, s.maxPages)
	}
	s.requests = defaultRequests
	if n := s.settings.ConcurrentRequests; n > 0 {
		s.requests = n
	}
	s.transport = &http.Transport{
		Proxy: nil, DialContext: cfg.Dial, ForceAttemptHTTP2: true, MaxConnsPerHost: connections, MaxIdleConns: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: 30 * time.Second,
		TLSHandshakeTimeout: 15 * time.Second, MaxResponseHeaderBytes: 1 << 20, ReadBufferSize: 64 << 10,
	}
	s.client = &http.Client{Transport: s.transport, CheckRedirect: redirect}
	return s, nil
}

// source is one API.
type source struct {
	settings  Settings
	endpoints []endpoint
	limits    driver.Limits
	log       *slog.Logger
	timeout   time.Duration
	maxPages  int
	transport *http.Transport
	client    *http.Client
	bearer    atomic.Bool                // the API key is accepted as a bearer token only
	requests  int                        // at once, where pages are known beforehand
	throttled atomic.Bool                // the API asked to wait
	bodies    chan *body                 // to be used again
	known     map[string][]driver.Column // by table, what Discover found
	sleep     func(context.Context, time.Duration) error
}

// Check reads the first page of every endpoint.
func (s *source) Check(ctx context.Context) error {
	for _, e := range s.endpoints {
		if _, err := newPager(s, e).next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// CheckSteps is Check in its parts.
func (s *source) CheckSteps(ctx context.Context) ([]driver.Step, error) {
	began := time.Now()
	var connected time.Duration
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		if connected == 0 {
			connected = max(time.Since(began), 1)
		}
	}})
	err := s.Check(traced)
	rest := time.Since(began) - connected
	steps := []driver.Step{{Name: "connect", Duration: connected}}
	if connected == 0 {
		steps[0].Duration, steps[0].Err = rest, err
		return steps, err
	}
	name := "read"
	switch {
	case err == nil:
		steps = append(steps, driver.Step{Name: "authenticate"})
	case errors.Is(err, driver.ErrAuthentication):
		name = "authenticate"
	case errors.Is(err, driver.ErrPermission):
		name = "permissions"
	}
	return append(steps, driver.Step{Name: name, Duration: rest, Err: err}), err
}

// Close closes the connections.
func (s *source) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// where is a URL without what may be secret in it.
func where(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
