package s3

import (
	"bytes"
	"crypto/rand"
	"encoding/xml"
	"net/http"
	"strconv"
	"time"
)

// answerTime is how long a client may take to read an answer that is not a file.
const answerTime = 2 * time.Minute

// failure is an error as S3 reports it.
type failure struct {
	status        int
	code, message string
	header        http.Header
}

func (f *failure) Error() string { return f.code + ": " + f.message }

func fail(status int, code, message string) *failure {
	return &failure{status, code, message, http.Header{}}
}

// denied returns the failure for what keys do not open, whether or not it
// exists.
func denied(message string) *failure {
	return fail(http.StatusForbidden, "AccessDenied", message)
}

type wireError struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string   `xml:"Code"`
	Message   string   `xml:"Message"`
	Resource  string   `xml:"Resource"`
	RequestID string   `xml:"RequestId"`
}

type location struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
}

func requestID() string { return rand.Text()[:16] }

func (x *exchange) fail(f *failure) {
	for name, values := range f.header {
		x.w.Header()[name] = values
	}
	if err := x.xml(f.status, wireError{Code: f.code, Message: f.message, Resource: x.r.URL.EscapedPath(), RequestID: x.id}); err != nil {
		x.w.WriteHeader(f.status) // strings always marshal
	}
}

func (x *exchange) xml(status int, value any) error {
	var body bytes.Buffer
	body.WriteString(xml.Header)
	if err := xml.NewEncoder(&body).Encode(value); err != nil {
		return err
	}
	header := x.w.Header()
	header.Set("Content-Type", "application/xml")
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body.Bytes()) // the client has disconnected
	}
	return nil
}
