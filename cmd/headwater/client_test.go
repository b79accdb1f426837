package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// service is an API that answers as the contract says: routes are keyed by
// "METHOD /path below /api/v1", and every request is kept.
type service struct {
	*httptest.Server
	routes map[string]http.HandlerFunc

	mu       sync.Mutex
	requests []request
}

type request struct {
	Route, Query, Body string
	Header             http.Header
}

func newService(t *testing.T, routes map[string]http.HandlerFunc) *service {
	s := &service{routes: routes}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api/v1")
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests = append(s.requests, request{route, r.URL.RawQuery, string(body), r.Header.Clone()})
	answer := s.routes[route]
	s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer the-token" {
		envelope(w, 401, `{"status":"error","message":"the token is not valid","data":null,"error":{"code":"unauthorized","details":[]}}`)
		return
	}
	if answer == nil {
		envelope(w, 404, `{"status":"error","message":"nothing is at `+route+`","data":null,"error":{"code":"not_found","details":[]}}`)
		return
	}
	answer(w, r)
}

// asked returns the requests of one route.
func (s *service) asked(route string) []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []request
	for _, r := range s.requests {
		if r.Route == route {
			found = append(found, r)
		}
	}
	return found
}

func (s *service) flags() ClientFlags {
	return ClientFlags{URL: s.URL, Token: "the-token", Workspace: "w1", Scope: "user"}
}

func envelope(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", "req-7")
	w.WriteHeader(code)
	fmt.Fprint(w, body)
}

// says answers 200 with the data.
func says(data string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		envelope(w, 200, `{"status":"success","message":"done","data":`+data+`}`)
	}
}

// refuses answers with an error envelope.
func refuses(code int, message, details string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		envelope(w, code, `{"status":"error","message":"`+message+`","data":null,"error":{"code":"some_code","details":`+details+`}}`)
	}
}

// streams returns Streams that are no terminal, with what was written to each.
func streams(in string) (s Streams, out, err *bytes.Buffer) {
	out, err = new(bytes.Buffer), new(bytes.Buffer)
	return Streams{Out: out, Err: err, In: strings.NewReader(in), Getenv: func(name string) string {
		return map[string]string{"PASSWORD": "from the environment"}[name]
	}}, out, err
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const twoSources = `[
	{"id":"src_a","name":"airports","type":"file","connector":"file","scope":"user","status":"connected","tables":1,"records":3376,
	 "last_sync":{"sync_id":"syn_1","status":"completed","finished_at":"2020-01-01T00:00:00Z"}},
	{"id":"src_b","name":"crm","type":"database","connector":"postgresql","scope":"user","status":"failed","tables":12,"records":0,"last_sync":null}]`

func TestErrorsSayWhatToChange(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token followed a redirect")
		}
	}))
	defer elsewhere.Close()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		spoil  func(*ClientFlags)
		want   string
	}{
		"details": {
			answer: refuses(400, "the request has two mistakes", `[{"field":"sources[0].name","message":"must not be empty"},{"field":"","message":"and more"}]`),
			want:   "the request has two mistakes\n  --name: must not be empty\n  and more"},
		"fault of the service": {
			answer: refuses(500, "something broke", `[]`), want: "something broke\n  request id req-7"},
		"control characters": {
			answer: refuses(404, `bad\u001b[2Jname\r\nnext`, `[]`), want: "bad�[2Jname  next"},
		"no envelope": {
			answer: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) },
			want:   "BASE/api/v1 answered 502 Bad Gateway (text/plain), which is not Headwater's API; is --url right?"},
		"redirect": {
			answer: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
			want:   "BASE/api/v1 answered 302 Found (text/html), which is not Headwater's API; is --url right?"},
		"bad token": {
			spoil: func(f *ClientFlags) { f.Token = "stale" },
			want:  "the token is not valid\n  give a valid token with HEADWATER_TOKEN or --token; 'headwater token' prints one where the service runs"},
		"no token": {
			spoil: func(f *ClientFlags) { f.Token = "" },
			want:  "no token: set HEADWATER_TOKEN or give --token; 'headwater token --org O --user U' prints one where the service runs"},
		"no url": {
			spoil: func(f *ClientFlags) { f.URL = "localhost:8080" }, want: `--url: "localhost:8080" is no http or https URL; write http://localhost:8080`},
	} {
		t.Run(name, func(t *testing.T) {
			api := newService(t, map[string]http.HandlerFunc{"GET /data/w1/list": test.answer})
			flags := api.flags()
			if test.spoil != nil {
				test.spoil(&flags)
			}
			s, out, _ := streams("")
			err := (&ListCmd{ClientFlags: flags}).Run(t.Context(), s)
			if err == nil {
				t.Fatalf("no error, printed %q", out)
			}
			same(t, "error", strings.ReplaceAll(err.Error(), api.URL, "BASE"), test.want)
			same(t, "output", out.String(), "")
		})
	}
}

func TestNobodyListens(t *testing.T) {
	api := newService(t, nil)
	api.Close()
	s, _, _ := streams("")
	err := (&ListCmd{ClientFlags: api.flags()}).Run(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "is 'headwater serve' running there?") || strings.Contains(err.Error(), "the-token") {
		t.Errorf("got %v", err)
	}
}

