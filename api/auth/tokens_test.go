package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A token that was verified before is judged anew when the issuer's keys change
// or it expires.
func TestRememberedTokens(t *testing.T) {
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	published := map[string]*ecdsa.PrivateKey{"k1": keys[0]}
	a := &Authenticator{parser: jwt.NewParser(jwt.WithExpirationRequired(), jwt.WithLeeway(skew), jwt.WithValidMethods([]string{"ES256"}))}
	a.find = func(token *jwt.Token) (any, error) {
		id, _ := token.Header["kid"].(string)
		if published[id] == nil {
			return nil, errors.New("no such key")
		}
		return &published[id].PublicKey, nil
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, goodClaims())
	token.Header["kid"] = "k1"
	text, err := token.SignedString(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	first, err := a.Verify(text)
	if err != nil {
		t.Fatal(err)
	}
	seen, ok := a.known.get(sha256.Sum256([]byte(text)))
	if !ok || !a.stands(seen) {
		t.Fatal("a verified token is not remembered")
	}
	if again, err := a.Verify(text); err != nil || !reflect.DeepEqual(again, first) {
		t.Errorf("remembered as %+v, %v, want %+v", again, err, first)
	}
	published["k1"] = keys[1]
	if _, err := a.Verify(text); !errors.Is(err, ErrToken) {
		t.Errorf("the key was replaced: %v", err)
	}
	delete(published, "k1")
	if _, err := a.Verify(text); !errors.Is(err, ErrToken) {
		t.Errorf("the key was withdrawn: %v", err)
	}
	published["k1"] = keys[0]
	if _, err := a.Verify(text); err != nil {
		t.Errorf("the key is back: %v", err)
	}
	seen.claims.Expires = time.Now().Add(-time.Second)
	if a.stands(seen) {
		t.Error("an expired token stands")
	}
	last := len(text) - 5
	if _, err := a.Verify(text[:last] + string(text[last]^1) + text[last+1:]); !errors.Is(err, ErrToken) {
		t.Errorf("another signature: %v", err)
	}
}

func TestRememberedTokensAreBounded(t *testing.T) {
	var all tokens
	for i := range 3 * maxTokens {
		var id [sha256.Size]byte
		binary.BigEndian.PutUint64(id[:], uint64(i))
		all.put(id, verified{})
		all.get([sha256.Size]byte{})
	}
	if n := len(all.young) + len(all.old); n > maxTokens {
		t.Errorf("%d tokens are remembered", n)
	}
	if _, found := all.get([sha256.Size]byte{}); !found {
		t.Error("a token that comes all the time is forgotten")
	}
}
