package connectors

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

func TestScrub(t *testing.T) {
	const secret = `pä$$ w"o'rd/+&<7`
	s := newScrubber(json.RawMessage(`{"password":` + strconv.Quote(secret) + `,"nested":{"list":["tok-4f2a"],"pin":4711},"short":"ab","on":true}`))
	quoted, _ := json.Marshal(secret)
	basic := base64.StdEncoding.EncodeToString([]byte("user:" + secret))
	for _, leak := range []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), (&url.URL{Scheme: "x", Host: "h", User: url.UserPassword("u", secret)}).String(), string(quoted), strconv.Quote(secret), strconv.QuoteToASCII("u:" + secret + "@h"),
		strings.ReplaceAll(secret, "'", "''"), hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))), base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.URLEncoding.EncodeToString([]byte(secret)), basic, base64.StdEncoding.EncodeToString([]byte("u:" + secret + "!")), base64.StdEncoding.EncodeToString([]byte("ab:" + secret)),
		"tok-4f2a", "pin is 4711.", "(ab)",
	} {
		got := s.scrub("before " + leak + " after")
		if !strings.HasPrefix(got, "before ") || !strings.Contains(got, redacted) || !strings.HasSuffix(got, " after") {
			t.Errorf("scrub(%q) = %q", leak, got)
		}
		// What may stay of a longer base64 text is not enough to guess from.
		if rest := strings.ReplaceAll(got[7:len(got)-6], redacted, ""); strings.Contains(rest, "w\"o'rd") || len(rest) > len("x://u:@h")+4 {
			t.Errorf("scrub(%q) leaves %q", leak, rest)
		}
	}
	if got := s.scrub("a table about cabs"); got != "a table about cabs" {
		t.Errorf("a short secret ate words: %q", got)
	}
	if got := newScrubber(nil).scrub("text"); got != "text" {
		t.Errorf("without secrets: %q", got)
	}
}

func FuzzScrub(f *testing.F) {
	f.Add("hunter2", "user:")
	f.Add(`a"b\c`, "")
	f.Fuzz(func(t *testing.T, secret, prefix string) {
		if len(secret) < shortest || strings.Contains(redacted, secret) || strings.ToValidUTF8(secret, "") != secret {
			return
		}
		raw, _ := json.Marshal(map[string]string{"password": secret})
		got := newScrubber(raw).scrub(prefix + secret + " | " + url.QueryEscape(secret) + " | " + strconv.Quote(secret))
		if strings.Contains(got, secret) {
			t.Fatalf("%q is still in %q", secret, got)
		}
	})
}
