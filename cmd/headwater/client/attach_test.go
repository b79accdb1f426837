package client

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"headwater/cmd/headwater/client/engines"
	"headwater/cmd/headwater/terminal"
)

// The lines name what the catalog names, say how files are read, and hold no token
// that was not asked for.
func TestAttachLines(t *testing.T) {
	answers := map[string]string{
		"/iceberg/v1/w1/namespaces":                      `{"namespaces":[["crm"],["my_x0020_shop"]]}`,
		"/iceberg/v1/w1/namespaces/crm":                  `{"namespace":["crm"],"properties":{"source_id":"src_2"}}`,
		"/iceberg/v1/w1/namespaces/my_x0020_shop":        `{"namespace":["my_x0020_shop"],"properties":{"source_id":"src_1"}}`,
		"/iceberg/v1/w1/namespaces/my_x0020_shop/tables": `{"identifiers":[{"namespace":["my_x0020_shop"],"name":"public__Orders"}]}`,
		"/iceberg/v1/w1/namespaces/crm/tables":           `{"identifiers":[]}`,
	}
	table := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := answers[r.URL.Path]
		if r.URL.Path == "/iceberg/v1/w1/namespaces/my_x0020_shop/tables/public__Orders" {
			answer = table
		}
		if answer == "" || r.Header.Get("Authorization") != "Bearer hwt_secret" {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"error":{"message":"no such thing"}}`
		}
		fmt.Fprint(w, answer)
	}))
	defer server.Close()
	attach := func(engine, source string, show bool) (lines, notes string, err error) {
		var out, told bytes.Buffer
		c := &AttachCmd{ClientFlags: ClientFlags{URL: server.URL, Token: "hwt_secret", Workspace: "w1", Scope: "user"}, Engine: engine, Source: source, ShowToken: show}
		err = c.Run(t.Context(), terminal.Streams{Out: &out, Err: &told})
		return out.String(), told.String(), err
	}
	for files, c := range map[string]struct{ answer, note string }{
		engines.ByKeys:   {`{"metadata":{"location":"s3://x/y"},"config":{"s3.endpoint":"http://keys:1","s3.access-key-id":"AK","s3.secret-access-key":"never shown"}}`, ""},
		engines.ByFolder: {`{"metadata":{"location":"file:///lake/y"},"config":{}}`, "--lake-listen off"},
		engines.ByBucket: {`{"metadata":{"location":"s3://bucket/y"},"config":{"s3.endpoint":"http://b","headwater.credentials-reason":"it has no AssumeRole"}}`, "the service has none to give: it has no AssumeRole"},
	} {
		table = c.answer
		for _, engine := range engines.Names() {
			lines, notes, err := attach(engine, "src_1", false)
			name := "public__Orders"
			if engine == "trino" {
				name = "public__orders"
			}
			if err != nil || !strings.Contains(lines, server.URL+"/iceberg") || !strings.Contains(lines, "my_x0020_shop") || !strings.Contains(lines, name) || !strings.Contains(lines, engines.Placeholder(engine)) {
				t.Errorf("%s by %s: %v\n%s", engine, files, err, lines)
			}
			if strings.Contains(lines+notes, "secret") || strings.Contains(lines+notes, "never shown") || !strings.Contains(notes, "headwater tokens create "+engine) || !strings.Contains(notes, c.note) {
				t.Errorf("%s by %s says %s\n%s", engine, files, notes, lines)
			}
			own := map[string]string{"duckdb": "ACCESS_DELEGATION_MODE 'none'", "clickhouse": "vended_credentials = 0"}[engine]
			given := map[string]string{"spark": "vended-credentials", "trino": "vended-credentials-enabled"}[engine]
			if own != "" && strings.Contains(lines, own) != (files != engines.ByKeys) || given != "" && strings.Contains(lines, given) != (files == engines.ByKeys) {
				t.Errorf("%s by %s:\n%s", engine, files, lines)
			}
			// Trino takes the endpoint of keys from its own file.
			if at := engine == "trino" && files == engines.ByKeys; at != strings.Contains(lines, "s3.endpoint=http://keys:1\ns3.path-style-access=true\n") {
				t.Errorf("%s by %s:\n%s", engine, files, lines)
			}
			if lines, _, err := attach(engine, "src_1", true); err != nil || !strings.Contains(lines, "hwt_secret") {
				t.Errorf("%s with the token: %v\n%s", engine, err, lines)
			}
		}
	}
	// Keys of Amazon's need no endpoint, and are of a region.
	table = `{"metadata":{"location":"s3://bucket/y"},"config":{"s3.access-key-id":"AK","client.region":"eu-west-1"}}`
	if lines, _, err := attach("trino", "src_1", false); err != nil || strings.Contains(lines, "s3.endpoint") || strings.Contains(lines, "path-style") || !strings.Contains(lines, "\ns3.region=eu-west-1\n") {
		t.Errorf("trino by keys of Amazon's: %v\n%s", err, lines)
	}
	if _, _, err := attach("duckdb", "src_2", false); err == nil || !strings.Contains(err.Error(), "has landed") {
		t.Errorf("nothing landed: %v", err)
	}
}
