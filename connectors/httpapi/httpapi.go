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
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"headwater/connectors/driver"
)

// Settings configure an API.
type Settings struct {
	BaseURL string `json:"base_url" public:"true" jsonschema:"required,title=Base URL,description=The address of the API without user and query: put credentials and parameters into their own fields,example=https://api.example.com/v1/orders"`

	APIKey       string            `json:"api_key,omitempty" jsonschema:"title=API key,description=Sent as X-API-Key and where that is refused or has no effect as a bearer token"`
	APIKeyHeader string            `json:"api_key_header,omitempty" public:"true" jsonschema:"title=API key header,description=The only header to send the API key in"`
	APIKeyParam  string            `json:"api_key_param,omitempty" public:"true" jsonschema:"title=API key parameter,description=The query parameter to send the API key in instead of a header"`
	BearerToken  string            `json:"bearer_token,omitempty" jsonschema:"title=Bearer token"`
	Username     string            `json:"username,omitempty" public:"true" jsonschema:"title=Username,description=For HTTP basic authentication"`
	Password     string            `json:"password,omitempty" jsonschema:"title=Password"`
	Headers      map[string]string `json:"headers,omitempty" jsonschema:"title=Headers,description=Sent with every request"`
	Params       map[string]string `json:"params,omitempty" jsonschema:"title=Parameters,description=Query parameters of every request but those to addresses that the API gives for its next page"`

	Paths              []string          `json:"paths,omitempty" public:"true" jsonschema:"title=Paths,description=Paths below base_url: each is one table; base_url itself when absent"`
	Endpoints          []Endpoint        `json:"endpoints,omitempty" public:"true" jsonschema:"title=Endpoints,description=Like paths with settings of their own"`
	RecordsPath        string            `json:"records_path,omitempty" public:"true" jsonschema:"title=Records path,description=The dotted path to the list of records in an answer; found when absent"`
	RecordShape        string            `json:"record_shape,omitempty" public:"true" jsonschema:"title=Record shape,description=Whether records_path holds a list of records or records by their keys or is one record; found when absent,enum=list,enum=map,enum=single"`
	Pagination         Pagination        `json:"pagination,omitzero" public:"true" jsonschema:"title=Pagination,description=Found when absent"`
	PageSize           int               `json:"page_size,omitempty" public:"true" jsonschema:"title=Page size,description=Records to ask for in one page,minimum=1"`
	MaxPages           int               `json:"max_pages,omitempty" public:"true" jsonschema:"title=Most pages,minimum=1"`
	ConcurrentRequests int               `json:"concurrent_requests,omitempty" public:"true" jsonschema:"title=Requests at once,description=Pages to ask for at a time where the API tells beforehand that there are more (3): 1 for an API that minds,minimum=1,maximum=16"`
	TimeoutSeconds     int               `json:"timeout_seconds,omitempty" public:"true" jsonschema:"title=Time limit,description=Seconds that one request may take (30),minimum=1,maximum=600"`
	MaxWaitSeconds     int               `json:"max_wait_seconds,omitempty" public:"true" jsonschema:"title=Longest wait,description=Seconds that one request may wait for an API that limits how many it takes (120),minimum=1,maximum=3600"`
	CACertificate      string            `json:"ca_certificate,omitempty" public:"true" jsonschema:"title=CA certificate,description=PEM of the authority that signed the server's certificate; beside those of the system"`
	PrimaryKey         []string          `json:"primary_key,omitempty" public:"true" jsonschema:"title=Primary key,description=Fields that identify a record; a dotted path to one in an object"`
	Cursor             string            `json:"cursor,omitempty" public:"true" jsonschema:"title=Cursor,description=The field that incremental syncs follow; a dotted path to one in an object"`
	SinceParam         string            `json:"since_param,omitempty" public:"true" jsonschema:"title=Since parameter,description=The query parameter by which an incremental sync asks for records from its cursor on such as updated_since; all are read and filtered when absent"`
	SinceFormat        string            `json:"since_format,omitempty" public:"true" jsonschema:"title=Since format,description=How the API wants that time: as the field has it (default) or as seconds or milliseconds since 1970 or as a date,enum=field,enum=seconds,enum=milliseconds,enum=date"`
	SinceLookback      string            `json:"since_lookback,omitempty" public:"true" jsonschema:"title=Since look-back,description=How much earlier to ask for such as 15m or 2h or a number for cursors that are numbers: for an API that lags; sync_options.lookback also lands what came late"`
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
	RecordShape string   `json:"record_shape,omitempty" public:"true" jsonschema:"enum=list,enum=map,enum=single"`

	SinceParam    string `json:"since_param,omitempty" public:"true"`
	SinceFormat   string `json:"since_format,omitempty" public:"true" jsonschema:"enum=field,enum=seconds,enum=milliseconds,enum=date"`
	SinceLookback string `json:"since_lookback,omitempty" public:"true"`
}

