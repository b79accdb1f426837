package web

import (
	"net/http"
	"time"
)

// Exchange is one request and what was answered, as the operator is told of it.
// It holds nothing of a token, a body or a query.
type Exchange struct {
	Method    string
	Route     string // as in openapi.yaml, below /api/v1; "" for a path that is none
	Open      bool   // it needs no token
	Status    int    // 0 when the client left before there was an answer
	Bytes     int64  // of the answer's body
	Duration  time.Duration
	RequestID string // X-Request-Id
	Code      string // of an error, from a closed set; "" for none
	Message   string // what the caller was told of it

	// Of a verified token and the path; empty before either was read.
	Organization, Workspace, Subject string
}

// Recorder sees what is answered.
type Recorder struct {
	http.ResponseWriter
	x Exchange
}

// Record returns a writer that takes down what is answered through it.
func Record(w http.ResponseWriter, method string) *Recorder {
	return &Recorder{ResponseWriter: w, x: Exchange{Method: method}}
}

// Exchange returns what was seen of a request that took so long.
func (r *Recorder) Exchange(d time.Duration) Exchange {
	r.x.Duration = d
	return r.x
}

// Unwrap lets http.ResponseController reach the writer of the server.
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *Recorder) WriteHeader(status int) {
	if r.x.Status == 0 && status >= 200 {
		r.x.Status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *Recorder) Write(b []byte) (int, error) {
	if r.x.Status == 0 {
		r.x.Status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.x.Bytes += int64(n)
	return n, err
}

// Note adds to what is told of the request that w answers.
func Note(w http.ResponseWriter, add func(*Exchange)) {
	if r, ok := w.(*Recorder); ok {
		add(&r.x)
	}
}
