package auth

import (
	"crypto"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxTokens is how many verified tokens are cached, in two halves.
const maxTokens = 8192

// verified is the result of a token whose signature was valid.
type verified struct {
	claims Claims
	token  *jwt.Token // names the key; nil if there is only one
	key    any        // with which the signature was verified
}

// tokens caches verified tokens by their hash, so that the next request with one
// needs no signature check. It is safe for concurrent use.
type tokens struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]verified // when young is full it becomes old, and the previous old is dropped
}

func (t *tokens) get(id [sha256.Size]byte) (v verified, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v, found = t.young[id]; found {
		return v, true
	}
	if v, found = t.old[id]; found {
		delete(t.old, id)
		t.keep(id, v)
	}
	return v, found
}

func (t *tokens) put(id [sha256.Size]byte, v verified) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keep(id, v)
}

func (t *tokens) keep(id [sha256.Size]byte, v verified) {
	if t.young == nil || len(t.young) >= maxTokens/2 {
		t.young, t.old = map[[sha256.Size]byte]verified{}, t.young
	}
	t.young[id] = v
}

// remember caches a token that was found valid.
func (a *Authenticator) remember(id [sha256.Size]byte, c Claims, parsed *jwt.Token) {
	v := verified{claims: c}
	if a.key == nil {
		key, err := a.find(parsed)
		if err != nil {
			return
		}
		// The header's fields suffice to find the key again.
		named := map[string]any{}
		for _, name := range []string{"alg", "kid"} {
			if value, ok := parsed.Header[name]; ok {
				named[name] = value
			}
		}
		v.token, v.key = &jwt.Token{Header: named, Method: parsed.Method}, key
	}
	a.known.put(id, v)
}

// stands reports whether a cached token is still valid: it has not expired, and
// the issuer still publishes the key that signed it. If that is uncertain it
// returns false, and the token is verified again.
func (a *Authenticator) stands(v verified) bool {
	if !time.Now().Before(v.claims.Expires) {
		return false
	}
	if a.key != nil {
		return true
	}
	key, err := a.find(v.token)
	if err != nil {
		return false
	}
	public, ok := key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(v.key)
}
