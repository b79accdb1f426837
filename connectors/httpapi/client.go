package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

const (
	maxPage     = 64 << 20 // bytes of one answer, decompressed
	attempts    = 5
	longestWait = 2 * time.Minute // that a Retry-After may ask for
)

// answer is one successful answer.
type answer struct {
	url    *url.URL
	header http.Header
	body   []byte        // valid JSON, or empty with status 204
	in     *body         // that has its index
	list   *records.List // that the index is of, nil for none
	fields map[string][]byte
}

// top returns the fields of an answer that is an object.
func (a *answer) top() map[string][]byte {
	if a.fields == nil {
		a.fields = map[string][]byte{}
		for key, value := range a.in.index.Top() {
			if _, twice := a.fields[string(key)]; !twice {
				a.fields[string(key)] = value
			}
		}
	}
	return a.fields
}

// statusError is an answer that is not 2xx.
type statusError struct {
	status int
	err    *driver.Error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// redirect follows redirects on the same host alone.
func redirect(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) >= 5 {
		return driver.E(driver.ErrBadData, nil, "%s redirects in circles", where(first))
	}
	if !sameHost(first, req.URL) {
		return driver.E(driver.ErrPermission, nil, "%s redirects to another host (%s), which would get the credentials; if that is right, set base_url to it", where(first), req.URL.Host)
	}
	return nil
}

// sameHost reports whether a request may go to b with the credentials for a: to
// the same host and port, or from http to https on their usual ports.
func sameHost(a, b *url.URL) bool {
	if !strings.EqualFold(a.Hostname(), b.Hostname()) {
		return false
	}
	return a.Scheme == b.Scheme && port(a) == port(b) || a.Scheme == "http" && b.Scheme == "https" && port(a) == "80" && port(b) == "443"
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// get makes a request, again after failures that may pass: always after 429,
// 502, 503 and 504, and after a broken connection when patient is set.
// The answer's index is of list, or of no records.
func (s *source) get(ctx context.Context, u *url.URL, patient bool, list *records.List) (*answer, error) {
	for attempt := 1; ; attempt++ {
		a, wait, err := s.try(ctx, u, list)
		if err == nil || ctx.Err() != nil {
			return a, err
		}
		var status *statusError
		switch {
		case errors.As(err, &status):
			if status.status == http.StatusUnauthorized || status.status == http.StatusForbidden {
				return s.retryAsBearer(ctx, u, err, list)
			}
			if wait < 0 {
				return nil, err
			}
			s.throttled.Store(true)
		case !patient || !errors.Is(err, driver.ErrUnreachable):
			return nil, err
		}
		if attempt == attempts {
			return nil, err
		}
		if wait > longestWait {
			return nil, driver.E(driver.ErrUnreachable, nil, "%s asks to wait for %v before the next request; sync later", where(u), wait.Round(time.Second))
		}
		backoff := time.Duration(float64(500*time.Millisecond<<(attempt-1)) * (0.75 + rand.Float64()/2))
		if wait <= 0 {
			wait = backoff
		}
		if err := s.sleep(ctx, wait); err != nil {
			return nil, stopped(u, err)
		}
	}
}

// retryAsBearer sends the API key as a bearer token, when nothing says how the
// API wants it. It keeps to what worked.
func (s *source) retryAsBearer(ctx context.Context, u *url.URL, refused error, list *records.List) (*answer, error) {
	if s.bearer.Load() || s.settings.APIKey == "" || s.settings.APIKeyHeader != "" || s.settings.APIKeyParam != "" || s.settings.BearerToken != "" || s.settings.Username != "" {
		return nil, refused
	}
	s.bearer.Store(true)
	a, _, err := s.try(ctx, u, list)
	if err != nil {
		s.bearer.Store(false)
		return nil, refused
	}
	return a, nil
}

// request makes a request with the credentials.
func (s *source) request(ctx context.Context, u *url.URL) (*http.Request, error) {
	full := *u
	query := full.Query()
	for name, value := range s.settings.Params {
		if !query.Has(name) {
			query.Set(name, value)
		}
	}
	if s.settings.APIKeyParam != "" && s.settings.APIKey != "" {
		query.Set(s.settings.APIKeyParam, s.settings.APIKey)
	}
	full.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, full.String(), nil)
	if err != nil {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "%s is no address to read from", where(u))
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "headwater")
	switch c := s.settings; {
	case c.BearerToken != "":
		req.Header.Set("Authorization", "Bearer "+c.BearerToken)
	case c.Username != "" || c.Password != "":
		req.SetBasicAuth(c.Username, c.Password)
	}
	switch key := s.settings.APIKey; {
	case key == "" || s.settings.APIKeyParam != "":
	case s.bearer.Load():
		req.Header.Set("Authorization", "Bearer "+key)
	case strings.EqualFold(s.settings.APIKeyHeader, "Authorization") && !strings.Contains(key, " "):
		req.Header.Set("Authorization", "Bearer "+key)
	case s.settings.APIKeyHeader != "":
		req.Header.Set(s.settings.APIKeyHeader, key)
	default:
		req.Header.Set("X-API-Key", key)
	}
	for name, value := range s.settings.Headers {
		req.Header.Set(name, value)
	}
	return req, nil
}

