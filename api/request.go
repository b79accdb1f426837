package api

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"headwater/api/auth"
	"headwater/api/web"
)

const (
	headerRequestID   = "X-Request-Id"
	headerSequence    = "X-Headwater-Sequence"
	headerMinSequence = "X-Headwater-Min-Sequence"

	bodyTime   = 30 * time.Second // for a client to send its body
	answerTime = 2 * time.Minute  // for a client to read its answer
)

var (
	requestID   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`) })
	workspaceID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`) })
	trace       = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)
)

// request is an authorized call. Everything about it is validated before the
// call's own function sees it.
type request struct {
	route     route
	http      *http.Request
	writer    http.ResponseWriter // for a stream of events
	caller    auth.Claims
	workspace string // "" if the path names none
	query     url.Values
	body      []byte // one JSON value that fits the contract; nil for none
	release   func() // returns the shares that the request holds until it is answered; nil for none
}

// variable returns a variable of the path, decoded.
func (r *request) variable(name string) string {
	text, err := url.PathUnescape(mux.Vars(r.http)[name])
	if err != nil {
		return ""
	}
	return text
}

// owner returns the owner of the sources in a scope: the caller, or "" for the
// organization.
func (r *request) owner(scope string) string {
	if scope == "organization" {
		return ""
	}
	return r.caller.Username
}

// decode reads the body into a struct that matches the contract. Its error is a
// *web.Failure.
func (r *request) decode(into any) error {
	if len(r.body) == 0 {
		return nil
	}
	err := json.Unmarshal(r.body, into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return web.Malformed(web.Detail{Field: wrong.Field, Message: "must be a plain " + wrong.Type.String()})
	}
	if err != nil {
		return web.Malformed(web.Detail{Field: "body", Message: "is not what this call takes"})
	}
	return nil
}

// serve assigns the request its id, and turns a panic into a 500.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(headerRequestID)
	if !requestID().MatchString(id) {
		id = rand.Text()
	}
	r.Header.Set(headerRequestID, id)
	web.Note(w, func(x *web.Exchange) { x.RequestID = id })
	header := w.Header()
	header.Set(headerRequestID, id)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if web.CrossOrigin(w, r, h.Options.Origins) {
		return
	}
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(p)
		}
		h.panicked(id, p)
		web.AsFailure(errors.New("panic")).Answer().Write(w, r)
	}()
	h.router.ServeHTTP(w, r)
}

