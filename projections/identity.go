package projections

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

// SourceID returns the id of the source with that name: "src_" and 26 lower-case
// base32 letters. incarnation is the sequence of the SourceRemoved event that
// ended the previous source of the name, or 0. Nodes that connect the same name
// concurrently derive the same id.
func SourceID(organization, workspace, owner, name string, incarnation uint64) string {
	h := sha256.New()
	var size [8]byte
	for _, part := range []string{organization, workspace, owner, name} {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	binary.BigEndian.PutUint64(size[:], incarnation)
	h.Write(size[:])
	sum := h.Sum(nil)
	return "src_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}
