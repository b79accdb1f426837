package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/events"
	"headwater/bus/event"
)

// listener is one open event stream.
type listener struct {
	t      *testing.T
	body   io.ReadCloser
	lines  *bufio.Reader
	cancel context.CancelFunc
	header http.Header
	beats  atomic.Int64 // comments
	why    string       // the last comment
}

// stream opens a stream, which ends with the test.
func (c caller) stream(path string, headers ...string) *listener {
	c.t.Helper()
	s, code := c.tryStream(path, headers...)
	if code != http.StatusOK {
		c.t.Fatalf("stream: %d", code)
	}
	return s
}

func (c caller) tryStream(path string, headers ...string) (*listener, int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), testLimit)
	c.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server.URL+c.base+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = res.Body.Close() })
	return &listener{t: c.t, body: res.Body, lines: bufio.NewReader(res.Body), cancel: cancel, header: res.Header}, res.StatusCode
}

func (s *listener) close() { _ = s.body.Close(); s.cancel() }

// next returns the next event.
func (s *listener) next() shown {
	s.t.Helper()
	e, err := s.read()
	if err != nil {
		s.t.Fatalf("the stream ended: %v %s", err, s.why)
	}
	return e
}

// read returns the next event, or the error that ended the stream.
func (s *listener) read() (e shown, err error) {
	id, name := "", ""
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return e, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "":
			if strings.HasPrefix(line, ": ") {
				s.beats.Add(1)
				if value != "" {
					s.why = value
				}
			}
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				s.t.Fatalf("data %q: %v", value, err)
			}
			if id != strconv.FormatUint(e.Sequence, 10) || event.Type(name) != e.Type {
				s.t.Errorf("id %s event %s of %d %s", id, name, e.Sequence, e.Type)
			}
			return e, nil
		case "retry":
		default:
			s.t.Errorf("line %q", line)
		}
	}
}

// TestStreamWhileOthersPublish reads with clients that come and go while many
// write: nothing is missing, nothing comes twice.
func TestStreamWhileOthersPublish(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	const writers, each, readers = 4, 60, 4
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				h.happen(adas(fmt.Sprint("tst_", w)), fmt.Sprint(i))
				h.happen(event.Address{Organization: "acme", Workspace: "w1", Owner: "bob", Source: fmt.Sprint("tst_", w)}, "not for ada")
			}
		})
	}
	var reading sync.WaitGroup
	for r := range readers {
		reading.Go(func() {
			last, next := uint64(0), map[string]int{}
			for n := 0; n < writers*each; {
				var s *listener
				if last == 0 {
					s = c.stream("/data/w1/events?type=ConnectionTested")
				} else {
					s = c.stream("/data/w1/events?type=ConnectionTested&after=0", events.HeaderLastEvent, strconv.FormatUint(last, 10))
				}
				for range 10 + 20*r { // then the connection is lost
					e := s.next()
					if e.Sequence <= last {
						t.Errorf("%d after %d", e.Sequence, last)
					}
					if e.Data.Owner != "ada" || e.Data.Message != strconv.Itoa(next[e.Data.SourceID]) {
						t.Errorf("%s: got %q, want %d", e.Data.SourceID, e.Data.Message, next[e.Data.SourceID])
						return
					}
					next[e.Data.SourceID]++
					last = e.Sequence
					if n++; n == writers*each {
						break
					}
				}
				s.close()
			}
		})
	}
	reading.Wait()
	writing.Wait()
	http.DefaultClient.CloseIdleConnections()
	h.nothingLeft()
}

func TestStreamIsLive(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Options.Heartbeat = 20 * time.Millisecond })
	c := h.ada()
	s := c.stream("/data/w1/events?type=SourceConnected,SyncCompleted")
	if s.header.Get("Content-Type") != "text/event-stream" || s.header.Get("Cache-Control") != "no-store" || s.header.Get(call.HeaderSequence) != "0" || s.header.Get(call.HeaderRequestID) == "" {
		t.Errorf("header %v", s.header)
	}
	id := c.connected("user", source("one", "db"))["one"]
	if e := s.next(); e.Type != event.Type("SourceConnected") || e.Subject != id {
		t.Errorf("got %+v", e)
	}
	eventually(t, "heartbeats", func() bool {
		c.post("/data/w1/sync", object{})
		return s.next().Type == event.Type("SyncCompleted") && s.beats.Load() > 2
	})
	since := time.Now().UTC().Format(time.RFC3339Nano)
	late := c.stream("/data/w1/events?since=" + since)
	c.post("/data/w1/sync", object{})
	if e := late.next(); e.Type != event.Type("SyncStarted") {
		t.Errorf("since now: %+v", e)
	}
}

