// Package clienttest is a fake service for tests of the client: it gives
// scripted answers and records the requests.
package clienttest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headwater/cmd/headwater/terminal"
)

// Service is an API with scripted routes, keyed by "METHOD /path below /api/v1".
// It records every request.
type Service struct {
	*httptest.Server
	Routes map[string]http.HandlerFunc

	mu       sync.Mutex
	requests []request
}

type request struct {
	Route, Query, Body string
	Header             http.Header
}

// New starts a service with the routes. It ends with the test.
func New(t *testing.T, routes map[string]http.HandlerFunc) *Service {
	s := &Service{Routes: routes}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP calls the route's handler. It answers 401 without the token
// "the-token", and 404 for an unknown route.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api/v1")
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests = append(s.requests, request{route, r.URL.RawQuery, string(body), r.Header.Clone()})
	answer := s.Routes[route]
	s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer the-token" {
		Envelope(w, 401, `{"status":"error","message":"the token is not valid","data":null,"error":{"code":"unauthorized","details":[]}}`)
		return
	}
	if answer == nil {
		Envelope(w, 404, `{"status":"error","message":"nothing is at `+route+`","data":null,"error":{"code":"not_found","details":[]}}`)
		return
	}
	answer(w, r)
}

// Asked returns the recorded requests of one route.
func (s *Service) Asked(route string) []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []request
	for _, r := range s.requests {
		if r.Route == route {
			found = append(found, r)
		}
	}
	return found
}

// Envelope answers with a status and a complete body.
func Envelope(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", "req-7")
	w.WriteHeader(code)
	fmt.Fprint(w, body)
}

// Says returns a handler that answers 200 with the data.
func Says(data string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		Envelope(w, 200, `{"status":"success","message":"done","data":`+data+`}`)
	}
}

// Refuses returns a handler that answers with an error envelope.
func Refuses(code int, message, details string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		Envelope(w, code, `{"status":"error","message":"`+message+`","data":null,"error":{"code":"some_code","details":`+details+`}}`)
	}
}

// Streams returns Streams that are not a terminal, and the buffers of what is
// written to them.
func Streams(in string) (s terminal.Streams, out, err *bytes.Buffer) {
	out, err = new(bytes.Buffer), new(bytes.Buffer)
	return terminal.Streams{Out: out, Err: err, In: strings.NewReader(in), Getenv: func(name string) string {
		return map[string]string{"PASSWORD": "from the environment"}[name]
	}}, out, err
}

// Same fails the test if got differs from want. A line break at the beginning of
// want is ignored.
func Same(t *testing.T, what, got, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TwoSources is the data of a list of two sources.
const TwoSources = `[
	{"id":"src_a","name":"airports","type":"file","connector":"file","scope":"user","status":"connected","tables":1,"records":3376,
	 "last_sync":{"sync_id":"syn_1","status":"completed","finished_at":"2020-01-01T00:00:00Z"}},
	{"id":"src_b","name":"crm","type":"database","connector":"postgresql","scope":"user","status":"failed","tables":12,"records":0,"last_sync":null}]`

// Looks returns a handler that answers the first, second, ... request with the
// given data, and all later ones with the last.
func Looks(data ...string) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		at := min(int(n.Add(1)), len(data)) - 1
		if data[at] == "" {
			Refuses(404, "no such sync", `[]`)(w, r)
			return
		}
		Says(data[at])(w, r)
	}
}

// Accepts answers 202 with an operation.
func Accepts(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Preference-Applied", "respond-async")
	Envelope(w, 202, `{"status":"success","message":"accepted","data":{"operation_id":"op_1"}}`)
}

// Documents of a completed sync of one source, op_1.
const (
	OpDone = `{"operation_id":"op_1","kind":"sync","status":"completed","targets":[
		{"source_id":"src_a","name":"airports","status":"completed","sync_id":"syn_a"}]}`
	SyncDone = `{"sync_id":"syn_a","source_id":"src_a","source_name":"airports","status":"completed","mode":"full_refresh","records_processed":3376,"bytes":150000,"duration_ms":700,"tables":[
		{"name":"airports","status":"completed","mode":"full_refresh","records_processed":3376,"bytes":150000,"files":1,"duration_ms":500}]}`
)

// WriterFunc is a function that implements io.Writer.
type WriterFunc func([]byte) (int, error)

// Write calls f.
func (f WriterFunc) Write(p []byte) (int, error) { return f(p) }
