package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"headwater/bus/event"
)

// The roles of a token. A viewer may only read.
const (
	RoleViewer = "viewer"
	RoleEditor = "editor"
	RoleAdmin  = "admin"
)

const maxName = 200 // bytes of an organization or user

// Claims is what a verified token says about its bearer.
type Claims struct {
	Organization string
	Username     string
	Role         string
	Expires      time.Time // set by Verify
	// Workspaces are those in which the token may be used; nil for all.
	Workspaces []string
	// Token is the address of an API token's history; zero for a JSON Web Token.
	Token event.Address
}

func (c Claims) check() error {
	for claim, value := range map[string]string{"organization": c.Organization, "username": c.Username} {
		if value == "" {
			return fmt.Errorf("the claim %s is missing", claim)
		}
		if len(value) > maxName || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			return fmt.Errorf("the claim %s is too long or holds control characters", claim)
		}
	}
	if c.Role != RoleViewer && c.Role != RoleEditor && c.Role != RoleAdmin {
		return fmt.Errorf("the claim role is not one of %s, %s, %s", RoleViewer, RoleEditor, RoleAdmin)
	}
	return nil
}

// Inbox returns the prefix of the bearer's inbox subjects on the bus. An API
// token has its own prefix: it may permit less than its user, and must not
// receive replies to the user's requests.
func (c Claims) Inbox() string {
	if id := c.TokenID(); id != "" {
		return "_INBOX." + event.Token(c.Organization) + "." + event.Shared + "." + event.Token(id)
	}
	return "_INBOX." + event.Token(c.Organization) + "." + event.Token(c.Username)
}

// Subjects returns the filters of the event subjects that the bearer may read:
// the user's own sources and those of the organization, or for an admin all of
// the organization; each restricted to the workspaces in which the token may be
// used.
func (c Claims) Subjects() []string {
	own := event.SubjectPrefix + "." + event.Token(c.Organization)
	places := []string{own + ".*"}
	switch {
	case c.Workspaces != nil:
		places = nil
		for _, workspace := range c.Workspaces {
			places = append(places, own+"."+event.Token(workspace))
		}
	case c.Role == RoleAdmin:
		return []string{own + ".>"}
	}
	var all []string
	for _, place := range places {
		if c.Role == RoleAdmin {
			all = append(all, place+".>")
			continue
		}
		all = append(all, place+"."+event.Token(c.Username)+".>", place+"."+event.Shared+".>")
	}
	return all
}

// tokenClaims is the JSON form of Claims.
type tokenClaims struct {
	jwt.RegisteredClaims
	Organization string `json:"organization"`
	Username     string `json:"username,omitempty"`
	Role         string `json:"role,omitempty"`
}

// claimNames are the claims that are read; others are ignored.
var claimNames = map[string]bool{"organization": true, "username": true, "role": true,
	"iss": true, "sub": true, "aud": true, "exp": true, "nbf": true, "iat": true, "jti": true}

// UnmarshalJSON reads claims by their exact names and refuses a claim that
// occurs twice. encoding/json would accept "ROLE" for "role" and take the last
// of several, so that whoever can add a claim to a token could replace another.
func (t *tokenClaims) UnmarshalJSON(body []byte) error {
	known, err := exactly(body, claimNames)
	if err != nil {
		return err
	}
	type plain tokenClaims // without the method UnmarshalJSON
	return json.Unmarshal(known, (*plain)(t))
}

// exactly returns the object reduced to the members with one of the names,
// compared byte by byte. It fails if a name occurs twice.
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
