package load

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
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
		load Load
		ok   bool
	}{
		"whole":        {Get(server.URL, "/", 200, 5000, 300), true},
		"unchanged":    {Get(server.URL, "/", 304, 0, 300, "If-None-Match", "x"), true},
		"wrong length": {Get(server.URL, "/", 200, 4999, 300), false},
		"wrong status": {Get(server.URL, "/", 304, 0, 300), false},
	} {
		asked.Store(0)
		took, err := test.load.generate()
		if (err == nil) != test.ok || took <= 0 || test.ok && asked.Load() != 300 {
			t.Errorf("%s: %d requests in %v, %v", name, asked.Load(), took, err)
		}
	}
}

// Every caller removes and restores its own source in turn, and a command that
// was not carried out is noticed.
func TestOrders(t *testing.T) {
	var mu sync.Mutex
	var calls []string
	fails := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, path.Base(r.URL.Path)+string(body))
		if fails {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
		_, _ = io.WriteString(w, `{"status":"success"}`)
	}))
	t.Cleanup(server.Close)
	o := Orders{Path: "/api/v1/data/bench/", Address: strings.TrimPrefix(server.URL, "http://"), Token: "t", Sources: []string{"a", "b"}, Each: 2}
	if took, err := o.generate(); err != nil || took <= 0 {
		t.Fatal(took, err)
	}
	if calls = slices.Sorted(slices.Values(calls)); strings.Join(calls, " ") != `cleanup{"source_ids":["a"]} cleanup{"source_ids":["b"]} restore{"source_ids":["a"]} restore{"source_ids":["b"]}` {
		t.Errorf("sent were %q", calls)
	}
	fails = true
	if _, err := o.generate(); err == nil {
		t.Error("a command that failed is not noticed")
	}
}
