package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Signatures are AWS's version 4, in a header or in the query of a presigned URL.

const (
	algorithm   = "AWS4-HMAC-SHA256"
	stamp       = "20060102T150405Z"
	skew        = 15 * time.Minute
	longestURL  = 7 * 24 * time.Hour // longest validity of a presigned URL
	maxSigned   = 64                 // signed headers
	ofNoContent = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// signature holds the parts of a request's signature.
type signature struct {
	access, scope string // scope is date/region/service/aws4_request
	at            time.Time
	lasts         time.Duration // validity of a presigned URL, 0 for a signature in a header
	headers       []string      // names of the signed headers, in lower case and sorted
	signature     string        // in lower-case hexadecimal
	session       string
}

func malformed(message string) error {
	return fail(http.StatusBadRequest, "AuthorizationHeaderMalformed", message)
}

// readSignature parses the signature of a request. It returns a *failure if
// there is none or if it is malformed.
func readSignature(r *http.Request, query map[string][]string) (signature, error) {
	one := func(name string) string {
		if values := query[name]; len(values) == 1 {
			return values[0]
		}
		return ""
	}
	s := signature{session: r.Header.Get("X-Amz-Security-Token")}
	credential, at, headers := "", r.Header.Get("X-Amz-Date"), ""
	if rest, signed := strings.CutPrefix(r.Header.Get("Authorization"), algorithm); signed {
		for part := range strings.SplitSeq(rest, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch name {
			case "Credential":
				credential = value
			case "SignedHeaders":
				headers = value
			case "Signature":
				s.signature = value
			}
		}
	} else if one("X-Amz-Algorithm") == algorithm {
		credential, headers, s.signature, at = one("X-Amz-Credential"), one("X-Amz-SignedHeaders"), one("X-Amz-Signature"), one("X-Amz-Date")
		s.session = one("X-Amz-Security-Token")
		seconds, err := strconv.ParseInt(one("X-Amz-Expires"), 10, 64)
		if s.lasts = time.Duration(seconds) * time.Second; err != nil || seconds < 1 || seconds > int64(longestURL/time.Second) {
			return s, fail(http.StatusBadRequest, "AuthorizationQueryParametersError", "X-Amz-Expires must be 1 to 604800 seconds")
		}
	} else {
		return s, denied("The request is not signed: ask the catalog for the table, whose answer has keys, and sign by " + algorithm)
	}
	var err error
	if s.at, err = time.Parse(stamp, at); err != nil {
		return s, malformed("X-Amz-Date must be a time such as 20260131T120000Z")
	}
	var known bool
	if s.access, s.scope, known = strings.Cut(credential, "/"); !known {
		return s, malformed("Credential must be ACCESS-KEY/date/region/s3/aws4_request")
	}
	parts := strings.Split(s.scope, "/")
	if len(parts) != 4 || parts[0] != at[:8] || parts[1] == "" || parts[2] != "s3" || parts[3] != "aws4_request" {
		return s, malformed("Credential must be ACCESS-KEY/date/region/s3/aws4_request, of the date of X-Amz-Date")
	}
	s.headers = strings.Split(headers, ";")
	if len(s.headers) > maxSigned || !slices.IsSorted(s.headers) || !slices.Contains(s.headers, "host") || headers != strings.ToLower(headers) {
		return s, malformed("SignedHeaders must hold host, in lower case and order")
	}
	return s, nil
}

// timely returns the reason why a signature is not valid at a time, or nil.
func (s signature) timely(now time.Time) error {
	if s.at.After(now.Add(skew)) || s.lasts == 0 && s.at.Before(now.Add(-skew)) {
		return fail(http.StatusForbidden, "RequestTimeTooSkewed", "The clocks of client and service differ by more than 15 minutes")
	}
	if s.lasts > 0 && now.After(s.at.Add(s.lasts)) {
		return denied("The presigned URL has expired")
	}
	return nil
}

// fits reports whether the request was signed with the secret. AWS signs an
// escaped path, some clients sign the path as they send it; both are accepted.
func (s signature) fits(r *http.Request, query map[string][]string, secret string) bool {
	written, sent := escape(r.URL.Path, true), r.URL.EscapedPath()
	return hmac.Equal([]byte(s.signature), []byte(s.of(r, written, query, secret))) ||
		sent != written && hmac.Equal([]byte(s.signature), []byte(s.of(r, sent, query, secret)))
}

// of returns the signature that the request must have.
func (s signature) of(r *http.Request, path string, query map[string][]string, secret string) string {
	request := sha256.Sum256([]byte(s.canonical(r, path, query)))
	text := strings.Join([]string{algorithm, s.at.Format(stamp), s.scope, hex.EncodeToString(request[:])}, "\n")
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(s.scope, "/") {
		key = sum(key, part)
	}
	return hex.EncodeToString(sum(key, text))
}

func sum(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonical returns the canonical request, which is what is signed.
func (s signature) canonical(r *http.Request, path string, query map[string][]string) string {
	var b strings.Builder
	line := func(text string) { b.WriteString(text + "\n") }
	line(r.Method)
	if path == "" {
		path = "/"
	}
	line(path)
	var pairs []string
	for name, values := range query {
		if name == "X-Amz-Signature" {
			continue
		}
		for _, value := range values {
			pairs = append(pairs, escape(name, false)+"="+escape(value, false))
		}
	}
	slices.Sort(pairs)
	line(strings.Join(pairs, "&"))
	for _, name := range s.headers {
		line(name + ":" + headerValue(r, name))
	}
	line("")
	line(strings.Join(s.headers, ";"))
	b.WriteString(s.content(r))
	return b.String()
}

// content returns the hash of the body that is signed. A read has no body.
func (s signature) content(r *http.Request) string {
	if text := r.Header.Get("X-Amz-Content-Sha256"); text != "" {
		return text
	}
	if s.lasts > 0 {
		return "UNSIGNED-PAYLOAD"
	}
	return ofNoContent
}

// headerValue returns a header as it is signed: without surrounding spaces, and
// with runs of spaces reduced to one.
func headerValue(r *http.Request, name string) string {
	switch values := r.Header.Values(name); {
	case name == "host":
		return r.Host
	case name == "content-length" && len(values) == 0:
		return strconv.FormatInt(max(r.ContentLength, 0), 10)
	default:
		clean := make([]string, len(values))
		for i, value := range values {
			clean[i] = strings.Join(strings.Fields(value), " ")
		}
		return strings.Join(clean, ",")
	}
}

// escape percent-encodes a text as signatures require: everything but letters,
// digits and -_.~, and for a path also except slashes.
func escape(text string, path bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~", c) >= 0 || path && c == '/' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}
