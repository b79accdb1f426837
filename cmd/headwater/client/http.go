package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// Client calls the public REST API. It is safe for concurrent use.
type Client struct {
	base      string // ends with /api/v1
	token     string
	workspace string
	http      *http.Client
	poll      time.Duration // pause between two polls
}

// maxAnswer limits the bytes read of one answer: many times a schema of ten
// thousand tables.
const maxAnswer = 512 << 20

// New returns a client for the service at address, with or without /api/v1 at
// its end. Its error names the flag to change.
func New(address, token, workspace string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		hint := ""
		if address != "" && !strings.Contains(address, "://") {
			hint = "; write http://" + address
		}
		return nil, exit.Usagef("--url: %q is not an http or https URL%s", address, hint)
	}
	if token == "" {
		return nil, exit.Usagef("no token: set HEADWATER_TOKEN or give --token; 'headwater token --org O --user U' prints one where the service runs")
	}
	base := strings.TrimRight(address, "/")
	if !strings.HasSuffix(base, "/api/v1") {
		base += "/api/v1"
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 5 * time.Minute
	return &Client{
		base: base, token: token, workspace: workspace, poll: 200 * time.Millisecond,
		http: &http.Client{
			Transport: transport,
			// Following a redirect would send the token to its target.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// apiAnswer is the envelope of an answer.
type apiAnswer struct {
	Code    int             `json:"-"` // HTTP status: 200 or 202
	Status  string          `json:"status"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
	// NextCursor is the cursor of the next page, "" for none.
	NextCursor string `json:"next_cursor"`
	Error      *struct {
		Code    string        `json:"code"`
		Details []errorDetail `json:"details"`
	} `json:"error"`
}

type errorDetail struct {
	Field   string `json:"field"`
	Message string `json:"message"`
	Name    string `json:"name"` // of the source with the problem
}

// into decodes the answer's data.
func (a apiAnswer) into(data any) error {
	if err := json.Unmarshal(a.Data, data); err != nil {
		return fmt.Errorf("the service's answer is not as expected, is it another version? %w", err)
	}
	return nil
}

// APIError is the error for an answer that refuses a request.
type APIError struct {
	HTTP      int    // status code
	Code      string // error code of the envelope, such as not_found
	Message   string // for people
	Details   []errorDetail
	RequestID string
}

// Error returns the message and each detail on a line of its own. For errors of
// the service it adds the request id, which is in the service's log.
func (e *APIError) Error() string {
	text := once(e.Message, e.Details)
	if e.HTTP == http.StatusNotFound && strings.Contains(e.Message, "workspace and scope") {
		text += "\n  --scope and --workspace say where to look"
	}
	if e.HTTP == http.StatusUnauthorized {
		text += "\n  give a valid token with HEADWATER_TOKEN or --token; 'headwater token' prints one where the service runs"
	}
	if e.HTTP >= 500 && e.RequestID != "" {
		text += "\n  request id " + terminal.Plain(e.RequestID)
	}
	return text
}

func notFound(err error) bool {
	var refused *APIError
	return errors.As(err, &refused) && refused.HTTP == http.StatusNotFound
}

// Path returns a path below the client's workspace. It escapes the parts.
func (c *Client) Path(parts ...string) string {
	path := "/data/" + url.PathEscape(c.workspace)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

func (c *Client) get(ctx context.Context, path string, query url.Values) (apiAnswer, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, "")
}

// post sends body as JSON with an Idempotency-Key, so that its repeats have at
// most one effect. prefer is the Prefer header, "" for none.
func (c *Client) post(ctx context.Context, path string, body any, prefer string) (apiAnswer, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return apiAnswer{}, err
	}
	return c.do(ctx, http.MethodPost, path, encoded, prefer)
}

// do sends a request and returns the envelope of the answer, or an *APIError if
// the service refuses. A 2xx with status "error" (a failed connection test) is
// returned as an answer. An overloaded service is tried twice more.
func (c *Client) do(ctx context.Context, method, path string, body []byte, prefer string) (apiAnswer, error) {
	header := http.Header{"Authorization": {"Bearer " + c.token}, "Accept": {"application/json"}}
	if body != nil {
		header.Set("Content-Type", "application/json")
		header.Set("Idempotency-Key", rand.Text())
	}
	if prefer != "" {
		header.Set("Prefer", prefer)
	}
	for try := 1; ; try++ {
		request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
		if err != nil {
			return apiAnswer{}, err
		}
		request.Header = header
		response, err := c.http.Do(request)
		if err != nil {
			return apiAnswer{}, c.unreachable(ctx, err)
		}
		again := response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); again && err == nil && seconds <= 10 && try < 3 {
			response.Body.Close()
			if err := sleep(ctx, time.Duration(seconds)*time.Second); err != nil {
				return apiAnswer{}, err
			}
			continue
		}
		return c.read(response)
	}
}

func (c *Client) read(response *http.Response) (apiAnswer, error) {
	defer response.Body.Close()
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return apiAnswer{}, exit.With(exit.Unknown, fmt.Errorf("the answer of %s broke off: %w", c.base, err))
	}
	var a apiAnswer
	if err := json.Unmarshal(body, &a); err != nil || a.Status == "" {
		return apiAnswer{}, exit.With(exit.Unknown, fmt.Errorf("%s answered %s (%s), which is not Headwater's API; is --url right?", c.base, response.Status, terminal.Plain(kind)))
	}
	a.Code = response.StatusCode
	if a.Code >= 200 && a.Code < 300 {
		return a, nil
	}
	refused := &APIError{HTTP: a.Code, Message: a.Message, RequestID: response.Header.Get("X-Request-Id")}
	if a.Error != nil {
		refused.Code, refused.Details = a.Error.Code, a.Error.Details
	}
	return apiAnswer{}, refused
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return exit.With(exit.Unknown, fmt.Errorf("cannot reach %s: %w; is 'headwater serve' running there? --url or HEADWATER_URL says where to look", c.base, err))
}

// sleep waits for d. It returns ctx's error if ctx is done first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
