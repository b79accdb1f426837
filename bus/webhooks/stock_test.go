package webhooks

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"headwater/bus/bustest"
)

// TestStockVerifier has the convention's own library for JavaScript judge what
// is sent: it takes either secret while one replaces the other, and no other
// body, secret or time.
func TestStockVerifier(t *testing.T) {
	t.Parallel()
	modules := bustest.Tool(t, "npm", "node_modules")
	old, young := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 24)
	body := `{"id":"evt_1","data":{"name":"Ω \"orders\""}}`
	message := func(secret []byte, at time.Time, sent string) map[string]any {
		return map[string]any{"secret": Secret(secret), "body": sent, "headers": map[string]string{
			HeaderID: "evt_1", HeaderTimestamp: strconv.FormatInt(at.Unix(), 10), HeaderSignature: signature("evt_1", at, []byte(body), young, old),
		}}
	}
	now := time.Now()
	var lines bytes.Buffer
	for _, m := range []map[string]any{
		message(old, now, body), message(young, now, body),
		message(bytes.Repeat([]byte{3}, 32), now, body), message(old, now, body+" "), message(old, now.Add(-time.Hour), body),
	} {
		if err := json.NewEncoder(&lines).Encode(m); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("node", filepath.Join("testdata", "verify.cjs"))
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stdin = &lines
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	want := []string{"verified", "verified", "No matching signature found", "No matching signature found", "Message timestamp too old"}
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("%q, want %q", got, want)
	}
}
