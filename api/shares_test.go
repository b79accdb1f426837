package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"headwater/api/auth"
	"headwater/api/events"
)

// What clients of one organization have not read is bounded, and costs no other
// organization its answers.
func TestUnreadAnswersAreBounded(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Options.MaxUnread = 3 << 20 })
	text := strings.Repeat("x", 200<<10)
	for range 38 { // 7.6 MB: a page, and more than the four that a socket may hold
		h.happen(adas("tst_1"), text)
	}
	c := h.ada()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(conn, "GET /api/v1/data/w1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", c.token)
	eventually(t, "its answer is being written", func() bool { // else the next one may have the share
		return h.handler.unread.InUse() == 1
	})
	eventually(t, "the share is full", func() bool {
		r := c.get("/data/w1/events")
		return r.Code == 429 && r.code() == "too_many_requests" && r.Header.Get("Retry-After") != "" && strings.Contains(r.Raw, "limit")
	})
	if r := c.get("/data/w1/list"); r.Code != 200 {
		t.Errorf("a small answer: %d", r.Code)
	}
	other := adas("tst_1")
	other.Organization = "other"
	h.happen(other, text)
	if r := h.as("other", "ada", auth.RoleViewer).get("/data/w1/events"); r.Code != 200 {
		t.Errorf("another organization: %d %s", r.Code, r.Raw)
	}
	read := bufio.NewReader(conn)
	if r, err := http.ReadResponse(read, nil); err != nil || r.StatusCode != 200 {
		t.Errorf("the unread answer itself: %v, %v", r, err)
	}
	conn.Close()
	eventually(t, "the share is free", func() bool { return c.get("/data/w1/events").Code == 200 })
}

// A large event of a stream that nobody reads counts, and another stream of the
// organization ends with the reason, before that event.
func TestUnreadStreamsAreBounded(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Options.MaxUnread = events.PageBytes })
	h.happen(adas("tst_1"), "small", strings.Repeat("x", events.PageBytes*3/4))
	c := h.ada()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(conn, "GET /api/v1/data/w1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", c.token)
	eventually(t, "its large event is being written", func() bool {
		return h.handler.unread.InUse() == 1
	})
	s := c.stream("/data/w1/events")
	if e := s.next(); e.Data.Message != "small" {
		t.Errorf("got %+v", e)
	}
	if _, err := s.read(); err != io.EOF || !strings.Contains(s.why, "not read yet") {
		t.Errorf("it ended with %v, %q", err, s.why)
	}
	conn.Close()
	eventually(t, "the share is free", func() bool {
		return h.handler.unread.InUse() == 0
	})
}

// All or nothing of several shares is taken, and given back.
