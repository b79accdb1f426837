package api

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/golang-jwt/jwt/v5"
)

// tokenClaims is the wire form of Claims.
type tokenClaims struct {
	jwt.RegisteredClaims
	Organization string `json:"organization"`
	Username     string `json:"username,omitempty"`
	Role         string `json:"role,omitempty"`
}

// claimNames are those that count.
var claimNames = map[string]bool{"organization": true, "username": true, "role": true,
	"iss": true, "sub": true, "aud": true, "exp": true, "nbf": true, "iat": true, "jti": true}

// UnmarshalJSON takes claims by their exact names, each one once:
// encoding/json would take "ROLE" for "role" too, and the last of several, so
// that whoever may add a claim to a token could replace one.
func (t *tokenClaims) UnmarshalJSON(body []byte) error {
	known, err := exactly(body, claimNames)
	if err != nil {
		return err
	}
	type plain tokenClaims // has no UnmarshalJSON
	return json.Unmarshal(known, (*plain)(t))
}

// exactly returns an object with those of its members that have one of the names,
// letter by letter. It refuses one that comes twice.
func exactly(body []byte, names map[string]bool) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return nil, errors.New("it is not an object")
	}
	known := map[string]json.RawMessage{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		key, _ := name.(string)
		if _, twice := known[key]; twice {
			return nil, errors.New("a claim comes twice")
		}
		if names[key] {
			known[key] = value
		}
	}
	return json.Marshal(known)
}
