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

// What an API token looks like: the prefix, by which scanners of secrets and this
// service know it, its id without "tok_", and 256 bits that nobody can guess.
const (
	APITokenPrefix = "hwt_"
	tokenIDPrefix  = "tok_"
	idLength       = 26
	secretLength   = 52
)

// APIToken is a token that was made for a machine, as the log tells of it.
type APIToken struct {
	Address    event.Address // of its history: the owner is its bearer, the source its id
	Role       string
	Workspaces []string // that it reaches, nil for all
	Hash       string   // HashOf the token
	Expires    time.Time
	Revoked    bool
	Used       time.Time // to a day, zero for never
}

// APITokens finds API tokens. Its error wraps ErrNoToken for an unknown id.
type APITokens interface {
	APIToken(id string) (APIToken, error)
}

// NewAPIToken returns the text of the API token with that id, such as
// tok_7k3b6r8t9v1c0d2ef4hq5w2mzx, of 52 random letters and digits.
func NewAPIToken(id, secret string) string {
	return APITokenPrefix + strings.TrimPrefix(id, tokenIDPrefix) + "_" + secret
}

// HashOf returns what recognizes a token and does not tell it: nobody guesses 256
// random bits, so that it needs neither salt nor a slow hash.
func HashOf(token string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(token))) }

// Reaches reports whether the bearer may do anything in a workspace.
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

// TokenID returns the id of the API token, "" for a token of another kind, which
// nobody here can revoke.
func (c Claims) TokenID() string { return c.Token.Source }

// verifyAPIToken returns what an API token says. Only who has the token is told
// why it is refused.
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

// useEvery is how often a use of a token is told of.
const useEvery = 24 * time.Hour

// maxUses bounds how many tokens are remembered as told of lately.
const maxUses = 10_000

// uses tells of uses that nobody was told of for a day.
type uses struct {
	mu     sync.Mutex
	told   func(APIToken)
	lately map[string]time.Time // when told was called, by id
}

// OnUse has told called with an API token whose last use is not known or a day or
// longer ago, at most once an hour for each. told must not block.
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
