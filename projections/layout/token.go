package layout

import (
	"encoding/json"
	"time"

	"headwater/bus/event"
)

// Token is an API token: its bearer, its permissions, and how to recognize it.
type Token struct {
	// Address is that of its history: the owner is the bearer, the workspace is
	// where it was created, the source is the token's id.
	Address    event.Address `json:"address"`
	Name       string        `json:"name"`
	Role       string        `json:"role"`
	Workspaces []string      `json:"workspaces,omitempty"` // in which it may be used; all if empty
	Hash       string        `json:"hash"`                 // SHA-256 of the token, in hexadecimal
	CreatedAt  time.Time     `json:"created_at"`
	CreatedBy  string        `json:"created_by"`
	ExpiresAt  time.Time     `json:"expires_at"`
	UsedAt     *time.Time    `json:"used_at,omitempty"` // to the day
	RevokedAt  *time.Time    `json:"revoked_at,omitempty"`
	RevokedBy  string        `json:"revoked_by,omitempty"`
}

// Active reports whether the token is valid at that time.
func (t *Token) Active(at time.Time) bool { return t.RevokedAt == nil && at.Before(t.ExpiresAt) }

// EncodeToken appends the value of a KeyToken. It fails for a time that JSON
// cannot represent.
func EncodeToken(b []byte, t *Token) ([]byte, error) {
	encoded, err := json.Marshal(t)
	return append(b, encoded...), err
}

// DecodeToken reverses EncodeToken. It fails if v was not made by it.
func DecodeToken(v []byte) (t Token, err error) { return t, json.Unmarshal(v, &t) }
