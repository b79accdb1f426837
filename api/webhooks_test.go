package api

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/api/idempotency"
	"headwater/bus"
	"headwater/bus/webhooks"
	"headwater/connectors"
)

// webhookDoc is a webhook as clients read it.
type webhookDoc struct {
	ID, Scope, Secret string
	Owner             *string
	Types             []string
	After             uint64
	PreviousSecret    *time.Time `json:"previous_secret_until"`
	Delivery          *struct {
		Position, Pending uint64
		LastAttemptAt     *time.Time `json:"last_attempt_at"`
	}
}

// testWebhooks is the registry of a house; nothing delivers unless a test does.
func testWebhooks(t *testing.T, h *house) *webhooks.Registry {
	t.Helper()
	policy, err := connectors.ParsePolicy("auto", true)
	if err != nil {
		t.Fatal(err)
	}
	hooks := webhooks.New(webhooks.Deps{
		Bucket: h.bus.Bucket(bus.BucketWebhooks), Vault: h.vault, Events: h.bus,
		Dial: connectors.Outbound(policy, time.Minute, nil), Allows: policy.Allows, Log: slog.New(slog.NewTextHandler(h.logs, nil)),
		Options: webhooks.Options{Timeout: 2 * time.Second},
	})
	t.Cleanup(func() { _ = hooks.Close() })
	return hooks
}

// inbox is a receiver.
type inbox struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	bodies []string
	heads  []http.Header
}

func newInbox(t *testing.T) *inbox {
	in := &inbox{status: 200}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		in.mu.Lock()
		defer in.mu.Unlock()
		in.bodies, in.heads = append(in.bodies, string(body)), append(in.heads, r.Header)
		w.WriteHeader(in.status)
	}))
	t.Cleanup(in.Close)
	return in
}

func (in *inbox) answers(status int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.status = status
}

func (in *inbox) count() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.bodies)
}

func TestWebhooks(t *testing.T) {
	h := newHouse(t)
	ada, in := h.ada(), newInbox(t)
	ada.connected("user", source("db", "db"))
	r := ada.post("/data/w1/webhooks", object{"url": in.URL + "/in?token=capability", "description": "to ops", "types": []string{"SyncFailed", "SyncCompleted", "SyncFailed"}})
	if r.Code != 200 {
		t.Fatalf("%d %s", r.Code, r.Raw)
	}
	made := into[webhookDoc](t, r)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(made.Secret, "whsec_"))
	if err != nil || len(key) != 32 || !slices.Equal(made.Types, []string{"SyncCompleted", "SyncFailed"}) || made.Scope != "user" || *made.Owner != "ada" || made.After == 0 {
		t.Errorf("%s", r.Raw)
	}
	own := into[[]webhookDoc](t, ada.get("/data/w1/webhooks"))
	if len(own) != 1 || own[0].ID != made.ID || own[0].Secret != "" {
		t.Errorf("listed %+v", own)
	}
	one := into[webhookDoc](t, ada.get("/data/w1/webhooks/"+made.ID))
	if d := one.Delivery; d == nil || d.Position != made.After || d.Pending != 0 || d.LastAttemptAt != nil || one.Secret != "" {
		t.Errorf("%+v", one)
	}
	ada.post("/data/w1/sync", object{})
	if d := into[webhookDoc](t, ada.get("/data/w1/webhooks/"+made.ID)).Delivery; d.Pending != 1 {
		t.Errorf("pending %+v", d)
	}
	if r := ada.post("/data/w1/webhooks/"+made.ID+"/test", nil); r.Code != 200 || r.Status != "success" || in.count() != 1 || in.heads[0].Get("webhook-signature") == "" {
		t.Errorf("test: %d %s, %d requests", r.Code, r.Raw, in.count())
	}
	in.answers(503)
	if r := ada.post("/data/w1/webhooks/"+made.ID+"/test", object{}); r.Code != 200 || r.Status != "error" || r.Message != "the receiver answered 503" {
		t.Errorf("test: %d %s", r.Code, r.Raw)
	}
	rotated := into[webhookDoc](t, ada.post("/data/w1/webhooks/"+made.ID+"/rotate", nil))
	if rotated.Secret == "" || rotated.Secret == made.Secret || rotated.PreviousSecret == nil {
		t.Errorf("rotated %+v", rotated)
	}
	ada.post("/data/w1/webhooks/"+made.ID+"/test", nil)
	if signatures := strings.Fields(in.heads[2].Get("webhook-signature")); len(signatures) != 2 {
		t.Errorf("signed %v", signatures)
	}
	if r := ada.call(http.MethodDelete, "/data/w1/webhooks/"+made.ID, nil); r.Code != 200 {
		t.Errorf("delete: %d %s", r.Code, r.Raw)
	}
	for _, r := range []reply{
		ada.get("/data/w1/webhooks/" + made.ID), ada.call(http.MethodDelete, "/data/w1/webhooks/"+made.ID, nil),
		ada.post("/data/w1/webhooks/"+made.ID+"/test", nil), ada.post("/data/w1/webhooks/"+made.ID+"/rotate", nil),
	} {
		if r.Code != 404 {
			t.Errorf("after the deletion: %d %s", r.Code, r.Raw)
		}
	}
	if strings.Contains(h.logs.String(), "capability") || strings.Contains(h.logs.String(), "whsec_") {
		t.Error("a secret is in the log")
	}
}

