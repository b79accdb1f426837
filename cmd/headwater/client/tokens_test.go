package client

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"headwater/cmd/headwater/client/clienttest"
	"headwater/cmd/headwater/terminal"
)

// TestTokensAreListed: a token's end is a day that can be put into a calendar, with the
// time if it is near.
func TestTokensAreListed(t *testing.T) {
	now := time.Now().UTC()
	far, near, past := now.AddDate(0, 0, 90), now.Add(3*time.Hour), now.AddDate(0, -1, 0)
	doc := func(name string, at time.Time) string {
		return fmt.Sprintf(`{"id":"tok_%s","name":"%[1]s","role":"viewer","workspaces":["*"],"user":"ada","status":"active","expires_at":"%s"}`, name, at.Format(time.RFC3339))
	}
	api := clienttest.New(t, map[string]http.HandlerFunc{"GET /data/w1/tokens": clienttest.Says("[" + strings.Join([]string{doc("far", far), doc("near", near), doc("past", past)}, ",") + "]")})
	var out, notes bytes.Buffer
	c := &TokenListCmd{ClientFlags: ClientFlags{URL: api.URL, Token: "the-token", Workspace: "w1", Scope: "user"}}
	if err := c.Run(t.Context(), terminal.Streams{Out: &out, Err: &notes}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range []string{"EXPIRES", " " + far.Format("2006-01-02") + " ", " " + near.Format("2006-01-02 15:04") + " UTC ", " " + past.Format("2006-01-02") + " "} {
		if len(lines) != 4 || !strings.Contains(lines[i], want) {
			t.Errorf("line %d lacks %q:\n%s", i, want, out.String())
		}
	}
}
