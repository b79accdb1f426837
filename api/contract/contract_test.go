package contract

import (
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func loaded(t *testing.T) *Contract {
	t.Helper()
	openapi, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(openapi)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestContractLoads(t *testing.T) {
	c := loaded(t)
	if _, err := c.Operation(http.MethodGet, "/nothing"); err == nil {
		t.Error("the contract has a call that it has not")
	}
	if _, err := Load([]byte("openapi: 3.0.3")); err == nil {
		t.Error("half a document was taken")
	}
}

// What is wrong is told with its place. A key that is not known is told by its
// name, whatever characters that has, and all of one object are.
func TestProblems(t *testing.T) {
	c := loaded(t)
	cleanup, err := c.Operation(http.MethodPost, "/data/{workspace_id}/cleanup")
	if err != nil {
		t.Fatal(err)
	}
	const takes = "is not a known field; it takes dry_run, purge, scope, source_ids"
	for body, want := range map[string][]Problem{
		`{}`:  {},
		` `:   {{"body", "is empty; send a JSON object"}},
		`[1]`: {{"body", "must be a JSON object"}},
		`{"property \"a\" is unsupported":1,"b.c":{},"0":1}`: {{"[0]", takes}, {"b.c", takes}, {`property "a" is unsupported`, takes}},
		`{"dry_run":1,"source_ids":["a",7]}`:                 {{"dry_run", "must be a boolean or null"}, {"source_ids[1]", "must be a string"}},
	} {
		got := cleanup.CheckBody([]byte(body))
		if got == nil {
			got = []Problem{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	list, err := c.Operation(http.MethodGet, "/data/{workspace_id}/list")
	if err != nil {
		t.Fatal(err)
	}
	got := list.CheckQuery(url.Values{"limit": {"many"}, "scope": {"user", "user"}})
	if want := []Problem{{"limit", "must be an integer"}, {"scope", "is given more than once"}}; !cmp.Equal(want, got) {
		t.Errorf("query: %v, want %v", got, want)
	}
}

func TestExamplesOfTheReferenceAreValid(t *testing.T) {
	c := loaded(t)
	for path, body := range map[string]string{
		"connect": `{"scope":"user","sources":[{"type":"database","name":"customer_db","connection_config":{"host":"db.example.com","port":5432,"database":"customers","username":"user","password":"password"},"metadata":{"description":"Customer database connection"}}]}`,
		"sync":    `{"scope":"user","source_ids":["source_123","source_456"],"sync_options":{"incremental":true,"batch_size":1000}}`,
		"cleanup": `{"scope":"user","source_ids":null}`,
	} {
		op, err := c.Operation(http.MethodPost, "/data/{workspace_id}/"+path)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := op.CheckBody([]byte(body)); len(wrong) > 0 {
			t.Errorf("%s: %+v", path, wrong)
		}
	}
}
