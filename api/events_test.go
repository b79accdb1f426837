package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	ce "github.com/cloudevents/sdk-go/v2/event"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/events"
	"headwater/api/idempotency"
	"headwater/bus/event"
)

// shown is an event as a reader gets it.
type shown struct {
	ID          string    `json:"id"`
	Type        string    `json:"type"`
	Subject     string    `json:"subject"`
	Time        time.Time `json:"time"`
	DataSchema  string    `json:"dataschema"`
	Correlation string    `json:"correlationid"`
	Causation   string    `json:"causationid"`
	Trace       string    `json:"traceparent"`
	Sequence    uint64    `json:"sequence"`
	Data        struct {
		event.Meta
		Message string `json:"message"`
	} `json:"data"`
}

func sequences(events []shown) (all []uint64) {
	for _, e := range events {
		all = append(all, e.Sequence)
	}
	return all
}

// happen appends events to the history of an address and returns the sequence
// of the last one.
func (h *house) happen(a event.Address, texts ...string) uint64 {
	h.t.Helper()
	after, err := h.bus.LastSequence(h.t.Context(), a)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, text := range texts {
		e := &event.Event{ID: idempotency.NewSeed(time.Now()).UUID(), Time: time.Now().UTC(), Data: &event.ConnectionTested{
			Meta: event.At(a, event.Operation{ID: "op_" + a.Source, Kind: event.KindTest, Targets: 1, Final: true}), Connector: "api", Message: text,
		}}
		if after, err = h.bus.Append(h.t.Context(), after, e); err != nil {
			h.t.Fatal(err)
		}
	}
	return after
}

func adas(source string) event.Address {
	return event.Address{Organization: "acme", Workspace: "w1", Owner: "ada", Source: source}
}

func TestEvents(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	if r := c.get("/data/w1/events"); r.Code != 200 || string(r.Data) != "[]" {
		t.Fatalf("an empty log: %d %s", r.Code, r.Raw)
	}
	began := time.Now()
	id := c.connected("user", source("one", "db"))["one"]
	c.connected("user", source("two", "db"))
	trace := "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	c.post("/data/w1/sync", object{"source_ids": []string{id}}, "Traceparent", trace)
	c.post("/data/w2/test-connection", object{"source_config": object{"type": "database", "connection_config": database("db")}})
	r := c.get("/data/w1/events")
	all := into[[]shown](t, r)
	var types []string
	for _, e := range all {
		types = append(types, strings.TrimSuffix(strings.TrimPrefix(e.Type, "headwater."), ".v1"))
		if e.ID == "" || e.Time.Before(began.Add(-time.Second)) || e.DataSchema != event.DataSchema(event.NameOf(e.Type)) ||
			e.Subject != e.Data.SourceID || e.Correlation != e.Data.Operation.ID || e.Causation == "" {
			t.Errorf("event %+v", e)
		}
	}
	if want := "SourceConnected SchemaDiscovered SourceConnected SchemaDiscovered SyncStarted SyncCompleted"; strings.Join(types, " ") != want || r.NextCursor != "" {
		t.Errorf("got %v, next %q", types, r.NextCursor)
	}
	if r.Header.Get(call.HeaderSequence) != "7" {
		t.Errorf("sequence %s, wanted the whole log's", r.Header.Get(call.HeaderSequence))
	}
	for _, raw := range into[[]json.RawMessage](t, r) {
		var e ce.Event
		if err := json.Unmarshal(raw, &e); err != nil || e.Validate() != nil {
			t.Errorf("not a CloudEvent: %v %v\n%s", err, e.Validate(), raw)
		}
		var data map[string]any
		if err := e.DataAs(&data); err != nil || data["workspace_id"] != "w1" {
			t.Errorf("data %v, %v", data, err)
		}
	}

	at := func(i int, d time.Duration) string {
		return url.QueryEscape(all[i].Time.Add(d).Format(time.RFC3339Nano))
	}
	last := all[len(all)-1].Sequence
	for query, want := range map[string][]uint64{
		"after=0":                                   sequences(all),
		fmt.Sprintf("after=%d", all[1].Sequence):    sequences(all[2:]),
		fmt.Sprintf("after=%d", last):               nil,
		"after=7":                                   nil,
		"type=SyncCompleted":                        {last},
		"type=SyncCompleted,SyncStarted":            {last - 1, last},
		"type=SyncStarted,SyncStarted":              {last - 1},
		"type=SyncCancelled":                        nil,
		"source_id=" + id:                           {all[0].Sequence, all[1].Sequence, last - 1, last},
		"source_id=" + id + "&type=SourceConnected": {all[0].Sequence},
		"source_id=src_nobody":                      nil,
		"scope=user":                                sequences(all),
		"scope=organization":                        nil,
		"since=" + at(0, -time.Hour):                sequences(all),
		"since=" + at(4, 0):                         sequences(all[4:]),
		"since=" + at(4, 1):                         sequences(all[5:]),
		"until=" + at(0, 0):                         nil,
		"until=" + at(2, 0):                         sequences(all[:2]),
		"until=" + at(2, 1):                         sequences(all[:3]),
		"since=" + at(1, 0) + "&until=" + at(3, 0):  sequences(all[1:3]),
		"until=2999-01-01T00:00:00Z":                sequences(all),
		"since=" + at(1, 0) + "&after=4":            sequences(all[4:]),
	} {
		if got := sequences(into[[]shown](t, c.get("/data/w1/events?"+query))); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", query, got, want)
		}
	}
	if r := c.call(http.MethodHead, "/data/w1/events", nil, "Accept", "text/event-stream"); r.Code != 200 || r.Raw != "" {
		t.Errorf("HEAD: %d %q", r.Code, r.Raw)
	}
	if strings.Contains(h.answers.String(), "hunter2") {
		t.Error("a secret was shown")
	}
	h.nothingLeft()
}

