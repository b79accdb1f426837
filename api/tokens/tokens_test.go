package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/bus/kv"
	"headwater/projections"
)

// paperLog has tokens of acme's, and takes events, each of which ends the token.
type paperLog struct {
	tokens []projections.Token
	told   []*event.Event
	broken error
}

func (l *paperLog) Wait(context.Context, uint64) error { return nil }

func (l *paperLog) Token(id string) (projections.Token, error) {
	for _, t := range l.tokens {
		if t.Address.Source == id {
			return t, nil
		}
	}
	return projections.Token{}, projections.ErrNotFound
}

func (l *paperLog) Tokens(_ string, use func(projections.Token) bool) error {
	for _, t := range l.tokens {
		if !use(t) {
			break
		}
	}
	return l.broken
}

func (l *paperLog) LastSequence(context.Context, event.Address) (uint64, error) {
	return uint64(len(l.told)), l.broken
}

func (l *paperLog) Append(_ context.Context, after uint64, e *event.Event) (uint64, error) {
	if after != uint64(len(l.told)) {
		return 0, kv.ErrConflict
	}
	l.told = append(l.told, e)
	now := time.Now()
	for i := range l.tokens {
		l.tokens[i].RevokedAt = &now
	}
	return after + 1, nil
}

func (l *paperLog) calls() *Calls {
	return &Calls{Model: l, Events: l, MinSequenceWait: time.Second, Log: slog.New(slog.DiscardHandler),
		Fingerprint: func(purpose string, parts ...string) []byte {
			return []byte(fmt.Sprintf("%-33s", strings.Join(append([]string{purpose}, parts...), "|"))[:33])
		}}
}

func asked(user, role string) *call.Request {
	return &call.Request{Workspace: "w", HTTP: &http.Request{Header: http.Header{}}, Caller: auth.Claims{Organization: "acme", Username: user, Role: role}}
}

func tokenOf(user, id string) projections.Token {
	return projections.Token{Address: event.Address{Organization: "acme", Workspace: "w", Owner: user, Source: id}, Name: id, ExpiresAt: time.Now().Add(time.Hour)}
}

// status returns a failure's status and message, 0 without one.
func status(t *testing.T, err error) (int, string) {
	t.Helper()
	var f *web.Failure
	if err != nil && !errors.As(err, &f) {
		t.Fatalf("%v is no failure", err)
	}
	if f == nil {
		return 0, ""
	}
	return f.Status, string(f.Answer().Body)
}

func TestWantedToken(t *testing.T) {
	now := time.Now()
	at := func(d time.Duration) *time.Time { at := now.Add(d); return &at }
	for _, c := range []struct {
		name   string
		body   tokenRequest
		role   string // of who asks
		status int
		says   string
		want   event.TokenCreated
	}{
		{"the least", tokenRequest{Name: " bi "}, auth.RoleViewer, 0, "", event.TokenCreated{Name: "bi", Role: "viewer", Workspaces: []string{"w"}, ExpiresAt: now.Add(tokenTime)}},
		{"one's own role", tokenRequest{Name: "bi", Role: "editor"}, auth.RoleEditor, 0, "", event.TokenCreated{Name: "bi", Role: "editor", Workspaces: []string{"w"}, ExpiresAt: now.Add(tokenTime)}},
		{"a higher role", tokenRequest{Name: "bi", Role: "admin"}, auth.RoleEditor, 403, "You are editor", event.TokenCreated{}},
		{"places", tokenRequest{Name: "bi", Workspaces: []string{"b", "a", "b"}}, auth.RoleViewer, 0, "", event.TokenCreated{Name: "bi", Role: "viewer", Workspaces: []string{"a", "b"}, ExpiresAt: now.Add(tokenTime)}},
		{"all places", tokenRequest{Name: "bi", Workspaces: []string{"*", "*"}}, auth.RoleViewer, 0, "", event.TokenCreated{Name: "bi", Role: "viewer", ExpiresAt: now.Add(tokenTime)}},
		{"all and one", tokenRequest{Name: "bi", Workspaces: []string{"a", "*"}}, auth.RoleViewer, 400, `"field":"workspaces"`, event.TokenCreated{}},
		{"no place", tokenRequest{Name: "bi", Workspaces: []string{"a", "b/c"}}, auth.RoleViewer, 400, `"field":"workspaces[1]"`, event.TokenCreated{}},
		{"five years", tokenRequest{Name: "bi", ExpiresAt: at(maxTokenTime)}, auth.RoleViewer, 0, "", event.TokenCreated{Name: "bi", Role: "viewer", Workspaces: []string{"w"}, ExpiresAt: now.Add(maxTokenTime)}},
		{"longer", tokenRequest{Name: "bi", ExpiresAt: at(maxTokenTime + time.Second)}, auth.RoleViewer, 400, `"field":"expires_at"`, event.TokenCreated{}},
		{"over", tokenRequest{Name: "bi", ExpiresAt: at(-time.Second)}, auth.RoleViewer, 400, `"field":"expires_at"`, event.TokenCreated{}},
		{"no name", tokenRequest{Name: " \t", ExpiresAt: at(-time.Second)}, auth.RoleViewer, 400, `"field":"name"`, event.TokenCreated{}},
		{"a line", tokenRequest{Name: "a\nb"}, auth.RoleViewer, 400, `"field":"name"`, event.TokenCreated{}},
		{"DEL", tokenRequest{Name: "a\x7fb"}, auth.RoleViewer, 400, `"field":"name"`, event.TokenCreated{}},
	} {
		made, err := new(paperLog).calls().wantedToken(asked("ada", c.role), c.body, now)
		if got, says := status(t, err); got != c.status || !strings.Contains(says, c.says) {
			t.Errorf("%s: %d %s, want %d %s", c.name, got, says, c.status, c.says)
			continue
		}
		if c.status == 0 && (made.Name != c.want.Name || made.Role != c.want.Role || !slices.Equal(made.Workspaces, c.want.Workspaces) || (made.Workspaces == nil) != (c.want.Workspaces == nil) || !made.ExpiresAt.Equal(c.want.ExpiresAt)) {
			t.Errorf("%s: %+v, want %+v", c.name, made, c.want)
		}
	}
}

