package s3

import (
	"crypto/hmac"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"headwater/bus/event"
)

// Keys are had without a store: the session token says what they open and until
// when, and is signed; access key and secret follow from it. So every node knows
// those that another gave out.

// How long keys live: at least keyLife less one keyStep. Those of one step are the
// same, so that a client which asks again has nothing new to learn.
const (
	keyLife = time.Hour
	keyStep = 15 * time.Minute
)

// claims is the content of a session token.
type claims struct {
	Organization string `json:"o"`
	Workspace    string `json:"w"`
	Owner        string `json:"u,omitempty"`
	Source       string `json:"s"`
	Folder       string `json:"f"` // the table's folder, as a key without trailing slash
	Username     string `json:"n"`
	TokenID      string `json:"t,omitempty"`
	Expires      int64  `json:"e"` // Unix seconds
}

func (c claims) holder() Holder {
	return Holder{
		Address:  event.Address{Organization: c.Organization, Workspace: c.Workspace, Owner: c.Owner, Source: c.Source},
		Username: c.Username, TokenID: c.TokenID,
	}
}

// opens reports whether the keys open an object.
func (c claims) opens(key string) bool { return strings.HasPrefix(key, c.Folder+"/") }

// credentials are what a client signs requests with.
type credentials struct{ access, secret, session string }

// Purposes of the MACs, so that none is mistaken for another.
const (
	ofSession = "headwater/s3/session/1\x00"
	ofSecret  = "headwater/s3/secret/1\x00"
	ofAccess  = "headwater/s3/access/1\x00"
)

func (s *Server) mac(of, text string) []byte { return s.MAC([]byte(of + text)) }

// expiry returns when keys end that are issued now for a token that expires at
// that time.
func (s *Server) expiry(token time.Time) time.Time {
	at := s.Now().Truncate(keyStep).Add(keyLife)
	if !token.IsZero() && token.Before(at) {
		return token.Truncate(time.Second)
	}
	return at
}

// issue returns the credentials for claims.
func (s *Server) issue(c claims) (credentials, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return credentials{}, err
	}
	text := base64.RawURLEncoding.EncodeToString(payload)
	return s.derived(text + "." + base64.RawURLEncoding.EncodeToString(s.mac(ofSession, text)[:16])), nil
}

// derived returns the credentials that belong to a session token.
func (s *Server) derived(session string) credentials {
	return credentials{
		access:  "HW" + base32.StdEncoding.EncodeToString(s.mac(ofAccess, session)[:10]),
		secret:  base64.RawURLEncoding.EncodeToString(s.mac(ofSecret, session)),
		session: session,
	}
}

// maxSession is the length of the longest session token, in bytes.
const maxSession = 16 << 10

var errSession = errors.New("not a session token of this service")

// read returns the claims of a session token, or errSession if this service did
// not issue it.
func (s *Server) read(session string) (c claims, err error) {
	text, signature, ok := strings.Cut(session, ".")
	if !ok || len(session) > maxSession {
		return c, errSession
	}
	given, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil || !hmac.Equal(given, s.mac(ofSession, text)[:16]) {
		return c, errSession
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err == nil {
		err = json.Unmarshal(payload, &c)
	}
	if err != nil || c.Folder == "" {
		return claims{}, errSession
	}
	return c, nil
}

// authenticate returns the claims of the keys that signed a request. Its error
// is a *failure.
func (s *Server) authenticate(r *http.Request, query map[string][]string) (claims, error) {
	sig, err := readSignature(r, query)
	if err != nil {
		return claims{}, err
	}
	if sig.session == "" {
		return claims{}, denied("The lake's keys are given out by the catalog for a table and come with a session token: send it as X-Amz-Security-Token")
	}
	c, err := s.read(sig.session)
	if err != nil {
		return c, fail(http.StatusBadRequest, "InvalidToken", "The session token is none of this service; ask the catalog for the table again")
	}
	now := s.Now()
	if now.Unix() >= c.Expires {
		return c, fail(http.StatusBadRequest, "ExpiredToken", "The keys have expired; ask the catalog for the table again")
	}
	keys := s.derived(sig.session)
	if !hmac.Equal([]byte(sig.access), []byte(keys.access)) {
		return c, fail(http.StatusForbidden, "InvalidAccessKeyId", "The access key is not that of the session token")
	}
	if err := sig.timely(now); err != nil {
		return c, err
	}
	if !sig.fits(r, query, keys.secret) {
		return c, fail(http.StatusForbidden, "SignatureDoesNotMatch", "The request's signature is not that of the keys: is its Host or path changed on the way?")
	}
	if err := s.Stands(r.Context(), c.holder()); err != nil {
		return c, err
	}
	return c, nil
}

// Withdrawn returns the error with which Deps.Stands refuses keys that may no
// longer be used. why is shown to the client.
func Withdrawn(why string) error { return denied(why) }
