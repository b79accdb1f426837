package event

import (
	"regexp"
	"testing"
)

func FuzzToken(f *testing.F) {
	for _, s := range []string{"", "_", "__", "=", "=5F", "a.b", "*", ">", " ", "\x00", "ünïcode", "Acme-1_x", "$SYS"} {
		f.Add(s)
	}
	plain := regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	legal := regexp.MustCompile(`^[A-Za-z0-9_=-]+$`)
	f.Fuzz(func(t *testing.T, s string) {
		token := Token(s)
		if !legal.MatchString(token) || token == Shared {
			t.Fatalf("Token(%q) = %q is not a safe token", s, token)
		}
		if plain.MatchString(s) && s != Shared && token != s {
			t.Fatalf("Token(%q) = %q changed plain text", s, token)
		}
		back, err := Untoken(token)
		if err != nil || back != s {
			t.Fatalf("Untoken(Token(%q)) = %q, %v", s, back, err)
		}
		// Whatever decodes must be what encodes to it, or two texts share a token.
		if text, err := Untoken(s); err == nil && Token(text) != s {
			t.Fatalf("Untoken(%q) = %q, which encodes to %q", s, text, Token(text))
		}
	})
}

func TestAddressRoundTrip(t *testing.T) {
	for _, a := range []Address{
		{"acme", "w1", "ada", "src_1"},
		{"acme", "w1", "", "src_1"},
		{"a.b", "w>", "_", "src *"},
		{"", "", "", ""},
	} {
		got, name, err := ParseAddress(SubjectPrefix, a.Subject("SyncCompleted"))
		if err != nil || got != a || name != "SyncCompleted" {
			t.Errorf("%+v came back as %+v, %q, %v", a, got, name, err)
		}
		subject := a.Subject("SyncCompleted")
		if !a.Publishes(subject, "SyncCompleted") {
			t.Errorf("%+v does not publish on %s", a, subject)
		}
		for _, other := range []string{"", SubjectPrefix, subject + ".x", subject + "x", subject[:len(subject)-1], "x" + subject, Address{"acme", "w1", "bob", "src_1"}.Subject("SyncCompleted"), a.Subject("SyncFailed")} {
			if a.Publishes(other, "SyncCompleted") {
				t.Errorf("%+v publishes on %q", a, other)
			}
		}
	}
	if _, _, err := ParseAddress(SubjectPrefix, "headwater.events.a.b.c.SyncCompleted"); err == nil {
		t.Error("a subject that lacks a token was read")
	}
}

func TestSharedOwnerIsNoUser(t *testing.T) {
	shared := Address{"acme", "w", "", "s"}
	user := Address{"acme", "w", "_", "s"}
	if shared.Subject("X") == user.Subject("X") {
		t.Error("a user named _ shares subjects with the organization")
	}
}
