package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"headwater/cmd/headwater/client/clienttest"
)

func flagsFor(s *clienttest.Service) ClientFlags {
	return ClientFlags{URL: s.URL, Token: "the-token", Workspace: "w1", Scope: "user"}
}

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
			answer: clienttest.Refuses(400, "the request has two mistakes", `[{"field":"sources[0].name","message":"must not be empty"},{"field":"","message":"and more"}]`),
			want:   "the request has two mistakes\n  --name: must not be empty\n  and more"},
		"fault of the service": {
			answer: clienttest.Refuses(500, "something broke", `[]`), want: "something broke\n  request id req-7"},
		"control characters": {
			answer: clienttest.Refuses(404, `bad\u001b[2Jname\r\nnext`, `[]`), want: "bad�[2Jname  next"},
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
			spoil: func(f *ClientFlags) { f.URL = "localhost:8080" }, want: `--url: "localhost:8080" is not an http or https URL; write http://localhost:8080`},
	} {
		t.Run(name, func(t *testing.T) {
			api := clienttest.New(t, map[string]http.HandlerFunc{"GET /data/w1/list": test.answer})
			flags := flagsFor(api)
			if test.spoil != nil {
				test.spoil(&flags)
			}
			s, out, _ := clienttest.Streams("")
			err := (&ListCmd{ClientFlags: flags}).Run(t.Context(), s)
			if err == nil {
				t.Fatalf("no error, printed %q", out)
			}
			clienttest.Same(t, "error", strings.ReplaceAll(err.Error(), api.URL, "BASE"), test.want)
			clienttest.Same(t, "output", out.String(), "")
		})
	}
}

func TestNobodyListens(t *testing.T) {
	api := clienttest.New(t, nil)
	api.Close()
	s, _, _ := clienttest.Streams("")
	err := (&ListCmd{ClientFlags: flagsFor(api)}).Run(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "is 'headwater serve' running there?") || strings.Contains(err.Error(), "the-token") {
		t.Errorf("got %v", err)
	}
}

func TestOverloadIsTriedAgainWithTheSameKey(t *testing.T) {
	tries := 0
	api := clienttest.New(t, map[string]http.HandlerFunc{"POST /data/w1/sync": func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries < 3 {
			w.Header().Set("Retry-After", "0")
			clienttest.Refuses(503, "too much to do", `[]`)(w, r)
			return
		}
		clienttest.Says(`{"operation_id":"op_1"}`)(w, r)
	}})
	s, out, _ := clienttest.Streams("")
	if err := (&SyncCmd{ClientFlags: flagsFor(api), Detach: true}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "output", out.String(), "op_1\n")
	asked := api.Asked("POST /data/w1/sync")
	if len(asked) != 3 || asked[0].Header.Get("Idempotency-Key") == "" ||
		asked[0].Header.Get("Idempotency-Key") != asked[2].Header.Get("Idempotency-Key") || asked[2].Body != `{"scope":"user"}` {
		t.Errorf("asked %+v", asked)
	}
}

func TestList(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{"GET /data/w1/list": clienttest.Says(clienttest.TwoSources)})
	s, out, _ := clienttest.Streams("")
	if err := (&ListCmd{ClientFlags: flagsFor(api), Type: "file", Query: "a b"}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "output", regexp.MustCompile(`\d+ years`).ReplaceAllString(out.String(), "N years"), `
NAME      TYPE      CONNECTOR   STATUS     TABLES  RECORDS  LAST SYNC              ID
airports  file      file        connected       1    3,376  completed N years ago  src_a
crm       database  postgresql  failed         12        0  never                  src_b
`)
	if query := api.Asked("GET /data/w1/list")[0].Query; query != "q=a+b&scope=user&type=file" {
		t.Errorf("asked for %q", query)
	}

	s, out, _ = clienttest.Streams("")
	flags := flagsFor(api)
	flags.JSON = true
	if err := (&ListCmd{ClientFlags: flags}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	var back []map[string]any
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || len(back) != 2 || back[1]["last_sync"] != nil {
		t.Errorf("--json printed %s: %v", out, err)
	}

	api.Routes["GET /data/w1/list"] = clienttest.Says(`[]`)
	s, out, _ = clienttest.Streams("")
	if err := (&ListCmd{ClientFlags: flagsFor(api)}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "output", out.String(), "no sources with scope user in workspace w1\n")
}

func TestSchema(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"GET /data/w1/list": clienttest.Says(clienttest.TwoSources),
		"GET /data/w1/schema": clienttest.Says(`{"source_id":"src_b","version":2,"discovered_at":"2026-01-01T00:00:00Z","tables":[
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
		s, out, _ := clienttest.Streams("")
		test.cmd.ClientFlags = flagsFor(api)
		if err := test.cmd.Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		clienttest.Same(t, "output", out.String(), test.want)
	}
	if query := api.Asked("GET /data/w1/schema")[0].Query; query != "scope=user&source_id=src_b" {
		t.Errorf("asked for %q", query)
	}
	s, _, _ := clienttest.Streams("")
	err := (&SchemaCmd{ClientFlags: flagsFor(api), Source: "crn"}).Run(t.Context(), s)
	if err == nil || err.Error() != `no source "crn" with scope user in workspace w1; 'headwater list' shows what is there` {
		t.Errorf("got %v", err)
	}
}

func TestConnectors(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{"GET /connectors": clienttest.Says(`[
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
		s, out, _ := clienttest.Streams("")
		if err := (&ConnectorsCmd{ClientFlags: flagsFor(api), Connector: name}).Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		clienttest.Same(t, "output", out.String(), want)
	}
}

func TestInterruptedBeforeTheAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	api := clienttest.New(t, map[string]http.HandlerFunc{"GET /data/w1/list": func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}})
	s, _, _ := clienttest.Streams("")
	if err := (&ListCmd{ClientFlags: flagsFor(api)}).Run(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
