package buckettest

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is what happens to requests.
type Fault struct {
	Method string        // "" for every
	Key    string        // part of the path and query, "" for every
	Times  int           // how many requests; 0 for all
	Kind   string        // one of faults.go, or a status such as "503 SlowDown"
	Delay  time.Duration // of slow
	Rate   int           // of narrow: bytes a second of all bodies together
}

// Proxy stands before an S3 server. Signatures are checked by that server: the
// host that was signed is passed on.
type Proxy struct {
	URL string
	// Plain makes it a store that knows neither trailers nor removals of several
	// files nor preconditions, behind a proxy that rewrites headers. It is set
	// before the first request.
	Plain bool

	mu     sync.Mutex
	faults []*Fault
	counts map[string]int
	rounds int
	now    int // requests under way
	stale  map[string]*httptest.ResponseRecorder
	server *url.URL
	end    chan struct{}

	pass sync.Mutex // of who takes bytes from a narrow request
	next time.Time  // when the next may be taken
}

// NewProxy starts a proxy before a server; it ends with the test.
func NewProxy(t *testing.T, server string) *Proxy {
	return newProxy(t, server, (*httptest.Server).Start)
}

// NewTLSProxy is NewProxy with a certificate that nobody knows.
func NewTLSProxy(t *testing.T, server string) *Proxy {
	return newProxy(t, server, (*httptest.Server).StartTLS)
}

func newProxy(t *testing.T, server string, start func(*httptest.Server)) *Proxy {
	t.Helper()
	p, stop, err := before(server, start)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return p
}

// Before starts a proxy before a server, until stop.
func Before(server string) (p *Proxy, stop func(), err error) {
	return before(server, (*httptest.Server).Start)
}

func before(server string, start func(*httptest.Server)) (p *Proxy, stop func(), err error) {
	to, err := url.Parse(server)
	if err != nil {
		return nil, nil, err
	}
	p = &Proxy{server: to, counts: map[string]int{}, end: make(chan struct{})}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			p.mu.Lock()
			to := p.server
			p.mu.Unlock()
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(forward, w, r) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if t, ok := c.(*net.TCPConn); ok && state == http.StateNew {
			t.SetReadBuffer(64 << 10) // what is not read is not taken, either
		}
	}
	start(s)
	p.URL = s.URL
	return p, func() {
		close(p.end)
		s.CloseClientConnections()
		s.Close()
	}, nil
}

// To passes what comes from now on to another server.
func (p *Proxy) To(t *testing.T, server string) {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = to
}

// Set replaces the faults; without any, the proxy passes everything on.
func (p *Proxy) Set(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.stale = nil, map[string]*httptest.ResponseRecorder{}
	for _, f := range faults {
		p.faults = append(p.faults, &f)
	}
}

// Requests returns how many requests came since the last call, by method.
func (p *Proxy) Requests() (total int, byMethod map[string]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	byMethod, p.counts, p.rounds = p.counts, map[string]int{}, 0
	for _, n := range byMethod {
		total += n
	}
	return total, byMethod
}

// Rounds returns how often since the last call of Requests one came while no
// other was under way: how many times the network's latency was waited for.
// Requests that come side by side are one where a fault slows them all.
func (p *Proxy) Rounds() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rounds
}

// under counts a request, and returns what to do at its end.
func (p *Proxy) under() (ended func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == 0 {
		p.rounds++
	}
	p.now++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.now--
	}
}

// hit returns the fault of a request.
func (p *Proxy) hit(r *http.Request) (Fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[r.Method]++
	for i, f := range p.faults {
		if f.Method != "" && f.Method != r.Method || !strings.Contains(r.URL.Path+"?"+r.URL.RawQuery, f.Key) {
			continue
		}
		if f.Times--; f.Times == 0 {
			p.faults = append(p.faults[:i:i], p.faults[i+1:]...)
		}
		return *f, true
	}
	return Fault{}, false
}

func (p *Proxy) serve(forward http.Handler, w http.ResponseWriter, r *http.Request) {
	if p.Plain {
		if r.Header.Get("X-Amz-Trailer") != "" || strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING") ||
			r.Header.Get("If-None-Match") != "" || r.URL.Query().Has("delete") || r.URL.Query().Has("versions") || r.URL.Query().Has("uploads") && r.Method == http.MethodGet {
			refuse(w, r, "501 NotImplemented")
			return
		}
		r.Header.Set("Accept-Encoding", "gzip, identity")
	}
	defer p.under()()
	if f, hit := p.hit(r); hit {
		p.misbehave(f, forward, w, r)
		return
	}
	forward.ServeHTTP(w, r)
}
