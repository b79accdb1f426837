package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestUnsentBodiesEnd: who announces a body and sends none holds a connection
// for a while only, whether or not anybody wants the body.
func TestUnsentBodiesEnd(t *testing.T) {
	t.Parallel()
	const limit = 200 * time.Millisecond
	reads := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(3 * limit):
			w.WriteHeader(http.StatusNoContent)
		case <-r.Context().Done():
		}
	})
	for name, test := range map[string]struct {
		handler http.Handler
		request string
	}{
		"nobody reads it":   {http.NotFoundHandler(), "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"},
		"in chunks":         {http.NotFoundHandler(), "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"},
		"of a GET":          {http.NotFoundHandler(), "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"},
		"the handler reads": {reads, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(withBodyDeadline(test.handler, limit))
			t.Cleanup(server.CloseClientConnections)
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, test.request)
			if err := conn.SetReadDeadline(time.Now().Add(testLimit)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("the connection stays: %v", err)
			}
		})
	}
	// A request without a body may take its time.
	server := httptest.NewServer(withBodyDeadline(slow, limit))
	defer server.Close()
	answer, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Body.Close(); answer.StatusCode != http.StatusNoContent {
		t.Errorf("answered %d", answer.StatusCode)
	}
}