// try makes one request. With a status that may pass, wait is how long the
// server asks to wait, or 0; otherwise it is negative.
func (s *source) try(ctx context.Context, u *url.URL, list *records.List) (a *answer, wait time.Duration, err error) {
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := s.request(limited, u)
	if err != nil {
		return nil, -1, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, 0, s.failed(ctx, u, err)
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be used again
		return nil, retryAfter(res), statusOf(u, res.StatusCode)
	}
	in := s.take()
	if err := in.read(res.Body, res.ContentLength); err != nil {
		return nil, 0, s.failed(ctx, u, err)
	}
	body := in.bytes
	if len(body) > maxPage {
		return nil, -1, driver.E(driver.ErrLimit, nil, "%s answers with more than %d MiB in one page; set page_size", where(u), maxPage>>20)
	}
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(body) == 0 && res.StatusCode == http.StatusNoContent {
		return &answer{url: u, header: res.Header, in: in}, 0, nil
	}
	if !in.index.Read(body, list) {
		return nil, -1, notJSON(u, res.Header.Get("Content-Type"), body)
	}
	return &answer{url: u, header: res.Header, body: body, in: in, list: list}, 0, nil
}

// notJSON says what the answer is instead, as far as can be told.
func notJSON(u *url.URL, contentType string, body []byte) error {
	kind, _, _ := strings.Cut(contentType, ";")
	switch {
	case len(body) == 0:
		return driver.E(driver.ErrBadData, nil, "%s answers with nothing, not JSON", where(u))
	case body[0] == '<' && !strings.Contains(kind, "xml") || strings.Contains(kind, "html"):
		return driver.E(driver.ErrBadData, nil, "%s answers with an HTML page, not JSON; it may be a login page: check base_url and the credentials", where(u))
	case body[0] == '{' || body[0] == '[':
		return driver.E(driver.ErrBadData, nil, "%s answers with broken JSON", where(u))
	}
	return driver.E(driver.ErrBadData, nil, "%s answers with %q, not JSON", where(u), kind)
}

// retryAfter returns how long to wait, 0 when the server does not say, or -1
// when the status will not pass.
func retryAfter(res *http.Response) time.Duration {
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return -1
	}
	value := res.Header.Get("Retry-After")
	if n, err := strconv.Atoi(value); err == nil && n >= 0 {
		return time.Duration(min(n, 1<<20)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// statusOf returns the error that a status means.
func statusOf(u *url.URL, status int) error {
	text := strconv.Itoa(status) + " " + http.StatusText(status)
	kind, advice := driver.ErrBadData, "check base_url, params and pagination"
	switch {
	case status == 401 || status == 407:
		kind, advice = driver.ErrAuthentication, "check api_key (and api_key_header), bearer_token or username and password"
	case status == 403:
		kind, advice = driver.ErrPermission, "the credentials are not allowed to read this"
	case status == 404 || status == 410:
		kind, advice = driver.ErrNotFound, "check base_url and paths"
	case status == 408 || status == 429 || status >= 500:
		kind, advice = driver.ErrUnreachable, "the API is overloaded or failing; try again later"
	case status >= 300 && status < 400:
		advice = "it redirects to nowhere; check base_url"
	}
	return &statusError{status, driver.E(kind, nil, "%s answers %s: %s", where(u), text, advice)}
}

// failed turns an error of the HTTP client into a driver's, without the URL
// that the client puts into it.
func (s *source) failed(ctx context.Context, u *url.URL, err error) error {
	var typed *driver.Error
	if errors.As(err, &typed) {
		return typed
	}
	if ctx.Err() != nil {
		return stopped(u, ctx.Err())
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return driver.E(driver.ErrTimeout, nil, "%s gives no whole answer within %v; raise timeout_seconds or lower page_size", where(u), s.timeout)
	}
	return driver.E(driver.ErrUnreachable, err, "%s cannot be reached", where(u))
}

func stopped(u *url.URL, err error) error {
	return driver.E(driver.ErrTimeout, err, "%s: stopped", where(u))
}
