// Package rest calls the public REST API of a running service: one connection, the
// documents it answers with, waiting for operations, and errors with their exit codes.
// It knows no command.
package rest

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

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// Conn calls the public REST API of one service, in one workspace. It is safe for
// concurrent use.
type Conn struct {
	Base      string // ends with /api/v1
	Token     string
	Workspace string
	HTTP      *http.Client
	Poll      time.Duration // pause between two polls
}

// MaxAnswer limits the bytes read of one answer: many times a schema of ten
// thousand tables.
const MaxAnswer = 512 << 20

// New returns a connection to the service at address, with or without /api/v1 at
// its end. Its error names the flag to change.
func New(address, token, workspace string) (*Conn, error) {
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
	return &Conn{
		Base: base, Token: token, Workspace: workspace, Poll: 200 * time.Millisecond,
		HTTP: &http.Client{
			Transport: transport,
			// Following a redirect would send the token to its target.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Answer is the envelope of an answer.
type Answer struct {
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

// Into decodes the answer's data.
func (a Answer) Into(data any) error {
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

// NotFound reports whether the error is a refusal because something does not exist.
func NotFound(err error) bool {
	var refused *APIError
	return errors.As(err, &refused) && refused.HTTP == http.StatusNotFound
}

// Path returns a path below the client's workspace. It escapes the parts.
func (c *Conn) Path(parts ...string) string {
	path := "/data/" + url.PathEscape(c.Workspace)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// Get requests a path with a query, which may be nil. Its error is an *APIError if the
// service refuses.
func (c *Conn) Get(ctx context.Context, path string, query url.Values) (Answer, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.Do(ctx, http.MethodGet, path, nil, "")
}

// Post sends body as JSON with an Idempotency-Key, so that its repeats have at
// most one effect. prefer is the Prefer header, "" for none.
func (c *Conn) Post(ctx context.Context, path string, body any, prefer string) (Answer, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return Answer{}, err
	}
	return c.Do(ctx, http.MethodPost, path, encoded, prefer)
}

// Do sends a request and returns the envelope of the answer, or an *APIError if
// the service refuses. A 2xx with status "error" (a failed connection test) is
// returned as an answer. An overloaded service is tried twice more.
func (c *Conn) Do(ctx context.Context, method, path string, body []byte, prefer string) (Answer, error) {
	header := http.Header{"Authorization": {"Bearer " + c.Token}, "Accept": {"application/json"}}
	if body != nil {
		header.Set("Content-Type", "application/json")
		header.Set("Idempotency-Key", rand.Text())
	}
	if prefer != "" {
		header.Set("Prefer", prefer)
	}
	for try := 1; ; try++ {
		request, err := http.NewRequestWithContext(ctx, method, c.Base+path, bytes.NewReader(body))
		if err != nil {
			return Answer{}, err
		}
		request.Header = header
		response, err := c.HTTP.Do(request)
		if err != nil {
			return Answer{}, c.Unreachable(ctx, err)
		}
		again := response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); again && err == nil && seconds <= 10 && try < 3 {
			response.Body.Close()
			if err := Sleep(ctx, time.Duration(seconds)*time.Second); err != nil {
				return Answer{}, err
			}
			continue
		}
		return c.Read(response)
	}
}

// Read reads and closes a response and returns the envelope of the answer, or an
// *APIError if the service refuses.
func (c *Conn) Read(response *http.Response) (Answer, error) {
	defer response.Body.Close()
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxAnswer))
	if err != nil {
		return Answer{}, exit.With(exit.Unknown, fmt.Errorf("the answer of %s broke off: %w", c.Base, err))
	}
	var a Answer
	if err := json.Unmarshal(body, &a); err != nil || a.Status == "" {
		return Answer{}, exit.With(exit.Unknown, fmt.Errorf("%s answered %s (%s), which is not Headwater's API; is --url right?", c.Base, response.Status, terminal.Plain(kind)))
	}
	a.Code = response.StatusCode
	if a.Code >= 200 && a.Code < 300 {
		return a, nil
	}
	refused := &APIError{HTTP: a.Code, Message: a.Message, RequestID: response.Header.Get("X-Request-Id")}
	if a.Error != nil {
		refused.Code, refused.Details = a.Error.Code, a.Error.Details
	}
	return Answer{}, refused
}

// Unreachable returns the error of a command whose request failed with err: ctx's error
// if ctx is done, else one that names the service's address.
func (c *Conn) Unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return exit.With(exit.Unknown, fmt.Errorf("cannot reach %s: %w; is 'headwater serve' running there? --url or HEADWATER_URL says where to look", c.Base, err))
}

// Sleep waits for d. It returns ctx's error if ctx is done first.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// once returns a message with its details, each on its own line. A detail that
// the message quotes already is omitted.
func once(message string, details []errorDetail) string {
	text := flags.Said(message)
	lines := make([]string, 0, len(details))
	for _, d := range details {
		about := d.Field
		if about == "" || strings.HasPrefix(about, "source_ids[") || about == d.Name {
			about = d.Name
		}
		line := flags.Said(d.Message)
		if about != "" {
			line = flags.Said(about + ": " + d.Message)
		}
		if len(details) == 1 && (holds(text, flags.Said(d.Message)) || holds(message, d.Message)) {
			continue
		}
		lines = append(lines, line)
	}
	if len(lines) > 1 {
		// The message quotes the first detail and says how many more there are.
		if at := strings.Index(text, ": "); at > 0 && strings.Contains(text, flags.Said(details[0].Message)) {
			if text = text[:at]; text == flags.Said(details[0].Field) {
				text = "the request has " + terminal.Several(len(details), "mistake")
			}
		}
	}
	return strings.Join(append([]string{text}, lines...), "\n  ")
}

// holds reports whether a text holds another, ignoring case.
func holds(text, other string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(other))
}
