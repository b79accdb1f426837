package web

import (
	"net/http"
	"time"
)

// Exchange describes one request and its answer for the operator. It holds
// nothing of a token, a body or a query.
type Exchange struct {
	Method    string
	Route     string // as in openapi.yaml, below /api/v1; "" for an unknown path
	Open      bool   // the route needs no token
	Status    int    // 0 if the client disconnected before the answer
	Bytes     int64  // of the answer's body
	Duration  time.Duration
	RequestID string // value of X-Request-Id
	Code      string // error code, from a closed set; "" for none
	Message   string // the error message that the caller received

	// Of a verified token and the path; empty if the request was refused before.
	Organization, Workspace, Subject string
}

// Recorder observes what is answered through it.
type Recorder struct {
	http.ResponseWriter
	x Exchange
}

// Record returns a ResponseWriter that records what is answered through it.
func Record(w http.ResponseWriter, method string) *Recorder {
	return &Recorder{ResponseWriter: w, x: Exchange{Method: method}}
}

// Exchange returns what was recorded, with d as the duration of the request.
func (r *Recorder) Exchange(d time.Duration) Exchange {
	r.x.Duration = d
	return r.x
}

// Unwrap gives http.ResponseController access to the server's writer.
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader records the first final status and passes it on.
func (r *Recorder) WriteHeader(status int) {
	if r.x.Status == 0 && status >= 200 {
		r.x.Status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write records the number of bytes and passes them on.
func (r *Recorder) Write(b []byte) (int, error) {
	if r.x.Status == 0 {
		r.x.Status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.x.Bytes += int64(n)
	return n, err
}

// Note changes the Exchange of the request that w answers. It does nothing if w
// is not a *Recorder.
func Note(w http.ResponseWriter, add func(*Exchange)) {
	if r, ok := w.(*Recorder); ok {
		add(&r.x)
	}
}
