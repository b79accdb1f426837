package handlers

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// eventID returns the id of an event that a command leads to, in the form of a
// UUID of version 8. It is the same for every delivery of the command, so that
// an event that is published again is known to be the same.
func eventID(command, event, discriminator string) string {
	h := sha256.New()
	for _, part := range []string{command, event, discriminator} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	id := h.Sum(nil)[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	s := hex.EncodeToString(id)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
