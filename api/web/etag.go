package web

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"net/http"
	"strings"
)

// ETag returns a tag that the texts determine. It is weak: an answer has it
// compressed and as it is.
func ETag(parts ...string) string {
	encoded, _ := json.Marshal(parts) // texts always marshal
	sum := sha256.Sum256(encoded)
	return `W/"` + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:15])) + `"`
}

// Matches reports whether the client has the tagged version already.
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