// TestWebhooksOfOthers holds who may see and change which.
func TestWebhooksOfOthers(t *testing.T) {
	h := newHouse(t)
	ada, in := h.ada(), newInbox(t)
	make := func(scope string) string {
		return into[webhookDoc](t, ada.post("/data/w1/webhooks", object{"url": in.URL, "scope": scope})).ID
	}
	mine, shared := make("user"), make("organization")
	const made = "whk_aaaaaaaaaaaaaaaaaaaaaaaaaa"
	for name, c := range map[string]caller{
		"a colleague":          h.as("acme", "bob", auth.RoleEditor),
		"an admin":             h.as("acme", "root", auth.RoleAdmin),
		"another organization": h.as("other", "ada", auth.RoleEditor),
		"a user named like _":  h.as("acme", "_", auth.RoleEditor),
	} {
		colleague := name != "another organization"
		for _, call := range []struct{ method, below string }{
			{http.MethodGet, ""}, {http.MethodDelete, ""}, {http.MethodPost, "/test"}, {http.MethodPost, "/rotate"},
		} {
			foreign, missing := c.call(call.method, "/data/w1/webhooks/"+mine+call.below, nil), c.call(call.method, "/data/w1/webhooks/"+made+call.below, nil)
			if foreign.Code != 404 || missing.Code != 404 || strings.ReplaceAll(foreign.Raw, mine, made) != missing.Raw {
				t.Errorf("%s: %s %s: %d %s", name, call.method, call.below, foreign.Code, foreign.Raw)
			}
		}
		if r := c.get("/data/w1/webhooks/" + shared); (r.Code == 200) != colleague {
			t.Errorf("%s reads the shared one: %d", name, r.Code)
		}
		if all := into[[]object](t, c.get("/data/w1/webhooks")); len(all) != 0 {
			t.Errorf("%s lists %v", name, all)
		}
		if all := into[[]object](t, c.get("/data/w1/webhooks?scope=organization")); (len(all) == 1) != colleague {
			t.Errorf("%s lists %v", name, all)
		}
	}
	if r := ada.get("/data/w2/webhooks/" + mine); r.Code != 404 {
		t.Errorf("in another workspace: %d", r.Code)
	}
	viewer := h.as("acme", "ada", auth.RoleViewer)
	if r := viewer.get("/data/w1/webhooks/" + mine); r.Code != 200 {
		t.Errorf("a viewer reads: %d", r.Code)
	}
	for _, r := range []reply{
		viewer.post("/data/w1/webhooks", object{"url": in.URL}), viewer.call(http.MethodDelete, "/data/w1/webhooks/"+mine, nil),
		viewer.post("/data/w1/webhooks/"+mine+"/test", nil), viewer.post("/data/w1/webhooks/"+mine+"/rotate", nil),
	} {
		if r.Code != 403 {
			t.Errorf("a viewer writes: %d %s", r.Code, r.Raw)
		}
	}
	if r := h.as("acme", "bob", auth.RoleEditor).call(http.MethodDelete, "/data/w1/webhooks/"+shared, nil); r.Code != 200 {
		t.Errorf("an editor deletes the shared one: %d", r.Code)
	}
	if in.count() != 0 {
		t.Errorf("%d test events were sent for others", in.count())
	}
}

