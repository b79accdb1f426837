package idempotency

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
)

// Seed is what every id of one accepted request derives from. A request that is
// resumed, by another node or after a crash, has the same seed, so that nothing
// it does happens twice.
type Seed struct {
	Bytes []byte    `json:"bytes"`
	At    time.Time `json:"at"`
}

// NewSeed returns a random seed with that time.
func NewSeed(now time.Time) Seed {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return Seed{b, now.UTC().Truncate(time.Millisecond)}
}

// derive returns 16 bytes that depend on the seed and the texts only.
func (s Seed) derive(parts ...string) []byte {
	h := sha256.New()
	h.Write(s.Bytes)
	for _, part := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)[:16]
}

// ID returns an id: the prefix followed by 26 letters and digits.
func (s Seed) ID(prefix string, parts ...string) string {
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(s.derive(append(parts, prefix)...))
	return prefix + strings.ToLower(text)
}

// UUID returns a UUIDv7 (RFC 9562) with the seed's time.
func (s Seed) UUID(parts ...string) string {
	b := s.derive(append(parts, "uuid")...)
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(s.At.UnixMilli()))
	copy(b, at[2:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	text := hex.EncodeToString(b)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
