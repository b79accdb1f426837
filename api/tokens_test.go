package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/api/auth"
	"headwater/bus/event"
	"headwater/projections"
)

// paperTokens are the API tokens that a store knows, as the wiring adapts it.
type paperTokens struct{ view *projections.Store }

func (p paperTokens) APIToken(id string) (auth.APIToken, error) {
	t, err := p.view.Token(id)
	if errors.Is(err, projections.ErrNotFound) {
		err = auth.ErrNoToken
	}
	found := auth.APIToken{Address: t.Address, Role: t.Role, Workspaces: t.Workspaces, Hash: t.Hash, Expires: t.ExpiresAt, Revoked: t.RevokedAt != nil}
	if t.UsedAt != nil {
		found.Used = *t.UsedAt
	}
	return found, err
}

// tokenDoc is an API token as clients read it.
type tokenDoc struct {
	ID, Name, Role, User, Status, Token string
	Workspaces                          []string
	CreatedAt                           time.Time  `json:"created_at"`
	ExpiresAt                           time.Time  `json:"expires_at"`
	LastUsedAt                          *time.Time `json:"last_used_at"`
	RevokedBy                           *string    `json:"revoked_by"`
}

// made has the caller make an API token and returns who uses it.
func (c caller) made(body object) (tokenDoc, caller) {
	c.t.Helper()
	r := c.post("/data/w1/tokens", body)
	if r.Code != 200 {
		c.t.Fatalf("make a token: %d %s", r.Code, r.Raw)
	}
	doc := into[tokenDoc](c.t, r)
	user := c
	user.token = doc.Token
	return doc, user
}

