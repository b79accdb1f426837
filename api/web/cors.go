package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// What web pages of other origins may send and see (the Fetch standard's CORS
// protocol). Browser credentials are not involved: a page must have a token and
// send it.
const (
	corsMethods = "GET, HEAD, POST, PUT, DELETE"
	corsSends   = "Accept, Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, Traceparent, X-Headwater-Min-Sequence, X-Request-Id"
	corsSees    = "ETag, Idempotency-Replayed, Link, Location, Preference-Applied, Retry-After, X-Headwater-Sequence, X-Request-Id"
	corsKept    = "600" // seconds for which a browser caches the answer to a preflight request

	anyOrigin = "*"
)

// CheckOrigin returns an error unless origin is a web origin as browsers send it
// (scheme, host and optional port), or * for every page.
func CheckOrigin(origin string) error {
	if origin == anyOrigin {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin || strings.Contains(u.Host, "*") {
		return errors.New("is not an origin: write it as browsers send it, such as https://app.example.com or http://localhost:3000")
	}
	return nil
}

// CrossOrigin lets web pages of the given origins call the API. It returns true
// if the request was a browser's preflight, which it has then answered.
func CrossOrigin(w http.ResponseWriter, r *http.Request, origins []string) bool {
	if len(origins) == 0 {
		return false
	}
	header, origin, every := w.Header(), r.Header.Get("Origin"), slices.Contains(origins, anyOrigin)
	if !every {
		header.Add("Vary", "Origin")
	}
	if origin == "" || !every && !slices.Contains(origins, origin) {
		return false
	}
	if every {
		origin = anyOrigin
	}
	header.Set("Access-Control-Allow-Origin", origin)
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		header.Set("Access-Control-Expose-Headers", corsSees)
		return false
	}
	header.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	header.Set("Access-Control-Allow-Methods", corsMethods)
	header.Set("Access-Control-Allow-Headers", corsSends)
	header.Set("Access-Control-Max-Age", corsKept)
	w.WriteHeader(http.StatusNoContent)
	return true
}
