package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/MicahParks/jwkset"
)

const (
	maxJWKS     = 1 << 20 // bytes of a JWKS document
	maxJWKSKeys = 200     // each key is tried for a token that names none
)

// jwksTransport limits the size of an issuer's JWKS document and removes keys
// from it that cannot be read. The library would reject the whole document
// because of one of them.
type jwksTransport struct {
	next http.RoundTripper
	log  *slog.Logger
}

// RoundTrip fetches a document. It fails if the document is too large or not a
// JWKS.
func (t jwksTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		return answer, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxJWKS+1))
	answer.Body.Close()
	if err != nil {
		return nil, err
	}
	if len(body) > maxJWKS {
		return nil, fmt.Errorf("the document has more than %d bytes", maxJWKS)
	}
	if body, err = t.readable(body); err != nil {
		return nil, err
	}
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	answer.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return answer, nil
}

// readable returns the document with only those keys that can be read.
func (t jwksTransport) readable(body []byte) ([]byte, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, fmt.Errorf("the document is no JWK Set: %w", err)
	}
	if len(document.Keys) > maxJWKSKeys {
		return nil, fmt.Errorf("the document has more than %d keys", maxJWKSKeys)
	}
	known := []json.RawMessage{}
	for i, raw := range document.Keys {
		var key jwkset.JWKMarshal
		err := json.Unmarshal(raw, &key)
		if err == nil {
			_, err = jwkset.NewJWKFromMarshal(key, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
		}
		if err != nil {
			// The error may quote the key, which may be a private one.
			t.log.Warn("a key of the JWKS cannot be read and signs nothing here", "place", i, "kid", key.KID)
			continue
		}
		known = append(known, raw)
	}
	return json.Marshal(map[string]any{"keys": known})
}
