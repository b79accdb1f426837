package layout

import (
	"encoding/json"
	"time"

	"headwater/bus/event"
)

// Token is an API token: who its bearer is, what it may, and how it is recognized.
type Token struct {
	// Address is that of its history: the owner is its bearer, the workspace the
	// one that it was made in, the source its id.
	Address    event.Address `json:"address"`
	Name       string        `json:"name"`
	Role       string        `json:"role"`
	Workspaces []string      `json:"workspaces,omitempty"` // that it reaches; all if empty
	Hash       string        `json:"hash"`                 // SHA-256 of the token, in hexadecimal
	CreatedAt  time.Time     `json:"created_at"`
	CreatedBy  string        `json:"created_by"`
	ExpiresAt  time.Time     `json:"expires_at"`
	UsedAt     *time.Time    `json:"used_at,omitempty"` // to a day
	RevokedAt  *time.Time    `json:"revoked_at,omitempty"`
	RevokedBy  string        `json:"revoked_by,omitempty"`
}

// Active reports whether the token is valid at that time.
func (t *Token) Active(at time.Time) bool { return t.RevokedAt == nil && at.Before(t.ExpiresAt) }

// EncodeToken appends what lies under a KeyToken. It fails for a time that JSON
// has no form for.
func EncodeToken(b []byte, t *Token) ([]byte, error) {
	encoded, err := json.Marshal(t)
	return append(b, encoded...), err
}

// DecodeToken reverses EncodeToken; an error says that v is none of its.
func DecodeToken(v []byte) (t Token, err error) { return t, json.Unmarshal(v, &t) }
