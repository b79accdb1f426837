package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// forms returns the ways in which a secret could be written down.
func forms(secret string) map[string][]byte {
	return map[string][]byte{
		"plain":      []byte(secret),
		"hex":        []byte(hex.EncodeToString([]byte(secret))),
		"base64":     []byte(strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(secret)), "=")),
		"base64 url": []byte(strings.TrimRight(base64.URLEncoding.EncodeToString([]byte(secret)), "=")),
		"url":        []byte(url.QueryEscape(secret)),
	}
}

// TestSecretsAreNowhere plants a canary in every kind of secret field, runs the
// six calls on sources that work and on sources that fail in many ways, and
// then reads every byte the service wrote.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel() // it waits more than it computes
	pg := samplePostgres(t, 200)
	web := sampleAPI(t, 20, "canary-api-key-5f1d&/ä")
	canaries := map[string]string{
		"working password": pg.Password,
		"wrong password":   "canary-wrong-password-77c2%41 x",
		"api key":          "canary-api-key-5f1d&/ä",
		"bearer token":     "canary-bearer-token-93ab",
		"header value":     "canary-header-value-e0d4",
		"unknown field":    "canary-unknown-field-1c9e",
	}
	cfg := testConfig(t)
	cfg.Grace = time.Hour
	n := startTestNode(t, cfg)
	c := n.as(t, "acme", "ada", "editor")
	var answers bytes.Buffer
	post := func(path string, body any) answer {
		t.Helper()
		a := c.post(path, body)
		answers.Write(a.Body)
		return a
	}

	// A token, and what signs for a webhook whose receiver is down: its failures
	// are logged.
	canaries["token"] = c.token
	canaries["webhook secret"] = webhookSecret(t, c.post("/data/w/webhooks", object{"url": "http://" + freePort(t)}))

	good := databaseConfig(pg)
	change := func(more object) object {
		changed := maps.Clone(good)
		maps.Copy(changed, more)
		return changed
	}
	closed := freePort(t)
	configs := []struct {
		name, kind string
		config     object
	}{
		{"good", "database", good},
		{"good_api", "api", object{"base_url": web.URL + "/sales", "api_key": canaries["api key"]}},
		{"wrong_password", "database", change(object{"password": canaries["wrong password"]})},
		{"no_database", "database", change(object{"database": "nowhere"})},
		{"password_as_database", "database", change(object{"password": canaries["wrong password"], "database": canaries["wrong password"][:12]})},
		{"closed_port", "postgresql", change(object{"port": portOf(t, closed), "password": canaries["wrong password"]})},
		{"http_server_as_database", "postgresql", change(object{"port": portOf(t, web.Listener.Addr().String()), "password": canaries["wrong password"]})},
		{"http_server_as_mysql", "mysql", change(object{"port": portOf(t, web.Listener.Addr().String()), "password": canaries["wrong password"]})},
		{"wrong_token", "api", object{"base_url": web.URL + "/sales", "bearer_token": canaries["bearer token"]}},
		{"closed_api", "api", object{"base_url": "http://" + closed, "api_key": canaries["api key"]}},
		{"headers", "api", object{"base_url": web.URL + "/sales", "headers": object{"X-Secret": canaries["header value"]}}},
		{"wrong_type", "database", change(object{"port": canaries["unknown field"]})},
		{"unknown_field", "database", change(object{"passwort": canaries["unknown field"]})},
	}
	var sources []object
	for _, s := range configs {
		if !strings.HasPrefix(s.name, "http_server_as_") { // they take as long as a greeting may; the connect does it for all at once
			post("/data/w/test-connection", object{"source_config": object{"type": s.kind, "connection_config": s.config}})
		}
		sources = append(sources, object{"type": s.kind, "name": s.name, "connection_config": s.config})
	}
	if a := post("/data/w/connect", object{"sources": sources}); a.Code != 200 {
		t.Fatalf("connect: %s", a.Body)
	}
	post("/data/w/sync", object{})
	answers.Write(c.get("/data/w/webhooks").Body)
	answers.Write(c.get("/data/w/list").Body)
	answers.Write(c.get("/data/w/syncs").Body)
	// A rotation to a password that is wrong, an identical one, a body that is cut off.
	post("/data/w/connect", object{"sources": []object{{"type": "database", "name": "good", "connection_config": change(object{"password": canaries["wrong password"]})}}})
	post("/data/w/connect", object{"sources": []object{{"type": "database", "name": "good", "connection_config": good}}})
	post("/data/w/connect", `{"sources":[{"type":"database","name":"x","connection_config":{"password":"`+canaries["wrong password"])
	post("/data/w/connect", object{"sources": canaries["unknown field"]})
	var listed []struct{ ID string }
	c.get("/data/w/list").into(t, &listed)
	for _, s := range listed {
		answers.Write(c.get("/data/w/schema?source_id=" + s.ID).Body)
	}

	scan := func(when string) {
		t.Helper()
		for what, secret := range canaries {
			for form, needle := range forms(secret) {
				if bytes.Contains(answers.Bytes(), needle) {
					t.Errorf("%s: an answer holds the %s (%s)", when, what, form)
				}
				if bytes.Contains(n.logs.Bytes(), needle) {
					t.Errorf("%s: the log holds the %s (%s)", when, what, form)
				}
			}
		}
		scanFiles(t, when, n.cfg.DataDir, canaries)
	}
	scan("while connected")
	post("/data/w/cleanup", object{})
	answers.Write(c.get("/data/w/list?removed=true").Body)
	scan("while removed")
	if a := post("/data/w/restore", object{"source_ids": []string{listed[0].ID}}); a.Code != 200 {
		t.Fatalf("restore: %s", a.Body)
	}
	post("/data/w/sync", object{})
	post("/data/w/cleanup", object{"purge": true})
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit+busy)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Fatal(err)
	}
	scan("after cleanup")
}

// webhookSecret returns the secret that the answer shows this once.
func webhookSecret(t *testing.T, made answer) string {
	t.Helper()
	var hook struct {
		Secret string `json:"secret"`
	}
	made.into(t, &hook)
	if hook.Secret == "" {
		t.Fatalf("no webhook: %s", made.Body)
	}
	return strings.TrimPrefix(hook.Secret, "whsec_")
}

// scanFiles reads every file below dir.
func scanFiles(t *testing.T, when, dir string, canaries map[string]string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // files come and go while the service runs
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files++
		for what, secret := range canaries {
			for form, needle := range forms(secret) {
				if bytes.Contains(raw, needle) {
					t.Errorf("%s: %s holds the %s (%s)", when, strings.TrimPrefix(path, dir), what, form)
				}
			}
		}
		return nil
	})
	if err != nil || files < 10 {
		t.Errorf("%s: read %d files of the data directory: %v", when, files, err)
	}
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	u, err := url.Parse("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	port := 0
	for _, d := range u.Port() {
		port = port*10 + int(d-'0')
	}
	return port
}
