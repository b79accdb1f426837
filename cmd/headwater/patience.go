package main

import (
	"net/http"
	"time"
)

// bodyPatience is how long a client may take to send the body that it has
// announced, whatever becomes of the request: the server reads it also when
// nobody else does, before it answers.
const bodyPatience = 30 * time.Second

// patiently gives every request with a body a time in which it must have come.
// A handler that reads it sets its own.
func patiently(handler http.Handler, patience time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience))
		}
		handler.ServeHTTP(w, r)
	})
}