func TestStreamEndsWithItsToken(t *testing.T) {
	for name, heartbeat := range map[string]time.Duration{"at its time": time.Hour, "at a heartbeat": 10 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, func(d *Deps) { d.Options.Heartbeat = heartbeat })
			c := h.ada()
			h.happen(adas("tst_1"), "one")
			var s *listener
			for life := 2 * time.Second; ; life *= 4 { // a busy machine needs a longer one
				var err error
				if c.token, err = h.auth.Issue(auth.Claims{Organization: "acme", Username: "ada", Role: auth.RoleViewer}, life); err != nil {
					t.Fatal(err)
				}
				ends, code := time.Now().Add(life-time.Second), 0 // of whole seconds
				if s, code = c.tryStream("/data/w1/events"); code == http.StatusOK {
					if _, err = s.read(); err == nil {
						break
					}
				}
				if time.Now().Before(ends) || life > testLimit {
					t.Fatalf("with a token of %s: %d, %v", life, code, err)
				}
			}
			if e, err := s.read(); err != io.EOF || !strings.HasPrefix(s.why, "the token ") {
				t.Errorf("got %+v, %v, %q", e, err, s.why)
			}
			if _, code := c.tryStream("/data/w1/events"); code != http.StatusUnauthorized {
				t.Errorf("with the expired token: %d", code)
			}
			h.nothingLeft()
		})
	}
}

func TestStreamEndsWithTheNode(t *testing.T) {
	h := newHouse(t)
	s := h.ada().stream("/data/w1/events")
	h.handler.Drain()
	if _, err := s.read(); err != io.EOF || s.why != "the node is shutting down" {
		t.Errorf("got %v, %q", err, s.why)
	}
	h.nothingLeft()
}

// A user, a workspace and an organization have a share of the streams each, and
// the refusal says whose is full.
func TestStreamsAreBounded(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Options.MaxStreams = 1 })
	c := h.ada()
	one := c.stream("/data/w1/events")
	refused := func(who caller, path, whom string) {
		t.Helper()
		r := who.get(path, "Accept", "text/event-stream")
		if r.Code != 429 || r.code() != "too_many_streams" || r.Header.Get("Retry-After") == "" || !strings.Contains(r.Raw, whom+" has") && !strings.Contains(r.Raw, whom+" have") {
			t.Errorf("got %d %s", r.Code, r.Raw)
		}
	}
	refused(c, "/data/w2/events", "You")
	if r := c.get("/data/w1/events"); r.Code != 200 {
		t.Errorf("a page beside full streams: %d", r.Code)
	}
	for i := 1; i < 4; i++ {
		h.as("acme", fmt.Sprint("bob", i), auth.RoleViewer).stream("/data/w1/events")
	}
	refused(h.as("acme", "root", auth.RoleAdmin), "/data/w1/events", "The workspace")
	for i := 4; i < 16; i++ {
		h.as("acme", fmt.Sprint("bob", i), auth.RoleViewer).stream(fmt.Sprintf("/data/w%d/events", i))
	}
	refused(h.as("acme", "root", auth.RoleAdmin), "/data/w3/events", "The organization")
	h.as("other", "ada", auth.RoleViewer).stream("/data/w1/events")
	one.close()
	eventually(t, "a place is free", func() bool {
		s, code := c.tryStream("/data/w1/events")
		s.close()
		return code == 200
	})
	eventually(t, "all follow by one consumer, beside the projection's", func() bool {
		s, err := h.bus.EventsState(t.Context())
		return err == nil && s.Readers == 2
	})
}

// A client that does not read is cut off, and holds up nobody.
func TestSlowReaderIsCut(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Options.StreamWrite, d.Options.MaxStreams = 100*time.Millisecond, 1 })
	c := h.ada()
	small := httptest.NewUnstartedServer(h.handler) // of which a socket holds little, too
	small.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
		return ctx
	}
	small.Start()
	defer small.Close()
	conn, err := net.Dial("tcp", strings.TrimPrefix(small.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(conn, "GET /api/v1/data/w1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", c.token)
	eventually(t, "the stream is open", func() bool { _, code := c.tryStream("/data/w1/events"); return code == 429 })
	text := strings.Repeat("x", 200<<10)
	for range 20 { // more than the sockets hold
		h.happen(adas("tst_1"), text)
	}
	eventually(t, "the reader is cut", func() bool {
		s, code := c.tryStream("/data/w1/events?after=20")
		s.close()
		return code == 200
	})
	h.nothingLeft()
}