func TestWebhooksBadInput(t *testing.T) {
	c := newHouse(t).ada()
	const good = `"url":"http://127.0.0.1:1/"`
	for _, test := range []struct {
		body   string
		code   int
		fields string
	}{
		{`{}`, 400, "url"},
		{`{"url":""}`, 400, "url"},
		{`{"url":"ftp://example.com/"}`, 400, "url"},
		{`{"url":"https://ada:pass@example.com/"}`, 400, "url"},
		{`{"url":"http://169.254.169.254/latest"}`, 422, "url"},
		{`{"url":"http://no-such-host.invalid/"}`, 422, "url"},
		{`{` + good + `,"types":["SyncCompleted","Nothing"]}`, 400, "types"},
		{`{` + good + `,"types":["*"]}`, 400, "types[0]"},
		{`{` + good + `,"types":["SyncCompleted,SyncFailed"]}`, 400, "types[0]"},
		{`{` + good + `,"source_id":"*"}`, 400, "source_id"},
		{`{` + good + `,"source_id":"a.b"}`, 400, "source_id"},
		{`{` + good + `,"scope":"all"}`, 400, "scope"},
		{`{` + good + `,"after":999999}`, 400, "after"},
		{`{` + good + `,"after":-1}`, 400, "after"},
		{`{` + good + `,"secret":"mine"}`, 400, "secret"},
	} {
		r := c.post("/data/w1/webhooks", test.body)
		if r.Code != test.code || r.fields() != test.fields || strings.Contains(r.Raw, "pass@") {
			t.Errorf("%s: %d %s", test.body, r.Code, r.Raw)
		}
	}
	if all := into[[]object](t, c.get("/data/w1/webhooks")); len(all) != 0 {
		t.Errorf("%d webhooks of refused requests", len(all))
	}
}

// TestWebhookRepeats holds that an Idempotency-Key makes one webhook, shows the
// same secret again, and keeps it nowhere.
func TestWebhookRepeats(t *testing.T) {
	h := newHouse(t)
	c, in := h.ada(), newInbox(t)
	body := object{"url": in.URL}
	first := c.post("/data/w1/webhooks", body, "Idempotency-Key", "k1")
	again := c.post("/data/w1/webhooks", body, "Idempotency-Key", "k1")
	one, two := into[webhookDoc](t, first), into[webhookDoc](t, again)
	if one.ID != two.ID || one.Secret != two.Secret || one.Secret == "" || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s\n%s", first.Raw, again.Raw)
	}
	if r := c.post("/data/w1/webhooks", object{"url": in.URL + "/x"}, "Idempotency-Key", "k1"); r.Code != 422 {
		t.Errorf("another body: %d", r.Code)
	}
	if other := into[webhookDoc](t, c.post("/data/w1/webhooks", body, "Idempotency-Key", "k2")); other.ID == one.ID || other.Secret == one.Secret {
		t.Error("another key makes the same webhook")
	}
	rotate := func() webhookDoc {
		return into[webhookDoc](t, c.post("/data/w1/webhooks/"+one.ID+"/rotate", nil, "Idempotency-Key", "r1"))
	}
	if a, b := rotate(), rotate(); a.Secret != b.Secret || a.Secret == one.Secret {
		t.Error("a repeated rotation is another one")
	}
	for range 2 {
		c.post("/data/w1/webhooks/"+one.ID+"/test", nil, "Idempotency-Key", "t1")
	}
	if in.count() != 1 {
		t.Errorf("%d test events", in.count())
	}
	bucket := h.bus.Bucket(bus.BucketIdempotency)
	keys, err := bucket.Keys(t.Context(), "")
	if err != nil || len(keys) != 4 {
		t.Fatalf("%d keys %v", len(keys), err)
	}
	for _, key := range keys {
		entry, err := bucket.Get(t.Context(), key)
		var known idempotency.Record
		if err != nil || json.Unmarshal(entry.Value, &known) != nil || !known.Done || known.Status == 0 != (len(known.Body) == 0) {
			t.Errorf("%s: %s %v", key, entry.Value, err)
		}
		if len(known.Body) > 0 {
			if a, err := known.Answer(); err != nil || strings.Contains(string(a.Body), "whsec_") {
				t.Errorf("kept: %s %v", a.Body, err)
			}
		}
	}
	c.call(http.MethodDelete, "/data/w1/webhooks/"+one.ID, nil)
	if r := c.post("/data/w1/webhooks", body, "Idempotency-Key", "k1"); r.Code != 404 {
		t.Errorf("a repeat after the deletion: %d %s", r.Code, r.Raw)
	}
}
