package projections

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// cursorBinding is the number of bytes that tie a cursor to its query.
const cursorBinding = 8

// binding returns a hash of what a query selects.
func binding(query ...any) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", query))
	return sum[:cursorBinding]
}

// makeCursor returns an opaque cursor for the page after place.
func makeCursor(bound, place []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(bytes.Clone(bound), place...))
}

// readCursor returns the place of a cursor, or nil for "". It returns
// ErrBadCursor for a cursor of another query.
func readCursor(cursor string, bound []byte) ([]byte, error) {
	if cursor == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) <= cursorBinding || !bytes.Equal(b[:cursorBinding], bound) {
		return nil, ErrBadCursor
	}
	return b[cursorBinding:], nil
}