// nothingLeft holds that only the projection reads the log.
func (h *house) nothingLeft() {
	h.t.Helper()
	eventually(h.t, "the readers' consumers are gone", func() bool {
		s, err := h.bus.EventsState(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		return s.Readers == 1
	})
}

func TestEventPages(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	var want []string
	for i := range 25 {
		text := fmt.Sprint("text ", i)
		want = append(want, text)
		h.happen(adas("tst_"+strconv.Itoa(i%3)), text)
		h.happen(event.Address{Organization: "acme", Workspace: "w1", Owner: "bob", Source: "tst_b"}, "not for ada")
	}
	for _, size := range []int{1, 7, 24, 25, 26, 1000} {
		var got []string
		path := fmt.Sprintf("/data/w1/events?limit=%d&type=ConnectionTested", size)
		for path != "" {
			r := c.get(path)
			events := into[[]shown](t, r)
			for _, e := range events {
				got = append(got, e.Data.Message)
			}
			path, _, _ = strings.Cut(strings.TrimPrefix(r.Header.Get("Link"), "<"), ">")
			if (path == "") != (r.NextCursor == "") || len(events) > size || path != "" && len(events) != size {
				t.Fatalf("%d events, next %q, Link %q", len(events), r.NextCursor, path)
			}
			if path == "" && r.Header.Get(call.HeaderSequence) != "50" || path != "" && r.Header.Get(call.HeaderSequence) != r.NextCursor {
				t.Errorf("sequence %s, next %q", r.Header.Get(call.HeaderSequence), r.NextCursor)
			}
			path = strings.TrimPrefix(path, c.base)
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v", size, got)
		}
	}
	if n := len(into[[]shown](t, c.get("/data/w1/events"))); n != 25 {
		t.Errorf("without a limit: %d", n)
	}
}

// A page of large payloads ends before its limit, and they come whole.
func TestLargeEvents(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	text := strings.Repeat("x", events.PageBytes/2)
	h.happen(adas("tst_1"), "a"+text, "b"+text, "c"+text)
	r := c.get("/data/w1/events")
	first := into[[]shown](t, r)
	if len(first) != 2 || r.NextCursor != "2" || first[0].Data.Message != "a"+text {
		t.Fatalf("%d: %d events, next %q", r.Code, len(first), r.NextCursor)
	}
	if rest := into[[]shown](t, c.get("/data/w1/events?cursor="+r.NextCursor)); len(rest) != 1 || rest[0].Data.Message != "c"+text {
		t.Fatalf("%d events", len(rest))
	}
	s := c.stream("/data/w1/events")
	for _, want := range []string{"a", "b", "c"} {
		if e := s.next(); e.Data.Message != want+text {
			t.Errorf("streamed %d bytes", len(e.Data.Message))
		}
	}
}

func TestEventsBadInput(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	h.happen(adas("tst_1"), "one", "two")
	const stream = "text/event-stream"
	for _, test := range []struct {
		name, query, accept, last string
		code                      int
		fields, says              string
	}{
		{"unknown sequence", "after=soon", "", "", 400, "after", "integer"},
		{"negative", "after=-1", "", "", 400, "after", "at least 0"},
		{"a fraction", "after=1.5", "", "", 400, "after", "integer"},
		{"no number at all", "after=99999999999999999999", "", "", 400, "after", "integer"},
		{"beyond the end", "after=3", "", "", 400, "after", "beyond the end of the log, which is at 2"},
		{"cursor beyond the end", "cursor=3", "", "", 400, "cursor", "beyond"},
		{"foreign cursor", "cursor=abc", "", "", 400, "cursor", "sequence"},
		{"future", "since=2999-01-01T00:00:00Z", "", "", 400, "since", "future"},
		{"no time", "since=yesterday", "", "", 400, "since", "2026-01-31T12:00:00Z"},
		{"no end", "until=1", "", "", 400, "until", "2026-01-31T12:00:00Z"},
		{"reversed", "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "", "", 400, "until", "later than since"},
		{"wildcard type", "type=*", "", "", 400, "type", "SyncCompleted"},
		{"half a wildcard", "type=Sync*", "", "", 400, "type", "without wildcards"},
		{"unknown type", "type=SyncDreamt", "", "", 400, "type", "SyncCompleted"},
		{"empty among types", "type=SyncStarted,", "", "", 400, "type", "SyncCompleted"},
		{"a CloudEvents type", "type=headwater.SyncCompleted.v1", "", "", 400, "type", "SyncCompleted"},
		{"wildcard source", "source_id=*", "", "", 400, "source_id", "wildcards"},
		{"all sources", "source_id=%3E", "", "", 400, "source_id", "wildcards"},
		{"another's subject", "source_id=x.SyncCompleted,headwater.events.%3E", "", "", 400, "source_id", "wildcards"},
		{"scope", "scope=all", "", "", 400, "scope", "user, organization"},
		{"no events", "limit=0", "", "", 400, "limit", "at least 1"},
		{"too many", "limit=1001", "", "", 400, "limit", "at most 1000"},
		{"twice", "after=1&after=2", "", "", 400, "after", "more than once"},
		{"unknown parameter", "from=1", "", "", 400, "from", "it takes"},
		{"all at once", "after=9&type=x&source_id=*", "", "", 400, "source_id type", "wildcards"},
		{"stream of a page", "limit=1&until=2026-01-01T00:00:00Z&cursor=1", stream, "", 400, "cursor limit until", "has no end"},
		{"stream from nowhere", "", stream, "x", 400, events.HeaderLastEvent, "sequence"},
		{"stream beyond the end", "", stream, "3", 400, events.HeaderLastEvent, "beyond the end"},
		{"stream of nothing known", "type=*", stream, "1", 400, "type", "wildcards"},
		{"a page does not resume", "", "application/json", "x", 200, "", ""},
		{"not wanted", "", "text/event-stream;q=0, */*", "x", 200, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.t = t
			r := c.get("/data/w1/events?"+test.query, "Accept", test.accept, events.HeaderLastEvent, test.last)
			if r.Code != test.code || r.fields() != test.fields || !strings.Contains(r.Raw, test.says) {
				t.Errorf("got %d %q, want %d %q with %q\n%s", r.Code, r.fields(), test.code, test.fields, test.says, r.Raw)
			}
		})
	}
	c.t = t
	if r := c.post("/data/w1/events", object{}); r.Code != 405 {
		t.Errorf("POST: %d", r.Code)
	}
	if r := c.get("/data/a.b/events"); r.Code != 400 || r.fields() != "workspace_id" {
		t.Errorf("workspace: %d %s", r.Code, r.Raw)
	}
	c.token = "x"
	if r := c.get("/data/w1/events", "Accept", stream); r.Code != 401 {
		t.Errorf("bad token: %d", r.Code)
	}
	h.nothingLeft()
}

// TestEventsIsolation asks as everybody for everything, in pages and streams,
// and compares with what the same token may read on the bus.
func TestEventsIsolation(t *testing.T) {
	h := newHouse(t)
	var written []event.Address
	for _, org := range []string{"acme", "other", "acme.w1"} {
		for _, workspace := range []string{"w1", "w2"} {
			for _, owner := range []string{"ada", "bob", "_", "", "*", "a.b"} {
				a := event.Address{Organization: org, Workspace: workspace, Owner: owner, Source: "tst_1"}
				h.happen(a, "x")
				written = append(written, a)
			}
		}
	}
	for _, org := range []string{"acme", "other", "acme.w1", "nobody", "*"} {
		for _, user := range []string{"ada", "bob", "_", "*", ">", "a.b", "eve"} {
			for _, role := range []string{auth.RoleViewer, auth.RoleEditor, auth.RoleAdmin} {
				c := h.as(org, user, role)
				granted, _, err := h.auth.Grant(c.token)
				if err != nil {
					t.Fatal(err)
				}
				for _, workspace := range []string{"w1", "w2"} {
					for _, scope := range []string{"", "user", "organization"} {
						var want []event.Address
						for _, a := range written {
							may := slices.ContainsFunc(granted, func(filter string) bool { return covered(filter, a.Subject("ConnectionTested")) })
							if may && a.Workspace == workspace && (scope == "" || scope == "user" && a.Owner == user || scope == "organization" && a.Owner == "") {
								want = append(want, a)
							}
						}
						path := "/data/" + workspace + "/events"
						if scope != "" {
							path += "?scope=" + scope
						}
						var got []event.Address
						for _, e := range into[[]shown](t, c.get(path)) {
							got = append(got, e.Data.Address())
						}
						if !slices.Equal(got, want) {
							t.Errorf("%s %s %s reads in %s: %v\nwant %v", org, user, role, path, got, want)
						}
					}
				}
			}
		}
	}
	streams := map[*listener]string{}
	for _, test := range []struct {
		who  caller
		want []string
	}{
		{h.as("acme", "ada", auth.RoleViewer), []string{"ada", ""}},
		{h.as("acme", "eve", auth.RoleEditor), []string{""}},
		{h.as("acme", "*", auth.RoleEditor), []string{"", "*"}},
		{h.as("acme", "root", auth.RoleAdmin), []string{"ada", "bob", "_", "", "*", "a.b"}},
	} {
		s := test.who.stream("/data/w1/events")
		for _, want := range test.want {
			if e := s.next(); e.Data.Owner != want || e.Data.Organization != "acme" || e.Data.WorkspaceID != "w1" {
				t.Errorf("streamed %+v, want %q", e.Data.Meta, want)
			}
		}
		streams[s] = test.want[0]
	}
	// Of what happens now, too, only what may be seen arrives.
	h.happen(event.Address{Organization: "other", Workspace: "w1", Source: "tst_2"}, "not this")
	h.happen(event.Address{Organization: "acme", Workspace: "w2", Source: "tst_2"}, "nor this")
	h.happen(event.Address{Organization: "acme", Workspace: "w1", Source: "tst_2"}, "this")
	for s, who := range streams {
		if e := s.next(); e.Data.Message != "this" {
			t.Errorf("%q was streamed %+v", who, e.Data)
		}
	}
	tenant := h.ada()
	tenant.base = "/jarvispy/acme/bob/api/v1"
	if r := tenant.get("/data/w1/events"); r.Code != 403 {
		t.Errorf("another's path: %d", r.Code)
	}
	tenant.base = "/jarvispy/acme/ada/api/v1"
	if r := tenant.get("/data/w1/events?limit=1"); r.Code != 200 || !strings.HasPrefix(r.Header.Get("Link"), "</jarvispy/acme/ada/api/v1/data/w1/events?") {
		t.Errorf("the own path: %d %s", r.Code, r.Header.Get("Link"))
	}
}

// covered reports whether a subject matches a filter.
func covered(filter, subject string) bool {
	f, s := strings.Split(filter, "."), strings.Split(subject, ".")
	for i, token := range f {
		if token == ">" {
			return i < len(s)
		}
		if i >= len(s) || token != "*" && token != s[i] {
			return false
		}
	}
	return len(f) == len(s)
}