func TestOverloadIsTriedAgainWithTheSameKey(t *testing.T) {
	tries := 0
	api := newService(t, map[string]http.HandlerFunc{"POST /data/w1/sync": func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries < 3 {
			w.Header().Set("Retry-After", "0")
			refuses(503, "too much to do", `[]`)(w, r)
			return
		}
		says(`{"operation_id":"op_1"}`)(w, r)
	}})
	s, out, _ := streams("")
	if err := (&SyncCmd{ClientFlags: api.flags(), Detach: true}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	same(t, "output", out.String(), "op_1\n")
	asked := api.asked("POST /data/w1/sync")
	if len(asked) != 3 || asked[0].Header.Get("Idempotency-Key") == "" ||
		asked[0].Header.Get("Idempotency-Key") != asked[2].Header.Get("Idempotency-Key") || asked[2].Body != `{"scope":"user"}` {
		t.Errorf("asked %+v", asked)
	}
}

func TestList(t *testing.T) {
	api := newService(t, map[string]http.HandlerFunc{"GET /data/w1/list": says(twoSources)})
	s, out, _ := streams("")
	if err := (&ListCmd{ClientFlags: api.flags(), Type: "file", Query: "a b"}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	same(t, "output", regexp.MustCompile(`\d+ years`).ReplaceAllString(out.String(), "N years"), `
NAME      TYPE      CONNECTOR   STATUS     TABLES  RECORDS  LAST SYNC              ID
airports  file      file        connected       1    3,376  completed N years ago  src_a
crm       database  postgresql  failed         12        0  never                  src_b
`)
	if query := api.asked("GET /data/w1/list")[0].Query; query != "q=a+b&scope=user&type=file" {
		t.Errorf("asked for %q", query)
	}

	s, out, _ = streams("")
	flags := api.flags()
	flags.JSON = true
	if err := (&ListCmd{ClientFlags: flags}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	var back []map[string]any
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || len(back) != 2 || back[1]["last_sync"] != nil {
		t.Errorf("--json printed %s: %v", out, err)
	}

	api.routes["GET /data/w1/list"] = says(`[]`)
	s, out, _ = streams("")
	if err := (&ListCmd{ClientFlags: api.flags()}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	same(t, "output", out.String(), "no sources with scope user in workspace w1\n")
}

func TestSchema(t *testing.T) {
	api := newService(t, map[string]http.HandlerFunc{
		"GET /data/w1/list": says(twoSources),
		"GET /data/w1/schema": says(`{"source_id":"src_b","version":2,"discovered_at":"2026-01-01T00:00:00Z","tables":[
			{"name":"people","namespace":"public","kind":"table","row_estimate":1200,"primary_key":["org","id"],"cursor_column":"changed","columns":[
				{"name":"id","type":"int64","source_type":"bigint","nullable":false},
				{"name":"name\u001b]0;x","type":"string","source_type":"varchar(20)","nullable":true},
				{"name":"org","type":"uuid","source_type":"uuid","nullable":false}]},
			{"name":"都市","namespace":"public","kind":"view","row_estimate":null,"primary_key":[],"columns":[]}]}`),
	})
	for _, test := range []struct {
		cmd  SchemaCmd
		want string
	}{
		{SchemaCmd{Source: "crm"}, `
TABLE          KIND    ROWS  KEY      CURSOR   COLUMNS
public.people  table  1,200  org, id  changed        3
public.都市    view                                  0
`},
		{SchemaCmd{Source: "src_b", Columns: true}, `
public.people
COLUMN     TYPE    SOURCE TYPE  NULLABLE  KEY
id         int64   bigint       no        2
name�]0;x  string  varchar(20)  yes
org        uuid    uuid         no        1

public.都市
the table has no columns
`},
	} {
		s, out, _ := streams("")
		test.cmd.ClientFlags = api.flags()
		if err := test.cmd.Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		same(t, "output", out.String(), test.want)
	}
	if query := api.asked("GET /data/w1/schema")[0].Query; query != "scope=user&source_id=src_b" {
		t.Errorf("asked for %q", query)
	}
	s, _, _ := streams("")
	err := (&SchemaCmd{ClientFlags: api.flags(), Source: "crn"}).Run(t.Context(), s)
	if err == nil || err.Error() != `no source "crn" with scope user in workspace w1; 'headwater list' shows what is there` {
		t.Errorf("got %v", err)
	}
}

func TestConnectors(t *testing.T) {
	api := newService(t, map[string]http.HandlerFunc{"GET /connectors": says(`[
		{"name":"postgresql","aliases":["postgres"],"class":"database","title":"PostgreSQL","schema":{"required":["host"],"properties":{
			"host":{"type":"string","description":"Name or address"},"password":{"type":"string","x-secret":true},"port":{"type":"integer"}}}}]`)})
	for name, want := range map[string]string{"": `
NAME        TYPE      ALSO      WHAT
postgresql  database  postgres  PostgreSQL
`, "postgresql": `
SETTING   TYPE     NEEDED  SECRET  DEFAULT  WHAT
host      string   yes                      Name or address
password  string           yes
port      integer
`} {
		s, out, _ := streams("")
		if err := (&ConnectorsCmd{ClientFlags: api.flags(), Connector: name}).Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		same(t, "output", out.String(), want)
	}
}

func TestInterruptedBeforeTheAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	api := newService(t, map[string]http.HandlerFunc{"GET /data/w1/list": func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}})
	s, _, _ := streams("")
	if err := (&ListCmd{ClientFlags: api.flags()}).Run(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
