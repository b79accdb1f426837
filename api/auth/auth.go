// Package auth verifies tokens and says who calls. A token is a JSON Web Token
// (RFC 7519), whose claims name an organization, a user and a role, or an API
// token, for which the log has these three and the workspaces in which it may be
// used. What a caller may see follows from these. JSON Web Tokens are signed
// either by this service (HS256) or by another issuer that publishes its public
// keys as a JSON Web Key Set (RFC 7517).
package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

const (
	maxToken = 16 << 10 // bytes
	minKey   = 32       // bytes of an HS256 key
	skew     = 30 * time.Second
)

// Config says who signs tokens: exactly one of Key and JWKSURL is set.
type Config struct {
	Key      []byte       // HS256, at least 32 bytes
	JWKSURL  string       // URL of the public keys; for RSA, ECDSA or Ed25519 signatures
	Issuer   string       // required iss; "" accepts any
	Audience string       // required aud; "" accepts any
	Client   *http.Client // fetches the JWKS; nil for a client with a time limit of 10 s
	Log      *slog.Logger // reports failed refreshes of the JWKS; nil discards
	Tokens   APITokens    // looks up API tokens, whoever signs the others; nil accepts none
}

// Authenticator verifies tokens, and issues them if it has the key. It is safe
// for concurrent use.
type Authenticator struct {
	key    []byte // nil with a JWKS
	find   jwt.Keyfunc
	parser *jwt.Parser
	config Config
	known  tokens
	uses   uses
}

// New returns an Authenticator. With a JWKS URL it fetches the keys now, and
// refreshes them until ctx is done; failed fetches are logged and repeated. It
// fails if the Config has both a key and a URL or neither, or if the key is too
// short.
func New(ctx context.Context, c Config) (*Authenticator, error) {
	if (len(c.Key) == 0) == (c.JWKSURL == "") {
		return nil, errors.New("auth: tokens need exactly one of a key and a JWKS URL")
	}
	a := &Authenticator{config: c}
	options := []jwt.ParserOption{jwt.WithExpirationRequired(), jwt.WithStrictDecoding()}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if c.Audience != "" {
		options = append(options, jwt.WithAudience(c.Audience))
	}
	if c.JWKSURL == "" {
		if len(c.Key) < minKey {
			return nil, fmt.Errorf("auth: the HS256 key has %d bytes, it needs at least %d", len(c.Key), minKey)
		}
		a.key = slices.Clone(c.Key)
		a.find = func(*jwt.Token) (any, error) { return a.key, nil }
		options = append(options, jwt.WithValidMethods([]string{"HS256"}))
	} else {
		keys, err := followJWKS(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("auth: %w", err)
		}
		a.find = signers{ctx, keys.Storage()}.find
		// Symmetric methods are excluded: otherwise a public key could serve as
		// an HMAC secret.
		options = append(options, jwt.WithLeeway(skew), jwt.WithValidMethods([]string{
			"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}))
	}
	a.parser = jwt.NewParser(options...)
	return a, nil
}

func followJWKS(ctx context.Context, c Config) (keyfunc.Keyfunc, error) {
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	client := *c.Client
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	client.Transport = jwksTransport{client.Transport, c.Log}
	c.Client = &client
	return keyfunc.NewDefaultOverrideCtx(ctx, []string{c.JWKSURL}, keyfunc.Override{
		Client: c.Client, HTTPTimeout: 10 * time.Second, RateLimitWaitMax: time.Second,
		RefreshErrorHandlerFunc: func(u string) func(context.Context, error) {
			return func(_ context.Context, err error) {
				c.Log.Error("cannot refresh the token keys", "url", u, "error", err)
			}
		},
	})
}

// Verify returns the claims of a valid token; for any other token it returns a
// *Refusal. Without a username the subject (sub) counts as the user, and
// without a role the user is a viewer.
func (a *Authenticator) Verify(token string) (Claims, error) {
	if token == "" || len(token) > maxToken {
		return Claims{}, refuse("it is empty or too long")
	}
	if strings.HasPrefix(token, APITokenPrefix) { // no JSON Web Token begins with this prefix
		return a.verifyAPIToken(token)
	}
	id := sha256.Sum256([]byte(token))
	if seen, ok := a.known.get(id); ok && a.stands(seen) {
		return seen.claims, nil
	}
	var t tokenClaims
	parsed, err := a.parser.ParseWithClaims(token, &t, a.find)
	if err != nil {
		return Claims{}, invalid(err)
	}
	// Such a token must be refused by readers that do not know the extension
	// (RFC 7515, section 4.1.11). The library ignores the header.
	if _, critical := parsed.Header["crit"]; critical {
		return Claims{}, refuse("it depends on extensions (crit), of which this service knows none")
	}
	c := Claims{Organization: t.Organization, Username: t.Username, Role: t.Role, Expires: t.ExpiresAt.Time}
	if c.Username == "" {
		c.Username = t.Subject
	}
	if c.Role == "" {
		c.Role = RoleViewer
	}
	if err := c.check(); err != nil {
		return Claims{}, refuseFor(err)
	}
	a.remember(id, c, parsed)
	return c, nil
}

// invalid translates an error of the JWT library into a refusal whose reason
// holds not a byte of the token.
func invalid(err error) *Refusal {
	for _, known := range []struct {
		err  error
		text string
	}{
		{jwt.ErrTokenExpired, whyExpired},
		{jwt.ErrTokenNotValidYet, "it is not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, "it was issued in the future"},
		{jwt.ErrTokenInvalidIssuer, "another issuer signed it"},
		{jwt.ErrTokenInvalidAudience, "it is for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, "a required claim (exp, iss or aud) is missing"},
		{jwt.ErrTokenMalformed, "it is not a JSON Web Token"},
		{errUnfitKey, "its signing key is not one for signatures by that algorithm, or an RSA key of less than 2,048 bits"},
		{jwt.ErrTokenUnverifiable, "its signing key is not known"},
	} {
		if errors.Is(err, known.err) {
			return &Refusal{Why: known.text, Expired: known.err == jwt.ErrTokenExpired}
		}
	}
	return refuse("its signature is wrong")
}

// Issue returns a signed token for the claims, which expires after ttl. It fails
// if ttl is not positive, if a claim is invalid, or if another issuer signs the
// tokens.
func (a *Authenticator) Issue(c Claims, ttl time.Duration) (string, error) {
	if a.key == nil {
		return "", errors.New("issue a token: tokens are signed by the owner of the JWKS, ask there")
	}
	if err := c.check(); err != nil {
		return "", fmt.Errorf("issue a token: %w", err)
	}
	if ttl <= 0 {
		return "", errors.New("issue a token: it must expire later than now")
	}
	now := time.Now()
	t := tokenClaims{Organization: c.Organization, Username: c.Username, Role: c.Role, RegisteredClaims: jwt.RegisteredClaims{
		Subject: c.Username, Issuer: a.config.Issuer, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}}
	if a.config.Audience != "" {
		t.Audience = jwt.ClaimStrings{a.config.Audience}
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, t).SignedString(a.key)
	if err != nil {
		return "", fmt.Errorf("issue a token: %w", err)
	}
	return signed, nil
}

// Grant returns the filters of the event subjects that a token may read on the
// bus, and when it expires: the user's own and the organization's sources, all
// of the organization for an admin. Its error is a *Refusal.
func (a *Authenticator) Grant(token string) (subjects []string, expires time.Time, err error) {
	c, err := a.Verify(token)
	if err != nil {
		return nil, time.Time{}, err
	}
	return c.Subjects(), c.Expires, nil
}