// panicked logs the type and stack of a panic. It does not log the value, which
// may quote a request.
func (h *Handler) panicked(id string, p any) {
	h.Log.Error("panic in a request", "request_id", id, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
}

// handle checks a request and answers it. The order of the checks decides which
// problem the caller hears of first: the token, the permission, the workspace,
// then the content.
func (h *Handler) handle(w http.ResponseWriter, hr *http.Request, t route) {
	r := &request{route: t, http: hr, writer: w, query: hr.URL.Query()}
	// A ResponseWriter outside a server may have no deadlines.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(bodyTime + h.Options.MinSequenceWait + answerTime))
	defer func() {
		if r.release != nil {
			r.release()
		}
	}()
	web.Note(w, func(x *web.Exchange) { x.Route, x.Open = basePath+t.path, t.open })
	a, err := h.answer(w, r)
	web.Note(w, func(x *web.Exchange) {
		x.Organization, x.Workspace, x.Subject = r.caller.Organization, r.workspace, r.caller.Username
	})
	if err != nil {
		f := web.AsFailure(err)
		web.Note(w, func(x *web.Exchange) { x.Code, x.Message = f.Code, f.Message })
		if f.Status >= 500 && hr.Context().Err() == nil {
			h.Log.Error("request failed", "request_id", hr.Header.Get(headerRequestID), "call", t.operation.ID(), "status", f.Status, "error", err)
		}
		h.recordRefusal(r, f)
		a = f.Answer()
	}
	if a != nil { // nil: the client has disconnected, or was answered already
		if !t.open && a.Header.Get(headerSequence) == "" {
			a.Header.Set(headerSequence, strconv.FormatUint(h.Reads.Position(), 10))
		}
		h.writable(r, a).Write(w, hr)
	}
}

func (h *Handler) answer(w http.ResponseWriter, r *request) (*web.Answer, error) {
	if r.route.open {
		return r.route.read(h, r.http.Context(), r)
	}
	if err := h.authorize(r); err != nil {
		return nil, err
	}
	if wrong := r.route.operation.CheckQuery(r.query); len(wrong) > 0 {
		return nil, web.Malformed(web.Details(wrong)...)
	}
	if r.route.method == http.MethodPost || r.route.method == http.MethodPut {
		if err := h.readBody(w, r); err != nil {
			return nil, err
		}
	}
	if err := h.catchUp(r); err != nil {
		return nil, err
	}
	if r.route.plan != nil {
		return h.command(w, r)
	}
	if r.route.act != nil {
		return h.action(r)
	}
	return r.route.read(h, r.http.Context(), r)
}

// authorize sets the caller and the workspace of the request.
func (h *Handler) authorize(r *request) error {
	scheme, token, _ := strings.Cut(r.http.Header.Get("Authorization"), " ")
	refuse := func(message, challenge string) error {
		return web.Fail(http.StatusUnauthorized, "unauthorized", "%s", message).Set("WWW-Authenticate", challenge)
	}
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		return refuse("A token is needed: send the header Authorization: Bearer <token>", `Bearer realm="headwater"`)
	}
	var err error
	if r.caller, err = h.Auth.Verify(strings.TrimSpace(token)); err != nil {
		if errors.Is(err, auth.ErrLookup) {
			return web.Fail(http.StatusServiceUnavailable, "unavailable", "API tokens cannot be looked up on this node now; try again").Later(2 * time.Second).Because(err)
		}
		return refuse("The token is not valid: "+auth.RefusalOf(err).Why, `Bearer realm="headwater", error="invalid_token"`)
	}
	vars := mux.Vars(r.http)
	if _, tenant := vars["org"]; tenant && (r.variable("org") != r.caller.Organization || r.variable("user") != r.caller.Username) {
		return web.Fail(http.StatusForbidden, "forbidden", "The organization and user in the path are not those of the token")
	}
	if r.route.method != http.MethodGet && r.caller.Role == auth.RoleViewer && !r.route.anyRole {
		return web.Fail(http.StatusForbidden, "forbidden", "A viewer may only read; this call needs the role %s or %s", auth.RoleEditor, auth.RoleAdmin)
	}
	if _, named := vars["workspace_id"]; named {
		if r.workspace = r.variable("workspace_id"); !workspaceID().MatchString(r.workspace) {
			return web.Malformed(web.Detail{Field: "workspace_id", Message: "must be 1 to 64 letters, digits, _ or -"})
		}
		if !r.caller.Reaches(r.workspace) {
			return web.Fail(http.StatusForbidden, "forbidden", "The token reaches the workspaces %s, not %s", strings.Join(r.caller.Workspaces, ", "), r.workspace)
		}
	}
	return nil
}

// readBody reads the body of a POST or PUT and validates it against the
// contract.
func (h *Handler) readBody(w http.ResponseWriter, r *request) error {
	limit := h.Options.MaxBody
	tooLarge := web.Fail(http.StatusRequestEntityTooLarge, "too_large", "The request is larger than %d bytes; send fewer sources at once", limit)
	if r.http.ContentLength > limit {
		return tooLarge
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	var b bytes.Buffer
	if _, err := b.ReadFrom(http.MaxBytesReader(w, r.http.Body, limit)); err != nil {
		var over *http.MaxBytesError
		if errors.As(err, &over) {
			return tooLarge
		}
		return web.Malformed(web.Detail{Field: "body", Message: "could not be read to its end"})
	}
	// From here on the work may take longer than reading the body.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if b.Len() == 0 && !r.route.operation.NeedsBody() {
		return nil
	}
	kind, params, err := mime.ParseMediaType(r.http.Header.Get("Content-Type"))
	charset := params["charset"]
	if err != nil || kind != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") || r.http.Header.Get("Content-Encoding") != "" {
		return web.Fail(http.StatusUnsupportedMediaType, "unsupported_media_type", "Send plain JSON with the header Content-Type: application/json")
	}
	if wrong := r.route.operation.CheckBody(b.Bytes()); len(wrong) > 0 {
		return web.Malformed(web.Details(wrong)...)
	}
	r.body = b.Bytes()
	return nil
}

// catchUp waits until this node has read the log up to the sequence that the
// caller has seen.
func (h *Handler) catchUp(r *request) error {
	text := r.http.Header.Get(headerMinSequence)
	if text == "" {
		return nil
	}
	sequence, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return web.Malformed(web.Detail{Field: headerMinSequence, Message: "must be the number of an earlier answer's " + headerSequence})
	}
	if sequence > h.Reads.Position() {
		// A sequence beyond the end of the log cannot come from an answer of
		// ours; waiting for it would only hold a place. If the log does not
		// answer, the wait fails by itself.
		if _, last, _, err := h.History.State(r.http.Context()); err == nil && sequence > last {
			return web.Malformed(web.Detail{Field: headerMinSequence, Message: fmt.Sprintf("lies beyond the end of the log, which is at %d; is it of another log?", last)})
		}
	}
	return h.reach(r.http.Context(), sequence)
}
