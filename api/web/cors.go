package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// What pages of other origins may send and see. No credentials of a browser are
// involved: a page has to hold a token and to send it.
const (
	corsMethods = "GET, HEAD, POST, PUT, DELETE"
	corsSends   = "Accept, Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, Traceparent, X-Headwater-Min-Sequence, X-Request-Id"
	corsSees    = "ETag, Idempotency-Replayed, Link, Location, Preference-Applied, Retry-After, X-Headwater-Sequence, X-Request-Id"
	corsKept    = "600" // seconds that a browser keeps the answer to its question

	anyOrigin = "*"
)

// CheckOrigin refuses what is no origin of web pages: a scheme, a host and maybe
// a port, as browsers send it, or * for every page there is.
func CheckOrigin(origin string) error {
	if origin == anyOrigin {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin || strings.Contains(u.Host, "*") {
		return errors.New("is no origin: write it as browsers send it, such as https://app.example.com or http://localhost:3000")
	}
	return nil
}

// CrossOrigin lets pages of the origins call the API, and reports whether the
// request was a browser's question whether it may, which is then answered.
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
