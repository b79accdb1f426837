// Package call is an authorized request for a call of the API, and what its caller
// may name: sources, syncs, operations and moments of the log. What belongs to
// somebody else is answered exactly like what does not exist. It also has what
// calls of every kind share: pages, shares, and events of the API's own.
package call

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"headwater/api/auth"
	"headwater/api/web"
	"headwater/bus/event"
)

// Headers of the API's own.
const (
	HeaderRequestID   = "X-Request-Id"
	HeaderSequence    = "X-Headwater-Sequence"     // of an answer: how far the node had read the log
	HeaderMinSequence = "X-Headwater-Min-Sequence" // of a request: how far the node must have read it
)

// The base paths of the API; see servers in openapi.yaml.
const (
	BasePath   = "/api/v1"
	TenantPath = "/jarvispy/{org}/{user}/api/v1"
)

// AnswerTime is how long a client may take to read its answer.
const AnswerTime = 2 * time.Minute

var (
	// WorkspaceID matches the id of a workspace.
	WorkspaceID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`) })
	// HistoryID matches the id of a source, an operation or a test, each of which
	// has a history.
	HistoryID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`) })
)

// Request is an authorized request for a call. Everything about it is validated
// before the call's own function sees it, and does not change afterwards: commands
// of one job are made of it concurrently. Only Hold and Release are for the
// goroutine that answers.
type Request struct {
	Method, Path string // of the call, as in openapi.yaml
	HTTP         *http.Request
	Vars         map[string]string   // variables of the path, still encoded
	Writer       http.ResponseWriter // for a stream of events
	Caller       auth.Claims
	Workspace    string // "" if the path names none
	Query        url.Values
	Body         []byte // one JSON value that fits the contract; nil for none
	Model        Model  // where what the request names is looked up
	release      func() // returns the shares that the request holds until it is answered; nil for none
}

// ID returns the X-Request-Id of the request.
func (r *Request) ID() string { return r.HTTP.Header.Get(HeaderRequestID) }

// Variable returns a variable of the path, decoded.
func (r *Request) Variable(name string) string {
	text, err := url.PathUnescape(r.Vars[name])
	if err != nil {
		return ""
	}
	return text
}

// Owner returns the owner of the sources in a scope: the caller, or "" for the
// organization.
func (r *Request) Owner(scope string) string {
	if scope == "organization" {
		return ""
	}
	return r.Caller.Username
}

// Decode reads the body into a struct that matches the contract. Its error is a
// *web.Failure.
func (r *Request) Decode(into any) error {
	if len(r.Body) == 0 {
		return nil
	}
	err := json.Unmarshal(r.Body, into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return web.Malformed(web.Detail{Field: wrong.Field, Message: "must be a plain " + wrong.Type.String()})
	}
	if err != nil {
		return web.Malformed(web.Detail{Field: "body", Message: "is not what this call takes"})
	}
	return nil
}

// Limit returns the page size that the request asks for, or 0 for no limit.
func (r *Request) Limit() int {
	n, _ := strconv.Atoi(r.Query.Get("limit")) // the contract has validated it
	return n
}

// Address returns the address of what belongs to owner in the request's workspace.
func (r *Request) Address(owner, id string) event.Address {
	return event.Address{Organization: r.Caller.Organization, Workspace: r.Workspace, Owner: owner, Source: id}
}

// SourceAddress returns the address of the source that the query names.
func (r *Request) SourceAddress() event.Address {
	return r.Address(r.Owner(r.Query.Get("scope")), r.Query.Get("source_id"))
}

// Operations returns the URL path of the workspace's operations, below the base
// path that the client uses.
func (r *Request) Operations() string { return r.mount() + r.data() + "/operations/" }

// data returns the URL path of the workspace, without the base path.
func (r *Request) data() string { return "/data/" + r.Workspace }

// mount returns the base path that the client uses.
func (r *Request) mount() string {
	if org, tenant := r.Vars["org"]; tenant {
		return "/jarvispy/" + org + "/" + r.Vars["user"] + BasePath
	}
	return BasePath
}

// LogPanic logs the type and stack of a panic in the request with that id. It does
// not log the value, which may quote a request. It must be called by the function
// that recovered.
func LogPanic(log *slog.Logger, id string, p any) {
	log.Error("panic in a request", "request_id", id, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
}
