package main

import (
	"net/http"
	"time"
)

// bodyTime is how long a client may take to send the body that it announced. It
// applies to every request, because the server reads a body that no handler
// reads before it answers.
const bodyTime = 30 * time.Second

// withBodyDeadline sets a read deadline for every request with a body. A handler
// that reads the body may set its own.
func withBodyDeadline(handler http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit))
		}
		handler.ServeHTTP(w, r)
	})
}
