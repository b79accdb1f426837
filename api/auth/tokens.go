package auth

import (
	"crypto"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxTokens bounds how many verified tokens are remembered, in two halves.
const maxTokens = 8192

// verified is what was found out about a token whose signature was right.
type verified struct {
	claims Claims
	token  *jwt.Token // names the key; nil where there is only one
	key    any        // that the signature was made with
}

// tokens remembers verified tokens by their hash, so that a client's next
// request costs no signature. It is safe for concurrent use.
type tokens struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]verified // a full half becomes the older one
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

// remember keeps a token that was found valid.
func (a *Authenticator) remember(id [sha256.Size]byte, c Claims, parsed *jwt.Token) {
	v := verified{claims: c}
	if a.key == nil {
		key, err := a.find(parsed)
		if err != nil {
			return
		}
		// Which is enough to find the key again.
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

// stands reports whether a verified token is still valid: it has not expired,
// and the issuer still publishes the key that signed it. Where it is not sure it
// says no, and the token is judged anew.
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
