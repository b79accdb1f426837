package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func goodClaims() jwt.MapClaims {
	return jwt.MapClaims{"organization": "acme", "username": "ada", "role": "editor", "exp": time.Now().Add(time.Hour).Unix()}
}

func with(claims jwt.MapClaims, key string, value any) jwt.MapClaims {
	if value == nil {
		delete(claims, key)
	} else {
		claims[key] = value
	}
	return claims
}

func signed(t *testing.T, method jwt.SigningMethod, key any, claims jwt.Claims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = "k1"
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestVerify(t *testing.T) {
	key := bytes.Repeat([]byte("s"), minKey)
	auth, err := New(t.Context(), Config{Key: key, Issuer: "us", Audience: "headwater"})
	if err != nil {
		t.Fatal(err)
	}
	good := func() jwt.MapClaims { return with(with(goodClaims(), "iss", "us"), "aud", "headwater") }
	hs := func(claims jwt.MapClaims) string { return signed(t, jwt.SigningMethodHS256, key, claims) }
	none := signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good())
	parts := strings.Split(hs(good()), ".")
	for _, test := range []struct{ name, token, why string }{
		{"good", hs(good()), ""},
		{"subject instead of username", hs(with(with(good(), "username", nil), "sub", "ada")), ""},
		{"no expiry", hs(with(good(), "exp", nil)), "missing"},
		{"expired", hs(with(good(), "exp", time.Now().Add(-time.Second).Unix())), "expired"},
		{"not yet", hs(with(good(), "nbf", time.Now().Add(time.Hour).Unix())), "not valid yet"},
		{"other issuer", hs(with(good(), "iss", "them")), "issuer"},
		{"no issuer", hs(with(good(), "iss", nil)), "missing"},
		{"other audience", hs(with(good(), "aud", "others")), "audience"},
		{"no organization", hs(with(good(), "organization", nil)), "organization"},
		{"no user", hs(with(good(), "username", nil)), "username"},
		{"control character", hs(with(good(), "username", "a\x00")), "username"},
		{"long name", hs(with(good(), "username", strings.Repeat("a", 201))), "username"},
		{"other role", hs(with(good(), "role", "root")), "role"},
		{"alg none", none, "signature"},
		{"signature cut off", parts[0] + "." + parts[1] + ".", "signature"},
		{"other key", signed(t, jwt.SigningMethodHS256, bytes.Repeat([]byte("x"), minKey), good()), "signature"},
		{"other length", signed(t, jwt.SigningMethodHS512, key, good()), "signature"},
		{"no token", "not.a.token", "not a JSON Web Token"},
		{"dots", strings.Repeat(".", 10_000), "not a JSON Web Token"},
		{"too long", strings.Repeat("a", maxToken+1), "too long"},
	} {
		c, err := auth.Verify(test.token)
		if test.why == "" {
			if err != nil || c.Organization != "acme" || c.Username != "ada" || c.Role != "editor" || c.Expires.IsZero() {
				t.Errorf("%s: %+v, %v", test.name, c, err)
			}
			continue
		}
		if !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), test.why) || !reflect.DeepEqual(c, Claims{}) {
			t.Errorf("%s: %+v, %v; want an error with %q", test.name, c, err, test.why)
		}
	}
	// Claims count by their exact names, and once.
	for claims, want := range map[string]Claims{
		`"role":"viewer","ROLE":"admin","Organization":"evil","userName":"eve","EXP":9999999999`: {Organization: "acme", Username: "ada", Role: RoleViewer},
		`"ROLE":"admin"`:                                 {Organization: "acme", Username: "ada", Role: RoleViewer},
		`"role":"viewer","role":"admin"`:                 {},
		`"role":"viewer","\u0072ole":"admin"`:            {},
		`"organization":"evil"`:                          {},
		`"role":"viewer","ſub":"eve","roſe":"x","aUd":1`: {Organization: "acme", Username: "ada", Role: RoleViewer},
	} {
		ends := time.Now().Add(time.Hour).Unix()
		body := fmt.Sprintf(`{"organization":"acme","username":"ada","iss":"us","aud":"headwater","exp":%d,%s}`, ends, claims)
		text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(body))
		signature, err := jwt.SigningMethodHS256.Sign(text, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := auth.Verify(text + "." + base64.RawURLEncoding.EncodeToString(signature))
		if err == nil && c.Expires.Unix() == ends {
			c.Expires = time.Time{}
		}
		if !reflect.DeepEqual(c, want) || (err == nil) != (want.Role != "") {
			t.Errorf("%s: %+v, %v", claims, c, err)
		}
	}
	if c, err := auth.Verify(hs(with(good(), "role", nil))); err != nil || c.Role != RoleViewer {
		t.Errorf("a token without a role: %+v, %v", c, err)
	}
}

