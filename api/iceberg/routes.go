package iceberg

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"
)

// answerTime is how long a client may take to read an answer.
const answerTime = 2 * time.Minute

// Route is one call of the contract.
type Route struct{ Method, Path string }

// route is a Route and the function that answers it.
type route struct {
	Route
	answer func(h *Handler, w http.ResponseWriter, r *request) error
	open   bool // needs no token
}

// Paths below Base, as in openapi.yaml.
const (
	pathConfig      = "/config"
	pathToken       = "/oauth/tokens"
	pathContract    = "/openapi.yaml"
	pathNamespaces  = "/{prefix}/namespaces"
	pathNamespace   = pathNamespaces + "/{namespace}"
	pathTables      = pathNamespace + "/tables"
	pathTable       = pathTables + "/{table}"
	pathCredentials = pathTable + "/credentials"
	pathMetrics     = pathTable + "/metrics"
	pathViews       = pathNamespace + "/views"
	pathView        = pathViews + "/{view}"
)

func table() []route {
	return []route{
		{Route{http.MethodGet, pathTable}, (*Handler).loadTable, false},
		{Route{http.MethodHead, pathTable}, (*Handler).tableExists, false},
		{Route{http.MethodGet, pathConfig}, (*Handler).config, false},
		{Route{http.MethodGet, pathNamespaces}, (*Handler).listNamespaces, false},
		{Route{http.MethodGet, pathNamespace}, (*Handler).loadNamespace, false},
		{Route{http.MethodHead, pathNamespace}, (*Handler).namespaceExists, false},
		{Route{http.MethodGet, pathTables}, (*Handler).listTables, false},
		{Route{http.MethodGet, pathCredentials}, (*Handler).credentials, false},
		{Route{http.MethodPost, pathMetrics}, (*Handler).metrics, false},
		{Route{http.MethodGet, pathViews}, (*Handler).listViews, false},
		{Route{http.MethodGet, pathView}, (*Handler).noView, false},
		{Route{http.MethodHead, pathView}, (*Handler).noView, false},
		{Route{http.MethodGet, pathContract}, (*Handler).contract, true},
	}
}

// Routes returns the routes below Base.
func Routes() []Route {
	all := make([]Route, 0, len(table()))
	for _, t := range table() {
		all = append(all, t.Route)
	}
	return all
}

// request is an authorized call.
type request struct {
	*http.Request
	caller Caller
	place  place
	recent bool // the read model has what the log had when the request came
}

// variable returns a variable of the path, decoded.
func (r *request) variable(name string) string {
	text, err := url.PathUnescape(mux.Vars(r.Request)[name])
	if err != nil {
		return ""
	}
	return text
}

func (h *Handler) routes() http.Handler {
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	byPath := map[string]map[string]route{}
	for _, t := range table() {
		if byPath[t.Path] == nil {
			methods := map[string]route{}
			byPath[t.Path] = methods
			router.HandleFunc(Base+t.Path, func(w http.ResponseWriter, r *http.Request) {
				t, known := methods[r.Method]
				if !known {
					t = route{Route: Route{r.Method, ""}, answer: (*Handler).refuse}
				}
				h.serve(w, r, t)
			})
		}
		byPath[t.Path][t.Method] = t
	}
	unknown := route{answer: (*Handler).unknown}
	router.HandleFunc(Base+pathToken, func(w http.ResponseWriter, r *http.Request) {
		h.serve(w, r, route{answer: (*Handler).noToken, open: true})
	})
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, unknown) })
	return router
}

// serve answers a request and reports it to the operator.
func (h *Handler) serve(w http.ResponseWriter, hr *http.Request, t route) {
	// A ResponseWriter outside a server may have no deadlines.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	r := &request{Request: hr}
	seen := Exchange{Route: t.Path}
	err := error(nil)
	if !t.open {
		err = h.authorize(r)
	}
	seen.Organization, seen.Workspace, seen.Subject = r.caller.Organization, r.place.workspace, r.caller.Username
	if err == nil {
		// The route may send its answer while it works; a failure is not sent
		// yet.
		err = t.answer(h, &noting{ResponseWriter: w, note: func() { h.Note(w, seen) }}, r)
	}
	if err == nil {
		return
	}
	f := asFailure(err)
	seen.Code, seen.Message = f.typ, f.message
	h.Note(w, seen)
	if f.status >= 500 && hr.Context().Err() == nil {
		h.Log.Error("the catalog cannot answer", "route", t.Path, "error", err)
	}
	f.write(w, hr)
}

