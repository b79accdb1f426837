package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"headwater/bus/event"
)

// The form of an API token: a prefix by which this service and secret scanners
// recognize it, its id without "tok_", and a secret of 256 bits.
const (
	APITokenPrefix = "hwt_"
	tokenIDPrefix  = "tok_"
	idLength       = 26
	secretLength   = 52
)

// APIToken is a token for a machine, as the log records it.
type APIToken struct {
	Address    event.Address // of its history; the owner is the bearer, the source is the token's id
	Role       string
	Workspaces []string // the token may be used in these; nil for all
	Hash       string   // HashOf the token's text
	Expires    time.Time
	Revoked    bool
	Used       time.Time // when it was last used, to the day; zero for never
}

// APITokens looks up API tokens. For an unknown id its error wraps ErrNoToken.
// It is called concurrently.
type APITokens interface {
	// APIToken returns the token with that id.
	APIToken(id string) (APIToken, error)
}

// NewAPIToken returns the text of the API token with that id, such as
// tok_7k3b6r8t9v1c0d2ef4hq5w2mzx, and a secret of 52 random letters and digits.
func NewAPIToken(id, secret string) string {
	return APITokenPrefix + strings.TrimPrefix(id, tokenIDPrefix) + "_" + secret
}

// HashOf returns the SHA-256 of a token in hexadecimal, by which the token is
// recognized without being stored. A secret of 256 random bits cannot be
// guessed, so neither salt nor a slow hash is needed.
func HashOf(token string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(token))) }

// Reaches reports whether the token may be used in a workspace.
func (c Claims) Reaches(workspace string) bool {
	if c.Workspaces == nil {
		return true
	}
	for _, w := range c.Workspaces {
		if w == workspace {
			return true
		}
	}
	return false
}

// TokenID returns the id of the API token, or "" for a JSON Web Token, which
// cannot be revoked here.
func (c Claims) TokenID() string { return c.Token.Source }

// verifyAPIToken returns the claims of an API token. The reason for a refusal is
// given only to somebody who has the whole token.
func (a *Authenticator) verifyAPIToken(token string) (Claims, error) {
	id, secret, _ := strings.Cut(strings.TrimPrefix(token, APITokenPrefix), "_")
	if len(id) != idLength || len(secret) != secretLength || a.config.Tokens == nil {
		return Claims{}, refuse(whyUnknown)
	}
	t, err := a.config.Tokens.APIToken(tokenIDPrefix + id)
	if err != nil && !errors.Is(err, ErrNoToken) {
		return Claims{}, refuseFor(ErrLookup)
	}
	if err != nil || subtle.ConstantTimeCompare([]byte(t.Hash), []byte(HashOf(token))) != 1 {
		return Claims{}, refuse(whyUnknown)
	}
	if err := t.stands(); err != nil {
		return Claims{}, err
	}
	c := Claims{Organization: t.Address.Organization, Username: t.Address.Owner, Role: t.Role, Expires: t.Expires, Workspaces: t.Workspaces, Token: t.Address}
	if err := c.check(); err != nil {
		return Claims{}, refuseFor(err)
	}
	a.uses.note(t)
	return c, nil
}

func (t APIToken) stands() error {
	switch {
	case t.Revoked:
		return refuse(whyRevoked)
	case !time.Now().Before(t.Expires):
		return &Refusal{Why: whyAPIExpired, Expired: true}
	}
	return nil
}

// Stands returns nil while the API token with that id is valid, else a *Refusal.
// It is for holders of something derived from the token, such as keys to files.
func (a *Authenticator) Stands(id string) error {
	if a.config.Tokens == nil {
		return refuse(whyUnknown)
	}
	t, err := a.config.Tokens.APIToken(id)
	if errors.Is(err, ErrNoToken) {
		return refuse(whyUnknown)
	}
	if err != nil {
		return refuseFor(ErrLookup)
	}
	return t.stands()
}

// useEvery is how often the use of a token is reported.
const useEvery = 24 * time.Hour

// maxUses is how many tokens are remembered as reported lately.
const maxUses = 10_000

// uses reports each API token's first use in useEvery.
type uses struct {
	mu     sync.Mutex
	told   func(APIToken)
	lately map[string]time.Time // by id: when told was last called
}

// OnUse registers a function to call when an API token is used whose last
// recorded use is a day or longer ago. It is called at most once an hour for
// each token, during Verify, and must not block.
func (a *Authenticator) OnUse(told func(APIToken)) {
	a.uses.mu.Lock()
	defer a.uses.mu.Unlock()
	a.uses.told = told
}

func (u *uses) note(t APIToken) {
	now := time.Now()
	if now.Sub(t.Used) < useEvery {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.told == nil || now.Sub(u.lately[t.Address.Source]) < time.Hour {
		return
	}
	if u.lately == nil || len(u.lately) >= maxUses {
		u.lately = map[string]time.Time{}
	}
	u.lately[t.Address.Source] = now
	u.told(t)
}
