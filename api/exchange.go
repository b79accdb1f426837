package api

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

// recorder sees what is answered.
type recorder struct {
	http.ResponseWriter
	x Exchange
}

// Unwrap lets http.ResponseController reach the writer of the server.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if r.x.Status == 0 && status >= 200 {
		r.x.Status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.x.Status == 0 {
		r.x.Status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.x.Bytes += int64(n)
	return n, err
}

// note adds to what is told of the request that w answers.
func note(w http.ResponseWriter, add func(*Exchange)) {
	if r, ok := w.(*recorder); ok {
		add(&r.x)
	}
}
