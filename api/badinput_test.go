package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"headwater/api/call"
)

func TestBadInput(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	ids := c.connected("user", source("one", "db"))
	const canary = "hunter2-in-a-wrong-place"
	one := func(more string) string {
		return `{"sources":[{"type":"database","name":"x","connection_config":{"host":"h","port":5432}` + more + `}]}`
	}
	for _, test := range []struct {
		name, method, path string
		body               any
		headers            []string
		code               int
		want               string // error code
		fields             string
	}{
		{"malformed", "POST", "connect", `{"sources":[` + canary, nil, 400, "invalid_request", "body"},
		{"cut off", "POST", "connect", `{"sources":[{"type":"database","connection_config":{"password":"` + canary, nil, 400, "invalid_request", "body"},
		{"empty", "POST", "connect", ``, nil, 400, "invalid_request", "body"},
		{"empty cleanup", "POST", "cleanup", ``, nil, 400, "invalid_request", "body"},
		{"two values", "POST", "connect", one("") + one(""), nil, 400, "invalid_request", "body"},
		{"an array", "POST", "connect", `[]`, nil, 400, "invalid_request", "body"},
		{"null", "POST", "cleanup", `null`, nil, 400, "invalid_request", "body"},
		{"not UTF-8", "POST", "connect", "{\"scope\":\"\xff\"}", nil, 400, "invalid_request", "body"},
		{"a key twice", "POST", "cleanup", `{"source_ids":["a"],"source_ids":null}`, nil, 400, "invalid_request", "body"},
		{"too deep", "POST", "connect", one(`,"metadata":{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`), nil, 400, "invalid_request", "body"},
		{"huge number", "POST", "sync", `{"sync_options":{"batch_size":1e999}}`, nil, 400, "invalid_request", "body"},
		{"oversize", "POST", "connect", one(`,"metadata":{"a":"` + strings.Repeat("x", 2<<20) + `"}`), nil, 413, "too_large", ""},
		{"large metadata", "POST", "connect", one(`,"metadata":{"a":"` + strings.Repeat("x", 20<<10) + `"}`), nil, 400, "invalid_request", "sources[0].metadata"},
		{"no sources", "POST", "connect", `{}`, nil, 400, "invalid_request", "sources"},
		{"empty sources", "POST", "connect", `{"sources":[]}`, nil, 400, "invalid_request", "sources"},
		{"wrong types", "POST", "connect", `{"sources":[{"type":5,"name":{},"connection_config":"` + canary + `"}]}`, nil, 400, "invalid_request", "sources[0].connection_config sources[0].name sources[0].type"},
		{"missing fields", "POST", "connect", `{"sources":[{}]}`, nil, 400, "invalid_request", "sources[0].connection_config sources[0].name sources[0].type"},
		{"unknown fields", "POST", "connect", `{"sorces":1,"sources":[{"type":"database","name":"x","connection_config":{},"passwort":"` + canary + `"}]}`, nil, 400, "invalid_request", "sorces sources[0].passwort"},
		{"other case", "POST", "cleanup", `{"Scope":"user"}`, nil, 400, "invalid_request", "Scope"},
		{"quoted unknown key", "POST", "cleanup", `{"a \"b\" is unsupported":1}`, nil, 400, "invalid_request", `a "b" is unsupported`},
		{"same name twice", "POST", "connect", object{"sources": []object{source("x", "h"), source("x", "h")}}, nil, 400, "invalid_request", "sources[1].name"},
		{"control characters", "POST", "connect", object{"sources": []object{source("x\n", "h")}}, nil, 400, "invalid_request", "sources[0].name"},
		{"unknown scope", "POST", "connect", `{"scope":"` + canary + `","sources":[{"type":"database","name":"x","connection_config":{}}]}`, nil, 400, "invalid_request", "scope"},
		{"unknown scope in a query", "GET", "list?scope=everyone", nil, nil, 400, "invalid_request", "scope"},
		{"scope twice", "GET", "list?scope=user&scope=organization", nil, nil, 400, "invalid_request", "scope"},
		{"unknown parameter", "GET", "list?limt=3", nil, nil, 400, "invalid_request", "limt"},
		{"bad limit", "GET", "list?limit=0", nil, nil, 400, "invalid_request", "limit"},
		{"no number", "GET", "list?limit=ten", nil, nil, 400, "invalid_request", "limit"},
		{"bad cursor", "GET", "list?limit=1&cursor=zzz", nil, nil, 400, "invalid_request", "cursor"},
		{"bad as_of", "GET", "list?as_of=yesterday", nil, nil, 400, "invalid_request", "as_of"},
		{"as_of in the future", "GET", "list?as_of=2999-01-01T00:00:00Z", nil, nil, 400, "invalid_request", "as_of"},
		{"as_of zero", "GET", "list?as_of=0", nil, nil, 400, "invalid_request", "as_of"},
		{"schema as_of a sequence to come", "GET", "schema?source_id=src_x&as_of=999999999", nil, nil, 400, "invalid_request", "as_of"},
		{"schema as_of before the first event", "GET", "schema?source_id=src_x&as_of=2001-01-01T00:00:00Z", nil, nil, 404, "not_found", ""},
		{"as_of a sequence to come", "GET", "list?as_of=999999999", nil, nil, 400, "invalid_request", "as_of"},
		{"no source id", "GET", "schema", nil, nil, 400, "invalid_request", "source_id"},
		{"bad status", "GET", "syncs?status=asleep", nil, nil, 400, "invalid_request", "status"},
		{"empty ids in cleanup", "POST", "cleanup", `{"source_ids":[]}`, nil, 400, "invalid_request", "source_ids"},
		{"empty ids in sync", "POST", "sync", `{"source_ids":[]}`, nil, 400, "invalid_request", "source_ids"},
		{"ids of a wrong type", "POST", "cleanup", `{"source_ids":["a",7,null]}`, nil, 400, "invalid_request", "source_ids[1] source_ids[2]"},
		{"ids as a text", "POST", "cleanup", `{"source_ids":"a"}`, nil, 400, "invalid_request", "source_ids"},
		{"unknown ids", "POST", "cleanup", object{"source_ids": []string{ids["one"], "src_nope", "src_nada"}}, nil, 404, "not_found", "source_ids[1] source_ids[2]"},
		{"batch size", "POST", "sync", `{"sync_options":{"batch_size":0}}`, nil, 400, "invalid_request", "sync_options.batch_size"},
		{"large batch size", "POST", "sync", `{"sync_options":{"batch_size":1000001}}`, nil, 400, "invalid_request", "sync_options.batch_size"},
		{"fraction", "POST", "sync", `{"sync_options":{"batch_size":1.5}}`, nil, 400, "invalid_request", "sync_options.batch_size"},
		{"written as a fraction", "POST", "sync", `{"sync_options":{"batch_size":10.0}}`, nil, 400, "invalid_request", "sync_options.batch_size"},
		{"two modes", "POST", "sync", `{"sync_options":{"incremental":true,"mode":"full_refresh"}}`, nil, 400, "invalid_request", "sync_options.incremental"},
		{"empty pattern", "POST", "sync", `{"sync_options":{"tables":["ok",""]}}`, nil, 400, "invalid_request", "sync_options.tables[1]"},
		{"unknown option", "POST", "sync", `{"sync_options":{"batchsize":3}}`, nil, 400, "invalid_request", "sync_options.batchsize"},
		{"test without config", "POST", "test-connection", `{}`, nil, 400, "invalid_request", "source_config"},
		{"test of a bad config", "POST", "test-connection", `{"source_config":{"type":"postgresql","connection_config":{"port":"` + canary + `","pasword":"` + canary + `"}}}`, nil, 422, "invalid_config",
			"source_config.connection_config.host source_config.connection_config.pasword source_config.connection_config.port"},
		{"connect with a bad config", "POST", "connect", `{"sources":[{"type":"postgresql","name":"x","connection_config":{"host":"h","port":"` + canary + `"}}]}`, nil, 422, "invalid_config", "sources[0].connection_config.port"},
		{"unknown type", "POST", "connect", `{"sources":[{"type":"oracle","name":"x","connection_config":{}}]}`, nil, 422, "invalid_config", "sources[0].type"},
		{"no driver", "POST", "connect", `{"sources":[{"type":"database","name":"x","connection_config":{"host":"h"}}]}`, nil, 422, "invalid_config", "sources[0].connection_config"},
		{"bad driver", "POST", "connect", `{"sources":[{"type":"database","name":"x","connection_config":{"host":"h","driver":"` + canary + `"}}]}`, nil, 422, "invalid_config", "sources[0].connection_config.driver"},
		{"other type", "POST", "connect", object{"sources": []object{{"type": "api", "name": "one", "connection_config": object{"base_url": "http://x"}}}}, nil, 409, "conflict", "sources[0]"},
		{"unreachable", "POST", "connect", object{"sources": []object{source("u", "unreachable")}}, nil, 422, "unreachable", "sources[0]"},
		{"restore of nothing", "POST", "restore", `{}`, nil, 400, "invalid_request", "source_ids"},
		{"restore by both", "POST", "restore", `{"source_ids":["a"],"as_of":"1"}`, nil, 400, "invalid_request", "source_ids"},
		{"empty ids in restore", "POST", "restore", `{"source_ids":[]}`, nil, 400, "invalid_request", "source_ids"},
		{"restore as of no time", "POST", "restore", `{"as_of":"yesterday"}`, nil, 400, "invalid_request", "as_of"},
		{"restore as of the future", "POST", "restore", `{"as_of":"2999-01-01T00:00:00Z"}`, nil, 400, "invalid_request", "as_of"},
		{"restore as of a sequence to come", "POST", "restore", `{"as_of":"1000000"}`, nil, 400, "invalid_request", "as_of"},
		{"restore before history", "POST", "restore", `{"as_of":"2001-01-01T00:00:00Z"}`, nil, 404, "not_found", ""},
		{"names of others", "POST", "restore", object{"source_ids": []string{ids["one"]}, "names": object{"src_nope": "x"}}, nil, 400, "invalid_request", "names.src_nope"},
		{"unknown id in restore", "POST", "restore", `{"source_ids":["src_nope"]}`, nil, 404, "not_found", "source_ids[0]"},
		{"removed as of", "GET", "list?removed=true&as_of=1", nil, nil, 400, "invalid_request", "as_of"},
		{"no content type", "POST", "cleanup", `{}`, []string{"Content-Type", ""}, 415, "unsupported_media_type", ""},
		{"form", "POST", "cleanup", `a=b`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type", ""},
		{"compressed", "POST", "cleanup", `{}`, []string{"Content-Encoding", "gzip"}, 415, "unsupported_media_type", ""},
		{"other charset", "POST", "cleanup", `{}`, []string{"Content-Type", "application/json; charset=latin1"}, 415, "unsupported_media_type", ""},
		{"wrong method", "GET", "connect", nil, nil, 405, "method_not_allowed", ""},
		{"delete", "DELETE", "list", nil, nil, 405, "method_not_allowed", ""},
		{"mutating get", "POST", "list", `{}`, nil, 405, "method_not_allowed", ""},
		{"unknown path", "GET", "nothing", nil, nil, 404, "not_found", ""},
		{"trailing slash", "GET", "list/", nil, nil, 404, "not_found", ""},
		{"unknown sync", "GET", "syncs/syn_nope", nil, nil, 404, "not_found", ""},
		{"unknown operation", "GET", "operations/op_nope", nil, nil, 404, "not_found", ""},
		{"cancel of an unknown operation", "POST", "operations/op_nope/cancel", `{}`, nil, 404, "not_found", ""},
		{"cancel with a body", "POST", "operations/op_nope/cancel", `{"force":true}`, nil, 400, "invalid_request", "force"},
		{"unknown source", "GET", "schema?source_id=src_nope", nil, nil, 404, "not_found", "source_id"},
		{"empty key", "POST", "cleanup", `{}`, []string{"Idempotency-Key", `""`}, 400, "invalid_request", "Idempotency-Key"},
		{"long key", "POST", "cleanup", `{}`, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400, "invalid_request", "Idempotency-Key"},
		{"bad key", "POST", "cleanup", `{}`, []string{"Idempotency-Key", "schlüssel"}, 400, "invalid_request", "Idempotency-Key"},
		{"bad sequence", "GET", "list", nil, []string{call.HeaderMinSequence, "soon"}, 400, "invalid_request", call.HeaderMinSequence},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.t = t
			r := c.call(test.method, "/data/w1/"+test.path, test.body, test.headers...)
			if r.Code != test.code || r.code() != test.want || r.fields() != test.fields {
				t.Errorf("got %d %s %q, want %d %s %q\n%s", r.Code, r.code(), r.fields(), test.code, test.want, test.fields, r.Raw)
			}
			if r.Code == http.StatusMethodNotAllowed && r.Header.Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
	c.t = t
	for _, ws := range []string{"a.b", "a%2Fb", "%20", strings.Repeat("w", 65), "ü"} {
		if r := c.get("/data/" + ws + "/list"); r.Code != 400 || r.fields() != "workspace_id" {
			t.Errorf("workspace %q: %d %s", ws, r.Code, r.Raw)
		}
	}
	if listed := into[[]object](t, c.get("/data/w1/list")); len(listed) != 1 {
		t.Errorf("bad input left %d sources", len(listed))
	}
	if n := h.worker.count("SyncSource") + h.worker.count("RemoveSource"); n != 0 {
		t.Errorf("bad input led to %d commands", n)
	}
	if shown := h.answers.String() + h.logs.String(); strings.Contains(shown, canary) {
		at := strings.Index(shown, canary)
		t.Errorf("a value was echoed: %s", shown[max(0, at-300):at+50])
	}
}

// TestEndlessBody sends a body whose length nobody tells.
func TestEndlessBody(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	req := httptest.NewRequest(http.MethodPost, "/api/v1/data/w1/connect", io.MultiReader(strings.NewReader(`{"scope":"`), endless{}))
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	req.ContentLength = -1
	w := newRecorder()
	h.handler.ServeHTTP(w, req)
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
