package events

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/web"
)

// paperLog holds the events from 5 to 20; half of them are older than 2026.
type paperLog struct {
	History
	Model
	broken error
}

func (l paperLog) State(context.Context) (first, last uint64, created time.Time, err error) {
	return 5, 20, time.Unix(0, 0), l.broken
}

func (l paperLog) SequenceAt(at time.Time) (uint64, error) {
	if at.Year() < 2026 {
		return 12, nil
	}
	return 40, nil // as of a read model that is ahead of what the log said
}

func asked(query, role string, headers ...string) *call.Request {
	u := &url.URL{RawQuery: query}
	r := &call.Request{
		HTTP: &http.Request{URL: u, Method: http.MethodGet, Header: http.Header{}}, Query: u.Query(), Workspace: "w",
		Caller: auth.Claims{Organization: "acme", Username: "ada", Role: role},
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.HTTP.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestQueryBegins(t *testing.T) {
	calls := &Calls{History: paperLog{}, Model: paperLog{}}
	for _, c := range []struct {
		query   string
		stream  bool
		resumed string
		after   uint64
		wrong   string // fields of the 400, sorted
	}{
		{"", false, "", 0, ""},
		{"after=4", false, "", 4, ""}, {"after=3", false, "", 0, "after"}, {"after=0", false, "", 0, ""},
		{"after=20", false, "", 20, ""}, {"after=21", false, "", 0, "after"},
		{"after=6&cursor=9", false, "", 9, ""}, {"after=9&cursor=6", false, "", 9, ""},
		{"since=2025-12-31T00:00:00Z", false, "", 12, ""}, {"since=2025-12-31T00:00:00Z&after=15", false, "", 15, ""}, {"since=2026-01-02T00:00:00Z", false, "", 20, ""},
		{"since=9999-01-01T00:00:00Z", false, "", 0, "since"}, {"since=yesterday&until=2026", false, "", 0, "since until"},
		{"since=2026-01-02T00:00:00Z&until=2026-01-02T00:00:00Z", false, "", 0, "until"},
		{"after=x&cursor=-1", false, "", 0, "after cursor"},
		{"type=Sync*&source_id=a.>", false, "", 0, "source_id type"},
		{"", true, "18", 18, ""}, {"after=6", true, "18", 18, ""}, {"after=6", true, "", 6, ""}, {"after=6", false, "18", 6, ""},
		{"", true, "x", 0, "Last-Event-ID"}, {"", true, "21", 0, "Last-Event-ID"},
		{"until=2026-01-02T00:00:00Z&limit=1&cursor=6", true, "", 0, "cursor limit until"},
	} {
		r := asked(c.query, auth.RoleViewer)
		if c.resumed != "" {
			r.HTTP.Header.Set(HeaderLastEvent, c.resumed)
		}
		q, err := calls.query(t.Context(), r, c.stream)
		if c.wrong == "" {
			if err != nil || q.after != c.after || q.last != 20 {
				t.Errorf("%s, resumed %q: after %d up to %d, %v; want %d", c.query, c.resumed, q.after, q.last, err, c.after)
			}
			continue
		}
		var f *web.Failure
		if !errors.As(err, &f) || f.Status != 400 {
			t.Fatalf("%s: %v", c.query, err)
		}
		for _, field := range strings.Fields(c.wrong) {
			if !strings.Contains(string(f.Answer().Body), `"field":"`+field+`"`) {
				t.Errorf("%s: %s, want %s", c.query, f.Answer().Body, c.wrong)
			}
		}
	}
	calls.History = paperLog{broken: errors.New("no bus")}
	var f *web.Failure
	if _, err := calls.query(t.Context(), asked("", auth.RoleViewer), false); !errors.As(err, &f) || f.Status != 503 || f.Header.Get("Retry-After") == "" {
		t.Errorf("a log that does not answer: %v", err)
	}
}

// TestFilters holds what a caller may subscribe to: no filter is wider than the token.
func TestFilters(t *testing.T) {
	const at = "headwater.events.acme.w."
	for _, c := range []struct {
		query, role, user string
		want              []string
	}{
		{"", auth.RoleViewer, "ada", []string{at + "ada.*.*", at + "_.*.*"}},
		{"scope=user", auth.RoleEditor, "ada", []string{at + "ada.*.*"}},
		{"scope=organization", auth.RoleEditor, "ada", []string{at + "_.*.*"}},
		{"", auth.RoleAdmin, "ada", []string{at + "*.*.*"}},
		{"scope=user", auth.RoleAdmin, "ada", []string{at + "ada.*.*"}},
		{"source_id=src_1&type=SyncCompleted,SyncFailed,SyncCompleted&scope=user", auth.RoleViewer, "ada", []string{at + "ada.src_1.SyncCompleted", at + "ada.src_1.SyncFailed"}},
	} {
		r := asked(c.query, c.role)
		r.Caller.Username = c.user
		names, wrong := Names(r.Query.Get("type"))
		if got := filters(r, r.Query.Get("source_id"), names); wrong != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s as %s: %v, %v", c.query, c.role, got, wrong)
		}
	}
	for _, user := range []string{"_", "*", ">", "a.b", ""} { // each must stay one token, and nobody else's
		r := asked("scope=user", auth.RoleViewer)
		r.Caller.Username = user
		for _, filter := range filters(r, "", []string{"*"}) {
			parts := strings.Split(filter, ".")
			if len(parts) != 7 || slices.Contains([]string{"_", "*", ">", "", "ada"}, parts[4]) {
				t.Errorf("the user %q reads %s", user, filter)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for text, want := range map[string][]string{"": {"*"}, "SyncFailed": {"SyncFailed"}, "SyncFailed,SyncStarted": {"SyncFailed", "SyncStarted"}} {
		if got, wrong := Names(text); wrong != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, wrong)
		}
	}
	for _, text := range []string{"*", ">", "Sync*", "SyncFailed,", ",", "SyncFailed,No", " SyncFailed", "syncfailed"} {
		if got, wrong := Names(text); got != nil || len(wrong) != 1 || wrong[0].Field != "type" || !strings.Contains(wrong[0].Message, "SyncCompleted") {
			t.Errorf("%q: %v, %v", text, got, wrong)
		}
	}
}

func TestWantsStream(t *testing.T) {
	for _, c := range []struct {
		accept []string
		want   bool
	}{
		{nil, false}, {[]string{"*/*"}, false}, {[]string{"text/event-stream"}, true}, {[]string{"Text/Event-Stream"}, true}, {[]string{"application/json", "text/event-stream"}, true},
		{[]string{"application/json, text/event-stream;q=0.5"}, true}, {[]string{"text/event-stream;q=0"}, false}, {[]string{"text/event-stream;q=0.0, application/json"}, false},
		{[]string{"text/event-stream;q=x"}, true}, {[]string{";;, text/event-stream"}, true}, {[]string{"text/event-streams"}, false},
	} {
		if got := wantsStream(http.Header{"Accept": c.accept}); got != c.want {
			t.Errorf("%q: %v", c.accept, got)
		}
	}
}

// TestPageEnds at its limit, or once it is large, but has one event in any case.
func TestPageEnds(t *testing.T) {
	for _, c := range []struct {
		limit, size, count int
		cut                bool
	}{
		{2, 10, 2, true}, {3, 10, 3, false}, {100, PageBytes, 1, true}, {100, PageBytes / 2, 2, true}, {100, PageBytes/3 - 1, 3, false}, {100, PageBytes + 1, 1, true},
	} {
		p := page{limit: c.limit}
		for sequence := range 3 {
			if !p.add(&logged{uint64(sequence + 7), "n", []byte(strings.Repeat(" ", c.size))}) {
				break
			}
		}
		if p.count != c.count || p.cut != c.cut || p.position != uint64(6+c.count) {
			t.Errorf("limit %d, %d bytes each: %d, cut %v, at %d", c.limit, c.size, p.count, p.cut, p.position)
		}
	}
}

func TestStreamWrites(t *testing.T) {
	w := httptest.NewRecorder()
	s := newStream(w, time.Second)
	s.begin(7)
	if !s.event(&logged{8, "SyncStarted", []byte(`{"a":1}`)}) || !s.comment("") {
		t.Error("the client is taken for one that does not read")
	}
	s.bye("")
	s.bye("the end")
	want := "retry: 1000\n\nid: 8\nevent: SyncStarted\ndata: {\"a\":1}\n\n: \n\n: the end\n\n"
	if w.Body.String() != want || w.Header().Get("Content-Type") != "text/event-stream" || w.Header().Get(call.HeaderSequence) != "7" || !w.Flushed {
		t.Errorf("%q %v", w.Body, w.Header())
	}
	if s := newStream(gone{w}, time.Second); s.event(&logged{9, "SyncStarted", nil}) || s.comment("") {
		t.Error("a client that is gone is taken for one that reads")
	}
}

// gone is a connection that takes nothing any more.
type gone struct{ http.ResponseWriter }

func (gone) Write([]byte) (int, error) { return 0, fmt.Errorf("broken pipe") }