// noting reports a request before its answer begins.
type noting struct {
	http.ResponseWriter
	note func()
}

func (t *noting) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *noting) WriteHeader(status int) {
	t.note()
	t.ResponseWriter.WriteHeader(status)
}

// authorize sets the caller and the place that the path's prefix names.
func (h *Handler) authorize(r *request) error {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	refuse := func(status int, typ, message, challenge string) error {
		f := fail(status, typ, "%s", message)
		f.header.Set("WWW-Authenticate", challenge)
		return f
	}
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return refuse(http.StatusUnauthorized, typeUnauthorized, "A token is needed: give the engine one of this service as its bearer token", `Bearer realm="headwater"`)
	}
	var err error
	if r.caller, err = h.Verify(token); err != nil {
		if errors.Is(err, ErrLookup) { // no reason for an engine to give up its token
			f := fail(http.StatusServiceUnavailable, typeUnavailable, "%s", err.Error())
			f.header.Set("Retry-After", "2")
			return f
		}
		status, typ := http.StatusUnauthorized, typeUnauthorized
		if errors.Is(err, ErrTokenExpired) {
			status, typ = statusExpired, typeExpired
		}
		return refuse(status, typ, err.Error(), `Bearer realm="headwater", error="invalid_token"`)
	}
	if _, named := mux.Vars(r.Request)["prefix"]; named {
		r.place, err = h.placeOf(r.caller, r.variable("prefix"))
	}
	return err
}

// catchUp has the read model read what the log has, once for each request. If the
// log does not answer, the request is answered with what is known.
func (h *Handler) catchUp(r *request) {
	if h.Recent == nil || r.recent {
		return
	}
	r.recent = true
	if err := h.Recent(r.Context()); err != nil {
		h.Log.Debug("the catalog answers with what this node knows", "error", err)
	}
}

// lookTwice calls look, and once more after catchUp if it found nothing: another node
// may have answered with it already.
func lookTwice[T any](h *Handler, r *request, look func(*request) (T, error)) (T, error) {
	found, err := look(r)
	var f *failure
	if h.Recent == nil || r.recent || !errors.As(err, &f) || f.status != http.StatusNotFound {
		return found, err
	}
	h.catchUp(r)
	return look(r)
}

var workspaceID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`) })

// refuse answers 405 to calls that would write.
func (h *Handler) refuse(_ http.ResponseWriter, r *request) error {
	f := fail(http.StatusMethodNotAllowed, typeUnsupported, "The catalog is read-only: tables change by syncs, and sources by /api/v1")
	var allowed []string
	template := ""
	if at := mux.CurrentRoute(r.Request); at != nil {
		template, _ = at.GetPathTemplate()
	}
	for _, t := range table() {
		if Base+t.Path == template {
			allowed = append(allowed, t.Method)
		}
	}
	f.header.Set("Allow", strings.Join(allowed, ", "))
	return f
}

func (h *Handler) unknown(http.ResponseWriter, *request) error {
	return fail(http.StatusNotFound, typeNotFound, "The catalog has no such call; %s%s lists what it has. Paths name a warehouse first, as /config?warehouse=WORKSPACE says", Base, pathContract)
}

func (h *Handler) noToken(http.ResponseWriter, *request) error {
	return fail(http.StatusNotFound, typeNotFound, "The catalog issues no tokens: give the engine one of this service as its bearer token")
}

func (h *Handler) contract(w http.ResponseWriter, r *request) error {
	w.Header().Set("Content-Type", "application/yaml")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(document) // the client has disconnected
	return nil
}
