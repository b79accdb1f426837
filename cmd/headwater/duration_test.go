package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"headwater/bus/command"
)

func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"30d": 30 * day, "4w": 28 * day, "1w2d": 9 * day, "1d12h": 36 * time.Hour, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "0": 0, "0d": 0, "100ms": 100 * time.Millisecond, "-1h": -time.Hour,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "30", "30 d", "1d-1h", "1d+1h", "1.5d", "30x", "2d1w", "999999w999999d99999999h", "-1d"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q passed as %v", text, got)
		}
	}
	// What goes to the service as it is, is read there by the same rule.
	for _, text := range []string{"30d", "4w", "1w2d", "1d12h", "90s"} {
		want, _ := parseDuration(text)
		if got, err := command.Duration(text).Value(); err != nil || got != want {
			t.Errorf("the service takes %s for %v, %v", text, got, err)
		}
	}
}

// Every flag that is a length of time takes days and weeks.
func TestDaysWhereverADurationIsTaken(t *testing.T) {
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