func TestIssue(t *testing.T) {
	auth, err := New(t.Context(), Config{Key: bytes.Repeat([]byte("k"), minKey), Issuer: "us", Audience: "it"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := auth.Issue(Claims{Organization: "a.b", Username: "_", Role: RoleAdmin}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c, err := auth.Verify(token)
	if err != nil || c.Username != "_" || time.Until(c.Expires) > time.Minute {
		t.Errorf("issued %+v, %v", c, err)
	}
	for _, bad := range []Claims{{Username: "a", Role: RoleViewer}, {Organization: "o", Role: RoleViewer}, {Organization: "o", Username: "a", Role: "boss"}} {
		if _, err := auth.Issue(bad, time.Minute); err == nil {
			t.Errorf("issued %+v", bad)
		}
	}
	if _, err := auth.Issue(c, 0); err == nil {
		t.Error("issued a token that has expired")
	}
	for _, bad := range []Config{{}, {Key: []byte("short")}, {Key: bytes.Repeat([]byte("k"), 32), JWKSURL: "http://x"}} {
		if _, err := New(t.Context(), bad); err == nil {
			t.Errorf("auth of %+v", bad)
		}
	}
}

func TestGrant(t *testing.T) {
	auth, err := New(t.Context(), Config{Key: bytes.Repeat([]byte("k"), minKey)})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		claims Claims
		want   []string
	}{
		{Claims{Organization: "acme", Username: "ada", Role: RoleViewer}, []string{"headwater.events.acme.*.ada.>", "headwater.events.acme.*._.>"}},
		{Claims{Organization: "a.>", Username: "*", Role: RoleEditor}, []string{"headwater.events.a=2E=3E.*.=2A.>", "headwater.events.a=2E=3E.*._.>"}},
		{Claims{Organization: "acme", Username: "_", Role: RoleEditor}, []string{"headwater.events.acme.*.=5F.>", "headwater.events.acme.*._.>"}},
		{Claims{Organization: "acme", Username: "root", Role: RoleAdmin}, []string{"headwater.events.acme.>"}},
	} {
		token, err := auth.Issue(test.claims, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		got, expires, err := auth.Grant(token)
		if err != nil || !slices.Equal(got, test.want) || expires.Before(time.Now()) {
			t.Errorf("%+v: %v, %v, %v; want %v", test.claims, got, expires, err, test.want)
		}
	}
	if got, _, err := auth.Grant("x.y.z"); err == nil || got != nil {
		t.Errorf("a bad token may read %v", got)
	}
}

// TestJWKS holds that only asymmetric signatures of the published keys count;
// above all that a public key is no HMAC secret.
// critical signs a token that says that it depends on an extension.
func critical(t *testing.T, method jwt.SigningMethod, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, goodClaims())
	token.Header["kid"], token.Header["crit"] = "k1", []string{"exp"}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestJWKS(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	n, e := rsaKey.N.Bytes(), big.NewInt(int64(rsaKey.E)).Bytes()
	point, err := ecKey.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(map[string]any{"keys": []map[string]any{
		{"kty": "RSA", "kid": "k1", "alg": "RS256", "use": "sig", "n": b64(n), "e": b64(e)},
		{"kty": "EC", "kid": "k2", "alg": "ES256", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])},
		{"kty": "RSA", "kid": "enc", "use": "enc", "n": b64(n), "e": "AQAB"}, {"kty": "RSA", "kid": "sig", "use": "sig", "n": b64(n), "e": "AQAB"},
		{"kty": "RSA", "kid": "wrap", "key_ops": []string{"wrapKey"}, "n": b64(n), "e": "AQAB"}, {"kty": "RSA", "kid": "short", "n": b64(short.N.Bytes()), "e": "AQAB"},
		{"kty": "EC", "kid": "odd", "crv": "P-256", "x": "AAAA", "y": "AAAA"}, {"kty": "RSA", "kid": "odd", "n": "!", "e": "AQAB"}, {"kty": "new"}, {"kty": "RSA", "kid": 7},
		{"kty": "oct", "kid": "shared", "k": b64(n)}, {"kty": "RSA", "kid": "odd use", "use": "tls", "n": b64(n), "e": "AQAB"},
		{"kty": "OKP", "kid": "k3", "alg": "EdDSA", "crv": "Ed25519", "x": b64(edKey.Public().(ed25519.PublicKey))},
	}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(keys) }))
	t.Cleanup(server.Close)
	auth, err := New(t.Context(), Config{JWKSURL: server.URL, Client: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	kid := func(id string, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
		token := jwt.NewWithClaims(method, claims)
		token.Header["kid"] = id
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	unnamed := func(method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, test := range []struct {
		name, token string
		ok          bool
	}{
		{"RS256", kid("k1", jwt.SigningMethodRS256, rsaKey, goodClaims()), true},
		{"ES256", kid("k2", jwt.SigningMethodES256, ecKey, goodClaims()), true},
		{"EdDSA", kid("k3", jwt.SigningMethodEdDSA, edKey, goodClaims()), true},
		{"use: sig", kid("sig", jwt.SigningMethodRS256, rsaKey, goodClaims()), true},
		{"use: enc", kid("enc", jwt.SigningMethodRS256, rsaKey, goodClaims()), false},
		{"key_ops without verify", kid("wrap", jwt.SigningMethodRS256, rsaKey, goodClaims()), false},
		{"1,024 bits", kid("short", jwt.SigningMethodRS256, short, goodClaims()), false},
		{"1,024 bits, no kid", unnamed(jwt.SigningMethodRS256, short, goodClaims()), false},
		{"no kid", unnamed(jwt.SigningMethodRS256, rsaKey, goodClaims()), true},
		{"public key as a secret", kid("k1", jwt.SigningMethodHS256, public, goodClaims()), false},
		{"modulus as a secret", kid("k1", jwt.SigningMethodHS256, n, goodClaims()), false},
		{"key of another kid", kid("k2", jwt.SigningMethodRS256, rsaKey, goodClaims()), false},
		{"unknown kid", kid("../k1", jwt.SigningMethodRS256, rsaKey, goodClaims()), false},
		{"other signer", kid("k1", jwt.SigningMethodRS256, other, goodClaims()), false},
		{"a secret of the set", kid("shared", jwt.SigningMethodHS256, n, goodClaims()), false},
		{"critical extensions", critical(t, jwt.SigningMethodRS256, rsaKey), false},
		{"none", kid("k1", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, goodClaims()), false},
		{"no expiry", kid("k1", jwt.SigningMethodRS256, rsaKey, with(goodClaims(), "exp", nil)), false},
		{"expired", kid("k1", jwt.SigningMethodRS256, rsaKey, with(goodClaims(), "exp", time.Now().Add(-time.Minute).Unix())), false},
	} {
		if _, err := auth.Verify(test.token); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, err := auth.Issue(Claims{Organization: "o", Username: "u", Role: RoleViewer}, time.Hour); err == nil {
		t.Error("issued a token without a key")
	}
}

func TestLoadOrCreateKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "jwt.key")
	var made [8][]byte
	var all sync.WaitGroup
	for i := range made {
		all.Go(func() {
			key, err := LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			made[i] = key
		})
	}
	all.Wait()
	for _, key := range made {
		if !bytes.Equal(key, made[0]) || len(key) < minKey {
			t.Errorf("made %d bytes, another than the first", len(key))
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".key-*")); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateKey(short); err == nil {
		t.Error("a short key was taken")
	}
}

// A JWKS that is too large, or has too many keys, is not taken; nor is anything
// of it held.
func TestJWKSIsBounded(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	one := map[string]any{"kty": "EC", "kid": "k1", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	many := make([]map[string]any, maxJWKSKeys+1)
	for i := range many {
		many[i] = map[string]any{"kty": "EC", "kid": "k1", "crv": "P-256", "x": one["x"], "y": one["y"]}
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, goodClaims())
	token.Header["kid"] = "k1"
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		document map[string]any
		ok       bool
	}{
		"one key":       {map[string]any{"keys": []map[string]any{one}}, true},
		"too many keys": {map[string]any{"keys": many}, false},
		"too large":     {map[string]any{"keys": []map[string]any{one}, "more": strings.Repeat("x", maxJWKS)}, false},
		"no set":        {map[string]any{"keys": "none"}, false},
	} {
		body, err := json.Marshal(test.document)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
		auth, err := New(t.Context(), Config{JWKSURL: server.URL, Client: server.Client()})
		if err == nil {
			_, err = auth.Verify(text)
		}
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
}
