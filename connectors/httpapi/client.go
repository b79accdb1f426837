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
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi/places"
	"headwater/connectors/records"
)

const (
	maxPage       = 64 << 20 // bytes of one answer, decompressed
	maxRefusal    = 64 << 10 // bytes that are read of an answer that is an error
	maxHeaders    = 1 << 20  // bytes of the headers of one answer
	attempts      = 5
	firstAttempts = 3 // of the first request of a source, where somebody waits
)

// answer is one successful answer.
type answer struct {
	url    *url.URL
	status int
	header http.Header
	body   []byte        // valid JSON, or empty with status 204
	in     *body         // that has its index
	list   *records.List // that the index is of, nil for none
	fields map[string][]byte
	signs  signs
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

// redirect follows redirects only within the same host.
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

// ask is one request. The credentials go with it, and the parameters of the settings
// unless the API gave the URL.
type ask struct {
	url   *url.URL
	given bool
	list  *records.List // that the answer's index is of, nil for none
	first bool          // nothing was read of the source so far
}

// failedTry is a request that did not succeed.
type failedTry struct {
	url   *url.URL
	err   error
	again bool          // it may succeed the next time
	asked bool          // the API says how long to wait
	wait  time.Duration // that it asks for
}

// get makes a request, and repeats it after failures that may pass.
func (s *source) get(ctx context.Context, q ask) (*answer, error) {
	var p patience
	for {
		a, f := s.try(ctx, q)
		if f == nil {
			return a, nil
		}
		if ctx.Err() != nil {
			return nil, f.err
		}
		var status *statusError
		if errors.As(f.err, &status) && !f.again && (status.status == http.StatusUnauthorized || status.status == http.StatusForbidden) {
			return s.otherwise(ctx, q, f.err)
		}
		if !f.again || errors.Is(f.err, driver.ErrUnreachable) && status == nil && q.first {
			return nil, f.err
		}
		wait, err := p.again(s, f, q.first)
		if err != nil {
			return nil, err
		}
		if f.asked {
			s.throttled.Store(true)
		}
		if err := s.sleep(ctx, wait); err != nil {
			return nil, stopped(q.url, err)
		}
	}
}

// backoff returns how long to wait before a retry if the API does not say.
func backoff(try int) time.Duration {
	return time.Duration(float64(500*time.Millisecond<<(try-1)) * (0.75 + rand.Float64()/2))
}

// try makes one request.
func (s *source) try(ctx context.Context, q ask) (*answer, *failedTry) {
	u := q.url
	timed, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := s.request(timed, q)
	if err != nil {
		return nil, &failedTry{url: u, err: err}
	}
	res, err := s.client.Do(req)
	if err != nil {
		err = s.failed(ctx, u, err)
		return nil, &failedTry{url: u, err: err, again: errors.Is(err, driver.ErrUnreachable)}
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxRefusal)) // what of it comes will do
		f := &failedTry{url: u, err: s.statusOf(u, res.StatusCode, body), again: passes(res.StatusCode)}
		if f.again || limited(res) {
			f.again = true
			f.wait, f.asked = waitOf(res.Header, time.Now())
			if !f.asked && limited(res) {
				f.wait, f.asked = waitIn(body)
			}
		}
		return nil, f
	}
	in := s.take()
	if err := in.read(res.Body, res.ContentLength); err != nil {
		err = s.failed(ctx, u, err)
		return nil, &failedTry{url: u, err: err, again: errors.Is(err, driver.ErrUnreachable)}
	}
	a, err := s.answered(q, res, in)
	if err != nil {
		return nil, &failedTry{url: u, err: err}
	}
	return a, nil
}

// waitIn reads from an error's body how long to wait, as in {"retry_after": 1.5}.
func waitIn(body []byte) (time.Duration, bool) {
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '{' || !records.Valid(body) {
		return 0, false
	}
	return moment(string(records.Field(body, "retry_after")), time.Now())
}

// answered reads an answer with a good status.
func (s *source) answered(q ask, res *http.Response, in *body) (*answer, error) {
	u, body := q.url, in.bytes
	if len(body) > maxPage {
		return nil, driver.E(driver.ErrLimit, nil, "%s answers with more than %d MiB in one page; set page_size", where(u), maxPage>>20)
	}
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	a := &answer{url: u, status: res.StatusCode, header: res.Header, body: body, in: in, list: q.list}
	switch {
	case len(body) == 0 && (res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusAccepted):
		return a, nil
	case in.index.Read(body, q.list):
		return a, nil
	}
	if a.body = places.Lines(body); a.body == nil || !in.index.Read(a.body, &records.List{}) {
		return nil, notJSON(u, res.Header.Get("Content-Type"), body)
	}
	a.list = nil
	return a, nil
}

// notJSON says what an answer is if it is not JSON, as far as can be told.
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

// statusOf returns the error that a status means, with the API's own words.
func (s *source) statusOf(u *url.URL, status int, body []byte) error {
	text := strconv.Itoa(status) + " " + http.StatusText(status)
	kind, advice := driver.ErrBadData, "check base_url, params, headers and pagination"
	switch {
	case status == 401 || status == 407:
		kind, advice = driver.ErrAuthentication, "check api_key (and api_key_header), bearer_token or username and password; a token of OAuth2 is fetched elsewhere and set as bearer_token"
	case status == 403:
		kind, advice = driver.ErrPermission, "the credentials are not allowed to read this"
	case status == 404 || status == 410:
		kind, advice = driver.ErrNotFound, "check base_url and paths"
	case status == 405:
		kind, advice = driver.ErrUnsupported, "it takes no GET, and POST is not offered; look for an endpoint of the API that lists by GET"
	case passes(status):
		kind, advice = driver.ErrUnreachable, "the API is overloaded or failing; try again later"
	case status >= 300 && status < 400:
		advice = "it redirects to nowhere; check base_url"
	}
	if (status == 400 || status == 404) && slices.Contains([]string{"graphql", "search", "query"}, strings.ToLower(path.Base(u.Path))) {
		kind, advice = driver.ErrUnsupported, "if it lists by POST alone, as GraphQL does, it cannot be read: connection_config has no POST; else "+advice
	}
	if said := s.clean(own(body)); said != "" {
		return &statusError{status, driver.E(kind, nil, "%s answers %s: %s; %s", where(u), text, said, advice)}
	}
	return &statusError{status, driver.E(kind, nil, "%s answers %s: %s", where(u), text, advice)}
}

// failed turns an error of the HTTP client into a *driver.Error without the URL, which
// the client puts into its errors.
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
	if text := err.Error(); strings.Contains(text, "response headers exceeded") || strings.Contains(text, "response header list larger") {
		// The client has no types for these. Another try would bring as many.
		return driver.E(driver.ErrLimit, nil, "%s answers with more than %d MiB of headers", where(u), maxHeaders>>20)
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
