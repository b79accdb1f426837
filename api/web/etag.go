package web

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"net/http"
	"strings"
)

// ETag returns a weak tag derived from the texts. It is weak because the
// compressed and the plain answer share it.
func ETag(parts ...string) string {
	encoded, _ := json.Marshal(parts) // texts always marshal
	sum := sha256.Sum256(encoded)
	return `W/"` + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:15])) + `"`
}

// Matches reports whether the client has the tagged version already
// (If-None-Match).
func Matches(h http.Header, tag string) bool {
	for _, value := range h.Values("If-None-Match") {
		for _, item := range strings.Split(value, ",") {
			if item = strings.TrimSpace(item); strings.TrimPrefix(item, "W/") == strings.TrimPrefix(tag, "W/") || item == "*" {
				return true
			}
		}
	}
	return false
}