// Pagination says how an API gives the next page. Empty fields are found, or
// have the usual name.
type Pagination struct {
	Type         string   `json:"type,omitempty" public:"true" jsonschema:"enum=auto,enum=link,enum=next_url,enum=cursor,enum=page,enum=offset,enum=none"`
	NextField    string   `json:"next_field,omitempty" public:"true" jsonschema:"description=The dotted path to the next page's URL in an answer"`
	CursorField  string   `json:"cursor_field,omitempty" public:"true" jsonschema:"description=The dotted path to the next page's cursor in an answer"`
	CursorParam  string   `json:"cursor_param,omitempty" public:"true"`
	PageParam    string   `json:"page_param,omitempty" public:"true"`
	StartPage    *int     `json:"start_page,omitempty" public:"true" jsonschema:"description=The number of the first page (1)"`
	OffsetParam  string   `json:"offset_param,omitempty" public:"true"`
	NextHeader   string   `json:"next_header,omitempty" public:"true" jsonschema:"description=The header with the next page's URL or cursor"`
	Ignore       []string `json:"ignore,omitempty" public:"true" jsonschema:"description=Fields and headers of an answer that look as if they told of pages or errors and do not"`
	RepeatsAtEnd bool     `json:"repeats_at_end,omitempty" public:"true" jsonschema:"description=The API answers what lies behind its last page with an earlier page"`
	EndStatus    int      `json:"end_status,omitempty" public:"true" jsonschema:"description=The status, such as 400, by which the API answers what lies behind its last page"`
	SizeParam    string   `json:"size_param,omitempty" public:"true" jsonschema:"description=The parameter for page_size (per_page or limit)"`
}

// Driver is the driver of HTTP APIs.
type Driver struct{}

var (
	_ driver.Driver    = Driver{}
	_ driver.Validator = (*Settings)(nil)
	_ driver.Knower    = (*source)(nil)
)

// Spec describes the driver. Its URL schemes are not claimed: other connectors
// speak HTTP too, and "type": "api" names this one.
func (Driver) Spec() driver.Spec {
	return driver.Spec{Name: "api", Aliases: []string{"http", "https", "rest", "httpapi"}, Class: "api", Title: "HTTP API (JSON)", Settings: &Settings{}}
}

// Open checks the settings. It does not connect.
func (Driver) Open(ctx context.Context, cfg driver.Config) (driver.Source, error) {
	s := &source{limits: cfg.Limits.WithDefaults(), log: cfg.Log, sleep: sleep, bodies: make(chan *body, keptBodies), maxWait: defaultMaxWait,
		known: map[string][]driver.Column{}, walks: map[string]*walk{}, samples: map[string]*sampled{}, tables: map[string]driver.Table{}}
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
	if n := s.settings.MaxWaitSeconds; n > 0 {
		s.maxWait = time.Duration(n) * time.Second
	}
	authorities, err := s.settings.authorities()
	if err != nil {
		return nil, err
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
		TLSHandshakeTimeout: 15 * time.Second, MaxResponseHeaderBytes: maxHeaders, ReadBufferSize: 64 << 10, TLSClientConfig: authorities,
	}
	s.client = &http.Client{Transport: s.transport, CheckRedirect: redirect}
	return s, nil
}

// source is one API.
type source struct {
	settings     Settings
	endpoints    []endpoint
	limits       driver.Limits
	log          *slog.Logger
	timeout      time.Duration
	maxPages     int
	transport    *http.Transport
	client       *http.Client
	maxWait      time.Duration              // for an API that limits its rate
	way          atomic.Int32               // how the API key is given, where the settings do not say
	judged       atomic.Bool                // whether the credentials have an effect
	idle         atomic.Bool                // they have none that shows
	checking     atomic.Bool                // somebody waits for whether they have
	cautious     atomic.Bool                // somebody waits: give up early
	paramsAlways atomic.Bool                // the API wants params with its own addresses, too
	requests     int                        // at once, where pages are known beforehand
	throttled    atomic.Bool                // the API asked to wait
	bodies       chan *body                 // to be used again
	before       map[string][]string        // by table, the names of the columns that it had the last time
	known        map[string][]driver.Column // by table, what Discover found
	tables       map[string]driver.Table    // the same
	samples      map[string]*sampled        // what it found them by
	walks        map[string]*walk           // and the pages of that
	kept         int64                      // bytes of them
	retyped      []driver.Table             // whose types a Read found anew
	sleep        func(context.Context, time.Duration) error
}

// Close closes the connections.
func (s *source) Close() error {
	for _, w := range s.walks {
		w.end()
	}
	clear(s.walks)
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
