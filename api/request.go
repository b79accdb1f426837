package api

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/quota"
	"headwater/api/web"
)

// bodyTime is how long a client may take to send its body.
const bodyTime = 30 * time.Second

var requestID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`) })

// serve assigns the request its id, and turns a panic into a 500.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(call.HeaderRequestID)
	if !requestID().MatchString(id) {
		id = rand.Text()
	}
	r.Header.Set(call.HeaderRequestID, id)
	web.Note(w, func(x *web.Exchange) { x.RequestID = id })
	header := w.Header()
	header.Set(call.HeaderRequestID, id)
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
		call.LogPanic(h.Log, id, p)
		web.AsFailure(errors.New("panic")).Answer().Write(w, r)
	}()
	h.router.ServeHTTP(w, r)
}

// handle checks a request and answers it. The order of the checks decides which
// problem the caller hears of first: the token, the permission, the workspace,
// then the content.
func (h *Handler) handle(w http.ResponseWriter, hr *http.Request, t route) {
	r := &call.Request{Method: t.method, Path: t.path, HTTP: hr, Vars: mux.Vars(hr), Writer: w, Query: hr.URL.Query(), Model: h.Reads}
	// A ResponseWriter outside a server may have no deadlines.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(bodyTime + h.Options.MinSequenceWait + call.AnswerTime))
	defer r.Release()
	web.Note(w, func(x *web.Exchange) { x.Route, x.Open = call.BasePath+t.path, t.open })
	a, err := h.answer(r, t)
	web.Note(w, func(x *web.Exchange) {
		x.Organization, x.Workspace, x.Subject = r.Caller.Organization, r.Workspace, r.Caller.Username
	})
	if err != nil {
		f := web.AsFailure(err)
		web.Note(w, func(x *web.Exchange) { x.Code, x.Message = f.Code, f.Message })
		if f.Status >= 500 && hr.Context().Err() == nil {
			h.Log.Error("request failed", "request_id", hr.Header.Get(call.HeaderRequestID), "call", t.operation.ID(), "status", f.Status, "error", err)
		}
		h.recordRefusal(r, f)
		a = f.Answer()
	}
	if a != nil { // nil: the client has disconnected, or was answered already
		if !t.open && a.Header.Get(call.HeaderSequence) == "" {
			a.Header.Set(call.HeaderSequence, strconv.FormatUint(h.Reads.Position(), 10))
		}
		h.writable(r, a).Write(w, hr)
	}
}

func (h *Handler) answer(r *call.Request, t route) (*web.Answer, error) {
	if t.open {
		return t.read(r.HTTP.Context(), r)
	}
	if err := h.authorize(r, t); err != nil {
		return nil, err
	}
	if wrong := t.operation.CheckQuery(r.Query); len(wrong) > 0 {
		return nil, web.Malformed(web.Details(wrong)...)
	}
	if t.method == http.MethodPost || t.method == http.MethodPut {
		if err := h.readBody(r, t); err != nil {
			return nil, err
		}
	}
	if err := h.catchUp(r); err != nil {
		return nil, err
	}
	if t.plan != nil {
		return h.runner.Do(r, t.plan)
	}
	if t.act != nil {
		return h.runner.Act(r, t.act, t.unkept)
	}
	return t.read(r.HTTP.Context(), r)
}

// authorize sets the caller and the workspace of the request.
func (h *Handler) authorize(r *call.Request, t route) error {
	scheme, token, _ := strings.Cut(r.HTTP.Header.Get("Authorization"), " ")
	refuse := func(message, challenge string) error {
		return web.Fail(http.StatusUnauthorized, "unauthorized", "%s", message).Set("WWW-Authenticate", challenge)
	}
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		return refuse("A token is needed: send the header Authorization: Bearer <token>", `Bearer realm="headwater"`)
	}
	var err error
	if r.Caller, err = h.Auth.Verify(strings.TrimSpace(token)); err != nil {
		if errors.Is(err, auth.ErrLookup) {
			return web.Fail(http.StatusServiceUnavailable, "unavailable", "API tokens cannot be looked up on this node now; try again").Later(2 * time.Second).Because(err)
		}
		return refuse("The token is not valid: "+auth.RefusalOf(err).Why, `Bearer realm="headwater", error="invalid_token"`)
	}
	if _, tenant := r.Vars["org"]; tenant && (r.Variable("org") != r.Caller.Organization || r.Variable("user") != r.Caller.Username) {
		return web.Fail(http.StatusForbidden, "forbidden", "The organization and user in the path are not those of the token")
	}
	if t.method != http.MethodGet && r.Caller.Role == auth.RoleViewer && !t.anyRole {
		return web.Fail(http.StatusForbidden, "forbidden", "A viewer may only read; this call needs the role %s or %s", auth.RoleEditor, auth.RoleAdmin)
	}
	if _, named := r.Vars["workspace_id"]; named {
		if r.Workspace = r.Variable("workspace_id"); !call.WorkspaceID().MatchString(r.Workspace) {
			return web.Malformed(web.Detail{Field: "workspace_id", Message: "must be 1 to 64 letters, digits, _ or -"})
		}
		if !r.Caller.Reaches(r.Workspace) {
			return web.Fail(http.StatusForbidden, "forbidden", "The token reaches the workspaces %s, not %s", strings.Join(r.Caller.Workspaces, ", "), r.Workspace)
		}
	}
	return nil
}

// readBody reads the body of a POST or PUT and validates it against the
// contract.
func (h *Handler) readBody(r *call.Request, t route) error {
	limit := h.Options.MaxBody
	tooLarge := web.Fail(http.StatusRequestEntityTooLarge, "too_large", "The request is larger than %d bytes; send fewer sources at once", limit)
	if r.HTTP.ContentLength > limit {
		return tooLarge
	}
	_ = http.NewResponseController(r.Writer).SetReadDeadline(time.Now().Add(bodyTime))
	var b bytes.Buffer
	if _, err := b.ReadFrom(http.MaxBytesReader(r.Writer, r.HTTP.Body, limit)); err != nil {
		var over *http.MaxBytesError
		if errors.As(err, &over) {
			return tooLarge
		}
		return web.Malformed(web.Detail{Field: "body", Message: "could not be read to its end"})
	}
	// From here on the work may take longer than reading the body.
	_ = http.NewResponseController(r.Writer).SetReadDeadline(time.Time{})
	if b.Len() == 0 && !t.operation.NeedsBody() {
		return nil
	}
	kind, params, err := mime.ParseMediaType(r.HTTP.Header.Get("Content-Type"))
	charset := params["charset"]
	if err != nil || kind != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") || r.HTTP.Header.Get("Content-Encoding") != "" {
		return web.Fail(http.StatusUnsupportedMediaType, "unsupported_media_type", "Send plain JSON with the header Content-Type: application/json")
	}
	if wrong := t.operation.CheckBody(b.Bytes()); len(wrong) > 0 {
		return web.Malformed(web.Details(wrong)...)
	}
	r.Body = b.Bytes()
	return nil
}

// catchUp waits until this node has read the log up to the sequence that the
// caller has seen.
func (h *Handler) catchUp(r *call.Request) error {
	text := r.HTTP.Header.Get(call.HeaderMinSequence)
	if text == "" {
		return nil
	}
	sequence, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return web.Malformed(web.Detail{Field: call.HeaderMinSequence, Message: "must be the number of an earlier answer's " + call.HeaderSequence})
	}
	if sequence > h.Reads.Position() {
		// A sequence beyond the end of the log cannot come from an answer of
		// ours; waiting for it would only hold a place. If the log does not
		// answer, the wait fails by itself.
		if _, last, _, err := h.History.State(r.HTTP.Context()); err == nil && sequence > last {
			return web.Malformed(web.Detail{Field: call.HeaderMinSequence, Message: fmt.Sprintf("lies beyond the end of the log, which is at %d; is it of another log?", last)})
		}
	}
	return call.Reach(r.HTTP.Context(), h.Reads, h.Options.MinSequenceWait, sequence)
}

// writable counts the bytes of a large answer as unread until the request is
// released. It returns the answer, or a 429 in its place.
func (h *Handler) writable(r *call.Request, a *web.Answer) *web.Answer {
	n := int64(a.Size())
	if n <= call.SmallAnswer || r.Caller.Organization == "" {
		return a
	}
	err := r.Hold(&h.unread, n, func(p *quota.Share) *web.Failure {
		return web.Fail(http.StatusTooManyRequests, "too_many_requests", "%s %d MiB of answers that its clients have not read yet; read them, or ask for less at once with limit", p.Whom, p.Most>>20).Later(time.Second)
	}, r.OfOrganization(h.Options.MaxUnread))
	if err != nil {
		return web.AsFailure(err).Answer()
	}
	return a
}