func TestTokens(t *testing.T) {
	h := newHouse(t)
	ada := h.ada()
	doc, machine := ada.made(object{"name": " metabase ", "role": "editor", "workspaces": []string{"w2", "w1", "w1"}})
	if !strings.HasPrefix(doc.Token, "hwt_"+strings.TrimPrefix(doc.ID, "tok_")+"_") || doc.Name != "metabase" || doc.Role != "editor" || !slices.Equal(doc.Workspaces, []string{"w1", "w2"}) ||
		doc.User != "ada" || doc.Status != "active" || doc.LastUsedAt != nil || doc.ExpiresAt.Sub(doc.CreatedAt).Round(time.Hour) != 90*24*time.Hour {
		t.Errorf("%+v", doc)
	}
	mine := machine.connected("user", source("shop", "db"))["shop"]
	if r := ada.get("/data/w1/list"); !strings.Contains(r.Raw, mine) {
		t.Errorf("the user does not see what the token did: %s", r.Raw)
	}
	for _, path := range []string{"/data/w2/list", "/connectors"} {
		if r := machine.get(path); r.Code != 200 {
			t.Errorf("%s: %d %s", path, r.Code, r.Raw)
		}
	}
	// It may make none, and sees itself alone.
	other, viewer := ada.made(object{"name": "reader"})
	if r := machine.post("/data/w1/tokens", object{"name": "more"}); r.Code != 403 || !strings.Contains(r.Message, "makes no tokens") {
		t.Errorf("a token of a token: %d %s", r.Code, r.Raw)
	}
	if all := into[[]tokenDoc](t, machine.get("/data/w1/tokens")); len(all) != 1 || all[0].ID != doc.ID || all[0].Token != "" {
		t.Errorf("what a token sees: %+v", all)
	}
	if r := machine.call(http.MethodDelete, "/data/w1/tokens/"+other.ID, nil); r.Code != 404 {
		t.Errorf("it revokes another: %d %s", r.Code, r.Raw)
	}
	if r := viewer.post("/data/w1/sync", object{}); r.Code != 403 {
		t.Errorf("a viewer's token syncs: %d", r.Code)
	}
	// The first use of a day is told of, once.
	used := func() *time.Time {
		all := into[[]tokenDoc](t, ada.get("/data/w3/tokens"))
		at := slices.IndexFunc(all, func(d tokenDoc) bool { return d.ID == doc.ID })
		if at < 0 || len(all) != 2 || all[0].ID != other.ID {
			t.Fatalf("%+v", all)
		}
		return all[at].LastUsedAt
	}
	for deadline := time.Now().Add(testLimit); used() == nil && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
	}
	if at := used(); at == nil || time.Since(*at) > testLimit {
		t.Errorf("last used at %v", at)
	}
	if n := strings.Count(ada.get("/data/w1/events?type=TokenUsed&source_id="+doc.ID).Raw, `"headwater.TokenUsed.v1"`); n != 1 {
		t.Errorf("%d uses were told of", n)
	}

	if r := machine.call(http.MethodDelete, "/data/w1/tokens/"+doc.ID, nil); r.Code != 200 || into[tokenDoc](t, r).Status != "revoked" {
		t.Errorf("it revokes itself: %d %s", r.Code, r.Raw)
	}
	if r := machine.get("/data/w1/list"); r.Code != 401 || !strings.Contains(r.Message, "it was revoked; make another one") || !strings.Contains(r.Header.Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("a revoked token: %d %s", r.Code, r.Raw)
	}
	if a := machine.engine().call("GET", "/config", "/config?warehouse=w1"); a.Code != 401 || !strings.Contains(a.Error.Message, "revoked") {
		t.Errorf("a revoked token at the catalog: %d %s", a.Code, a.Raw)
	}
	if r := ada.call(http.MethodDelete, "/data/w1/tokens/"+doc.ID, nil); r.Code != 200 {
		t.Errorf("again: %d %s", r.Code, r.Raw)
	}
	if all := into[[]tokenDoc](t, ada.get("/data/w1/tokens?all=true")); len(all) != 2 || all[1].Status != "revoked" || *all[1].RevokedBy != "ada" {
		t.Errorf("all: %+v", all)
	}
	told := ada.get("/data/w1/events?source_id=" + doc.ID).Raw
	if !strings.Contains(told, "TokenCreated") || !strings.Contains(told, "TokenRevoked") {
		t.Errorf("what history tells: %s", told)
	}
	secret := doc.Token[strings.LastIndex(doc.Token, "_")+1:]
	if strings.Contains(told+h.logs.String(), secret) || strings.Count(h.answers.String(), secret) != 1 {
		t.Error("the token is shown again")
	}
	// One that nobody made, and one whose secret is another's.
	for _, text := range []string{"hwt_", "hwt_" + strings.Repeat("a", 26) + "_" + strings.Repeat("b", 52), other.Token[:len(other.Token)-1] + "!", strings.Replace(doc.Token, "hwt_", "hwt_x", 1)} {
		c := ada
		if c.token = text; c.get("/data/w1/list").Code != 401 {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestTokensAreBounded(t *testing.T) {
	h := newHouse(t)
	viewer, editor, admin := h.as("acme", "eve", auth.RoleViewer), h.ada(), h.as("acme", "root", auth.RoleAdmin)
	eves, _ := viewer.made(object{"name": "bi"})
	for role, may := range map[string][]int{auth.RoleViewer: {200, 200, 200}, auth.RoleEditor: {403, 200, 200}, auth.RoleAdmin: {403, 403, 200}} {
		for i, c := range []caller{viewer, editor, admin} {
			if r := c.post("/data/w1/tokens", object{"name": "x", "role": role}); r.Code != may[i] {
				t.Errorf("%s made by %d: %d %s", role, i, r.Code, r.Raw)
			}
		}
	}
	for name, body := range map[string]object{
		"no name": {}, "a blank name": {"name": "  "}, "a line": {"name": "a\nb"}, "a role": {"name": "a", "role": "root"}, "a place": {"name": "a", "workspaces": []string{"a b"}},
		"all and some": {"name": "a", "workspaces": []string{"*", "w1"}}, "past": {"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "for ever": {"name": "a", "expires_at": "2099-01-01T00:00:00Z"},
		"a field": {"name": "a", "user": "root"},
	} {
		if r := editor.post("/data/w1/tokens", body); r.Code != 400 {
			t.Errorf("%s: %d %s", name, r.Code, r.Raw)
		}
	}
	// An admin sees and revokes everybody's, others what is theirs, another
	// organization none.
	if all := into[[]tokenDoc](t, admin.get("/data/w9/tokens")); len(all) != 7 {
		t.Errorf("an admin sees %d", len(all))
	}
	for _, c := range []caller{editor, h.as("other", "eve", auth.RoleAdmin)} {
		foreign, made := c.call(http.MethodDelete, "/data/w1/tokens/"+eves.ID, nil), c.call(http.MethodDelete, "/data/w1/tokens/tok_aaaaaaaaaaaaaaaaaaaaaaaaaa", nil)
		if foreign.Code != 404 || strings.ReplaceAll(foreign.Raw, eves.ID, "tok_aaaaaaaaaaaaaaaaaaaaaaaaaa") != made.Raw {
			t.Errorf("a foreign token is told from a missing one: %d %s %s", foreign.Code, foreign.Raw, made.Raw)
		}
		if strings.Contains(c.get("/data/w1/tokens?all=true").Raw, eves.ID) {
			t.Error("a foreign token is listed")
		}
	}
	if r := admin.call(http.MethodDelete, "/data/w1/tokens/"+eves.ID, nil); r.Code != 200 || *into[tokenDoc](t, r).RevokedBy != "root" {
		t.Errorf("an admin revokes: %d %s", r.Code, r.Raw)
	}
	// The same request makes the same token.
	first := editor.post("/data/w1/tokens", object{"name": "again"}, "Idempotency-Key", "k1")
	second := editor.post("/data/w1/tokens", object{"name": "again"}, "Idempotency-Key", "k1")
	if a, b := into[tokenDoc](t, first), into[tokenDoc](t, second); a.Token == "" || a.Token != b.Token || a.ID != b.ID {
		t.Errorf("%s\n%s", first.Raw, second.Raw)
	}
	// One that expires is told of it.
	var short tokenDoc
	var soon caller
	for life := 1500 * time.Millisecond; ; life *= 4 { // a busy machine needs a longer one
		short, soon = editor.made(object{"name": "short " + life.String(), "expires_at": time.Now().Add(life).UTC().Format(time.RFC3339Nano)})
		r := soon.get("/data/w1/list")
		if r.Code == 200 {
			break
		}
		if time.Now().Before(short.ExpiresAt) || life > testLimit {
			t.Fatalf("before: %d", r.Code)
		}
	}
	time.Sleep(time.Until(short.ExpiresAt))
	if r := soon.get("/data/w1/list"); r.Code != 401 || !strings.Contains(r.Message, "it has expired; make another one") {
		t.Errorf("after: %d %s", r.Code, r.Raw)
	}
	if a := soon.engine().call("GET", "/config", "/config?warehouse=w1"); a.Code != 419 {
		t.Errorf("after, at the catalog: %d %s", a.Code, a.Raw)
	}
}

// TestTokenReachesItsWorkspaces tries every call there is in a workspace that the
// token does not reach.
func TestTokenReachesItsWorkspaces(t *testing.T) {
	h := newHouse(t)
	admin := h.as("acme", "root", auth.RoleAdmin)
	_, machine := admin.made(object{"name": "m", "role": "admin", "workspaces": []string{"w1"}})
	tried := 0
	for _, route := range h.handler.table() {
		if !strings.Contains(route.path, "{workspace_id}") {
			continue
		}
		tried++
		path := strings.ReplaceAll(route.path, "{workspace_id}", "w2")
		for _, name := range []string{"{sync_id}", "{operation_id}", "{webhook_id}", "{token_id}"} {
			path = strings.ReplaceAll(path, name, "x")
		}
		for _, mount := range []string{"/api/v1", "/jarvispy/acme/root/api/v1"} {
			c := machine
			c.base = mount
			var body any
			if route.method == http.MethodPost {
				body = object{}
			}
			if r := c.call(route.method, path, body); r.Code != 403 || !strings.Contains(r.Message, "reaches the workspaces w1, not w2") {
				t.Errorf("%s %s: %d %s", route.method, path, r.Code, r.Raw)
			}
		}
	}
	if tried < 25 {
		t.Errorf("only %d calls", tried)
	}
	e := machine.engine()
	for _, warehouse := range []string{"w2", "w2@" + time.Now().UTC().Format(time.RFC3339)} {
		if a := e.call("GET", "/config", "/config?warehouse="+warehouse); a.Code != 404 {
			t.Errorf("the catalog of %s: %d %s", warehouse, a.Code, a.Raw)
		}
		if a := e.call("GET", "/{prefix}/namespaces", "/"+warehouse+"/namespaces"); a.Code != 404 {
			t.Errorf("the namespaces of %s: %d %s", warehouse, a.Code, a.Raw)
		}
	}
	if a := e.call("GET", "/config", "/config?warehouse=w1"); a.Code != 200 {
		t.Errorf("its own: %d %s", a.Code, a.Raw)
	}
	claims, err := h.auth.Verify(machine.token)
	if err != nil {
		t.Fatal(err)
	}
	if got := claims.Subjects(); !slices.Equal(got, []string{"headwater.events.acme.w1.>"}) || claims.Inbox() != "_INBOX.acme._."+claims.TokenID() {
		t.Errorf("on the bus: %v, %s", got, claims.Inbox())
	}
	claims.Role = auth.RoleEditor
	if got := claims.Subjects(); !slices.Equal(got, []string{"headwater.events.acme.w1.root.>", "headwater.events.acme.w1._.>"}) {
		t.Errorf("an editor's on the bus: %v", got)
	}
}

// A revoked token ends on a second node, too, with a stream of events that is open
// there, and at the door of the bus.
func TestRevocationIsHeardEverywhere(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Options.Heartbeat = time.Hour }) // which ends no stream here
	ada := h.ada()
	view, err := projections.Open(projections.Options{Dir: "second", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() { followed <- view.Follow(ctx, h.bus) }()
	defer func() {
		stop()
		if err := errors.Join(<-followed, view.Close()); err != nil {
			t.Error(err)
		}
	}()
	revoked := make(chan string, 1)
	view.OnRevoked(func(id string) { revoked <- id })
	other, err := auth.New(t.Context(), auth.Config{JWKSURL: "http://127.0.0.1:1/", Tokens: paperTokens{view}})
	if err != nil {
		t.Fatal(err)
	}
	doc, machine := ada.made(object{"name": "m"})
	for deadline := time.Now().Add(testLimit); ; time.Sleep(time.Millisecond) {
		if _, err = other.Verify(doc.Token); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil || other.Stands(doc.ID) != nil {
		t.Fatalf("another node, where somebody else signs users' tokens: %v", err)
	}
	limited, end := context.WithTimeout(t.Context(), testLimit)
	defer end()
	request, err := http.NewRequestWithContext(limited, http.MethodGet, h.server.URL+"/api/v1/data/w1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Authorization": {"Bearer " + machine.token}, "Accept": {"text/event-stream"}}
	stream, err := http.DefaultClient.Do(request)
	if err != nil || stream.StatusCode != 200 {
		t.Fatalf("%v %v", stream, err)
	}
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	lines.Scan() // it is open
	if r := ada.call(http.MethodDelete, "/data/w1/tokens/"+doc.ID, nil); r.Code != 200 {
		t.Fatal(r.Raw)
	}
	last := ""
	for lines.Scan() {
		if lines.Text() != "" {
			last = lines.Text()
		}
	}
	if last != ": the token was revoked" {
		t.Errorf("the stream ended with %q, %v", last, lines.Err())
	}
	if id := <-revoked; id != doc.ID {
		t.Errorf("%s was told of", id)
	}
	if _, err := other.Verify(doc.Token); !errors.Is(err, auth.ErrToken) || !errors.Is(other.Stands(doc.ID), auth.ErrToken) {
		t.Errorf("the other node takes it: %v", err)
	}
	if _, err := other.Verify(fmt.Sprint("hwt_", event.Token(doc.ID))); !errors.Is(err, auth.ErrToken) {
		t.Errorf("half a token: %v", err)
	}
}
