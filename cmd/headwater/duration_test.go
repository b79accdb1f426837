package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
)

// Every flag that is a length of time takes days and weeks.
func TestDaysWhereverADurationIsTaken(t *testing.T) {
	t.Parallel() // it waits more than it computes
	n := startTestNode(t, testConfig(t))
	var out bytes.Buffer
	if err := run(t.Context(), []string{"token", "--data-dir", n.cfg.DataDir, "--org", "acme", "--user", "ada", "--ttl", "30d"}, nil, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(out.String(), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(time.Unix(claims.Exp, 0)); left < 30*24*time.Hour-time.Minute || left > 30*24*time.Hour+time.Minute {
		t.Errorf("--ttl 30d gives %v", left)
	}
	for _, flag := range []string{"--grace", "--audit-every", "--snapshot-every"} {
		// The replicas are refused before anything starts.
		err := run(t.Context(), []string{"serve", "--data-dir", t.TempDir(), flag, "1w", "--replicas", "9"}, nil, io.Discard, io.Discard)
		if err == nil || strings.Contains(err.Error(), flag) || !strings.Contains(err.Error(), "--replicas") {
			t.Errorf("%s 1w: %v", flag, err)
		}
	}
	err = run(t.Context(), []string{"serve", "--data-dir", t.TempDir(), "--replicas", "9"}, nil, io.Discard, io.Discard)
	if err == nil {
		t.Error("nine replicas passed")
	}
}
