package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi/places"
	"headwater/connectors/httpapi/words"
)

// ways to give an API key, where the settings do not say which.
const (
	asHeader int32 = iota // X-API-Key
	asBearer              // Authorization: Bearer
	asToken               // Authorization: token, as GitHub's older one
	asPlain               // Authorization alone
	asNothing
)

// guessed reports whether the settings do not say how the API wants its key.
func (c *Settings) guessed() bool {
	return c.APIKey != "" && c.APIKeyHeader == "" && c.APIKeyParam == "" && c.BearerToken == "" && c.Username == ""
}

// secretive reports whether a credential is set that may have an effect.
func (c *Settings) secretive() bool {
	for name := range c.Headers {
		if secretName(name) {
			return true
		}
	}
	return c.APIKey != "" || c.BearerToken != "" || c.Username != "" || c.Password != ""
}

// request makes a request with the credentials.
func (s *source) request(ctx context.Context, q ask) (*http.Request, error) {
	full := *q.url
	c := &s.settings
	way := s.way.Load()
	if anonymous, ok := ctx.Value(anonymously{}).(bool); ok && anonymous {
		way = asNothing
	}
	query := full.Query()
	changed := false
	set := func(name, value string) {
		if !query.Has(name) {
			query.Set(name, value)
			changed = true
		}
	}
	if !q.given {
		for name, value := range c.Params {
			set(name, value)
		}
	}
	if c.APIKeyParam != "" && c.APIKey != "" && way != asNothing {
		set(c.APIKeyParam, c.APIKey)
	}
	if changed {
		full.RawQuery = query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, full.String(), nil)
	if err != nil {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "%s is no address to read from", where(q.url))
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "headwater")
	if way != asNothing {
		s.authorize(req, way)
	}
	for name, value := range c.Headers {
		if way != asNothing || !secretName(name) {
			req.Header.Set(name, value)
		}
	}
	return req, nil
}

// secretName reports whether a header of that name holds a credential.
func secretName(name string) bool {
	plain := words.Plain(name)
	return slices.ContainsFunc([]string{"auth", "key", "token", "secret", "password", "cookie"}, func(s string) bool { return strings.Contains(plain, s) })
}

// authorize adds the credentials to a request.
func (s *source) authorize(req *http.Request, way int32) {
	c := &s.settings
	switch {
	case c.BearerToken != "":
		req.Header.Set("Authorization", "Bearer "+c.BearerToken)
	case c.Username != "" || c.Password != "":
		req.SetBasicAuth(c.Username, c.Password)
	}
	switch key := c.APIKey; {
	case key == "" || c.APIKeyParam != "":
	case strings.EqualFold(c.APIKeyHeader, "Authorization") && !strings.Contains(key, " "):
		req.Header.Set("Authorization", "Bearer "+key)
	case c.APIKeyHeader != "":
		req.Header.Set(c.APIKeyHeader, key)
	case way == asBearer:
		req.Header.Set("Authorization", "Bearer "+key)
	case way == asToken:
		req.Header.Set("Authorization", "token "+key)
	case way == asPlain:
		req.Header.Set("Authorization", key)
	default:
		req.Header.Set("X-API-Key", key)
	}
}

// anonymously is the key of a context whose requests go without credentials.
type anonymously struct{}

// otherwise repeats a request that was refused in another way: with the API key as a
// bearer token if the settings do not say how to give it, and with the parameters of the
// settings for a URL that the API gave. A way that worked is used from then on. An error
// that is not a refusal says more than the refusal did, and is returned.
func (s *source) otherwise(ctx context.Context, q ask, refused error) (*answer, error) {
	if q.given && len(s.settings.Params) > 0 {
		q.given = false
		a, f := s.try(ctx, q)
		if f != nil {
			return nil, refused
		}
		s.paramsAlways.Store(true)
		return a, nil
	}
	if s.way.Load() != asHeader || !s.settings.guessed() {
		return nil, refused
	}
	s.way.Store(asBearer)
	a, f := s.try(ctx, q)
	if f == nil {
		return a, nil
	}
	var status *statusError
	if errors.As(f.err, &status) && (status.status == http.StatusUnauthorized || status.status == http.StatusForbidden) {
		s.way.Store(asHeader)
		return nil, refused
	}
	return nil, f.err
}

// credible returns the answer to a first request, or to another way of giving the key.
// Once for each source it asks whether the credentials have an effect: always if the
// settings do not say how to give them, and in a check.
func (s *source) credible(ctx context.Context, q ask, a *answer) (*answer, error) {
	if !s.settings.secretive() || !s.settings.guessed() && !s.checking.Load() || s.judged.Swap(true) {
		return a, nil
	}
	return s.effect(ctx, q, a)
}

// effect finds out, with one request without credentials, whether they change the first
// answer of an endpoint. If the settings do not say how to give a key it must: an API
// that ignores the key would give what it gives to everybody.
func (s *source) effect(ctx context.Context, q ask, with *answer) (*answer, error) {
	c := &s.settings
	if s.way.Load() != asHeader && c.guessed() {
		return with, nil // it was refused in the other way
	}
	without, f := s.try(context.WithValue(ctx, anonymously{}, true), q)
	if ctx.Err() != nil {
		return nil, stopped(q.url, ctx.Err())
	}
	if f != nil || !sameAnswer(with, without) {
		return with, nil
	}
	if !c.guessed() {
		s.idle.Store(true)
		return with, nil
	}
	for _, way := range []int32{asBearer, asToken, asPlain} {
		s.way.Store(way)
		other, f := s.try(ctx, q)
		if f == nil && !sameAnswer(other, without) {
			return other, nil
		}
	}
	s.way.Store(asHeader)
	return nil, driver.E(driver.ErrInvalidConfig, nil, "%s gives the same answer with connection_config.api_key and without it, sent as X-API-Key, as a bearer token and as Authorization: set connection_config.bearer_token, api_key_header or api_key_param to say how it wants the key, or leave the key out if it needs none", where(q.url))
}

// sameAnswer reports whether an answer with credentials and one without are the same.
func sameAnswer(a, b *answer) bool {
	if a.status != b.status || !bytes.Equal(recordsOf(a), recordsOf(b)) {
		return false
	}
	for _, name := range []string{"Link", "X-Oauth-Scopes", "X-Accepted-Oauth-Scopes", "X-Ratelimit-Limit", "X-Rate-Limit-Limit", "Ratelimit-Limit", "X-Total-Count", "X-Total"} {
		if !slices.Equal(a.header.Values(name), b.header.Values(name)) {
			return false
		}
	}
	return true
}

// recordsOf returns the records of an answer as they came. If they are not found it
// returns the whole answer: what surrounds records may differ every time.
func recordsOf(a *answer) []byte {
	if len(a.body) == 0 {
		return nil
	}
	p, err := places.Locate(a.body, "")
	if err != nil || p.Shape == "single" {
		return a.body
	}
	_, raw := places.FieldAt(a.body, strings.Join(p.Path, "."))
	if raw == nil {
		return a.body
	}
	return raw
}