// TestTokensOfOneUser: only active ones of the user's own count.
func TestTokensOfOneUser(t *testing.T) {
	l := new(paperLog)
	past := time.Now().Add(-time.Hour)
	for i := range maxTokens - 1 {
		l.tokens = append(l.tokens, tokenOf("ada", fmt.Sprint("tok_", i)))
	}
	revoked, expired := tokenOf("ada", "tok_revoked"), tokenOf("ada", "tok_expired")
	revoked.RevokedAt, expired.ExpiresAt = &past, past
	l.tokens = append(l.tokens, revoked, expired, tokenOf("bob", "tok_bob"))
	want := func(code int) {
		t.Helper()
		_, err := l.calls().wantedToken(asked("ada", auth.RoleViewer), tokenRequest{Name: "bi"}, time.Now())
		if got, says := status(t, err); got != code {
			t.Errorf("%d %s, want %d", got, says, code)
		}
	}
	want(0)
	l.tokens = append(l.tokens, tokenOf("ada", "tok_last"))
	want(409)
}

// TestWhoHandlesTokens: what a caller may not see is answered like what is not there.
func TestWhoHandlesTokens(t *testing.T) {
	machine := asked("ada", auth.RoleAdmin)
	machine.Caller.Token = event.Address{Source: "tok_self"}
	foreign := asked("ada", auth.RoleAdmin)
	foreign.Caller.Organization = "other"
	for _, c := range []struct {
		name string
		r    *call.Request
		sees []string
	}{
		{"the user", asked("ada", auth.RoleViewer), []string{"tok_ada", "tok_self"}},
		{"a colleague", asked("bob", auth.RoleEditor), []string{"tok_bob"}},
		{"an admin", asked("root", auth.RoleAdmin), []string{"tok_ada", "tok_self", "tok_bob"}},
		{"a token, whatever its role", machine, []string{"tok_self"}},
		{"another organization", foreign, nil},
	} {
		for _, id := range []string{"tok_ada", "tok_self", "tok_bob", "tok_none"} {
			l := &paperLog{tokens: []projections.Token{tokenOf("ada", "tok_ada"), tokenOf("ada", "tok_self"), tokenOf("bob", "tok_bob")}}
			c.r.Vars = map[string]string{"token_id": id}
			_, err := l.calls().Revoke(t.Context(), c.r)
			code, says := status(t, err)
			sees := slices.Contains(c.sees, id)
			if code != map[bool]int{true: 0, false: 404}[sees] || len(l.told) != map[bool]int{true: 1, false: 0}[sees] {
				t.Errorf("%s revokes %s: %d %s, %d events", c.name, id, code, says, len(l.told))
			}
			if sees { // again, there is nothing left to tell
				if _, err := l.calls().Revoke(t.Context(), c.r); err != nil || len(l.told) != 1 {
					t.Errorf("%s revokes %s twice: %v, %d events", c.name, id, err, len(l.told))
				}
			}
		}
	}
}

func TestTokenAsShown(t *testing.T) {
	now := time.Now()
	for want, change := range map[string]func(*projections.Token){
		"active": func(*projections.Token) {}, "expired": func(t *projections.Token) { t.ExpiresAt = now },
		"revoked": func(t *projections.Token) { t.RevokedAt, t.ExpiresAt = &now, now },
	} {
		known := tokenOf("ada", "tok_1")
		change(&known)
		if doc := tokenAsShown(known, now); doc.Status != want || !slices.Equal(doc.Workspaces, []string{"*"}) || doc.Token != "" {
			t.Errorf("%s: %+v", want, doc)
		}
	}
}

// TestSecretOfARequest is the same for a retry, and another for anybody else.
func TestSecretOfARequest(t *testing.T) {
	c := new(paperLog).calls()
	first, other := idempotency.Seed{Bytes: []byte("a")}, idempotency.Seed{Bytes: []byte("b")}
	secret := c.tokenSecret(first, "tok_1")
	if len(secret) != 52 || secret != c.tokenSecret(first, "tok_1") || secret == c.tokenSecret(other, "tok_1") || strings.ToLower(secret) != secret {
		t.Errorf("%s, %s", secret, c.tokenSecret(other, "tok_1"))
	}
}

// TestUseIsToldOncePerDay: all nodes tell of one use by one id.
func TestUseIsToldOncePerDay(t *testing.T) {
	l := &paperLog{tokens: []projections.Token{tokenOf("ada", "tok_1")}}
	for range 2 {
		c := l.calls() // another node
		c.Used(auth.APIToken{Address: l.tokens[0].Address})
		c.Wait()
	}
	if len(l.told) != 2 || l.told[0].ID != l.told[1].ID || l.told[0].Data.(*event.TokenUsed).Name != "tok_1" {
		t.Errorf("%+v", l.told)
	}
	c := l.calls()
	c.Used(auth.APIToken{Address: event.Address{Source: "tok_none"}})
	c.Wait()
	if len(l.told) != 2 {
		t.Error("the use of an unknown token is told")
	}
}
