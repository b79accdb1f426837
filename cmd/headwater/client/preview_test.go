package client

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"headwater/cmd/headwater/terminal"
)

// The grid has the values as they came: no number is rounded, no text drives the
// terminal, and NULL is not the text of that name's absence.
func TestPreviewIsPrinted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if q := r.URL.Query(); q.Get("source_id") != "src_1" || q.Get("table") != "public.orders" || q.Get("limit") != "2" || q.Get("as_of") != "7" {
			t.Errorf("%s", r.URL)
		}
		fmt.Fprint(w, `{"status":"success","message":"2 of 9 rows","data":{"table":"public.orders","snapshot_id":"77","snapshot_at":"2026-03-01T12:00:00Z","total_records":9,
			"columns":[{"name":"id","type":"int64"},{"name":"price","type":"decimal(9,2)"},{"name":"note","type":"string"}],
			"rows":[{"id":"1152921504606846977","price":"12.50","note":"a\u001b[2Jb"},{"id":7,"price":null,"note":""}],"truncated":true}}`)
	}))
	defer server.Close()
	var out, notes bytes.Buffer
	c := &PreviewCmd{ClientFlags: ClientFlags{URL: server.URL, Token: "t", Workspace: "w1", Scope: "user"}, Source: "src_1", Table: "public.orders", Limit: 2, AsOf: "7"}
	if err := c.Run(t.Context(), terminal.Streams{Out: &out, Err: &notes}); err != nil {
		t.Fatal(err)
	}
	want := "                 id  price  note\n1152921504606846977  12.50  a\ufffd[2Jb\n                  7   NULL\n"
	if out.String() != want || !strings.Contains(notes.String(), "2 of 9 rows of public.orders, snapshot 77 of 2026-03-01T12:00:00Z") {
		t.Errorf("%q, want %q\n%s", out.String(), want, notes.String())
	}
	if err := (&PreviewCmd{ClientFlags: c.ClientFlags, Source: "src_1", Table: "t"}).Run(t.Context(), terminal.Streams{Out: &out, Err: &notes}); err == nil || !strings.Contains(err.Error(), "--limit") {
		t.Errorf("no rows: %v", err)
	}
}
