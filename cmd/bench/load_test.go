package main

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// The load sends what it is told, no more, and notices an answer that is not
// what it should be.
func TestLoad(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Length", "5000")
		_, _ = w.Write(make([]byte, 5000))
	}))
	t.Cleanup(server.Close)
	for name, test := range map[string]struct {
		load load
		ok   bool
	}{
		"whole":        {get(server.URL, "/", 200, 5000, 300), true},
		"unchanged":    {get(server.URL, "/", 304, 0, 300, "If-None-Match", "x"), true},
		"wrong length": {get(server.URL, "/", 200, 4999, 300), false},
		"wrong status": {get(server.URL, "/", 304, 0, 300), false},
	} {
		asked.Store(0)
		took, err := test.load.generate()
		if (err == nil) != test.ok || took <= 0 || test.ok && asked.Load() != 300 {
			t.Errorf("%s: %d requests in %v, %v", name, asked.Load(), took, err)
		}
	}
}
