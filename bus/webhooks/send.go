package webhooks

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"headwater/bus/event"
	"headwater/connectors/driver"
)

const (
	maxAnswer     = 16 << 10       // bytes read of an answer; its content does not matter
	maxRetryAfter = 24 * time.Hour // longest pause that a receiver may ask for
)

// sender posts events. It is safe for concurrent use.
type sender struct {
	client  *http.Client
	timeout time.Duration
}

// newSender returns a sender that connects only through dial. It uses no proxy
// of the environment and follows no redirect.
func newSender(dial func(ctx context.Context, network, address string) (net.Conn, error), timeout time.Duration) *sender {
	return &sender{timeout: timeout, client: &http.Client{
		Transport: &http.Transport{
			DialContext:            dial,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConns:           256,
			MaxIdleConnsPerHost:    maxUnderWay,
			IdleConnTimeout:        30 * time.Second,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// close closes idle connections.
func (s *sender) close() { s.client.CloseIdleConnections() }

// send posts a body, signed with each of the keys, and returns the attempt. The
// reason of a failure says what the receiver's owner can do, and quotes nothing
// of the answer.
func (s *sender) send(ctx context.Context, to, id string, body []byte, keys ...[]byte) Attempt {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	begun := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return Attempt{Reason: "the URL cannot be used; delete the webhook and create it again"}
	}
	request.Header.Set("Content-Type", event.StructuredType+"; charset=utf-8")
	request.Header.Set("User-Agent", "Headwater-Webhooks/1")
	request.Header.Set(HeaderID, id)
	request.Header.Set(HeaderTimestamp, strconv.FormatInt(begun.Unix(), 10))
	request.Header.Set(HeaderSignature, signature(id, begun, body, keys...))
	response, err := s.client.Do(request)
	if err != nil {
		return Attempt{Reason: s.broken(err), Duration: time.Since(begun)}
	}
	defer response.Body.Close()
	// Reading the answer lets the connection be reused; the status has decided
	// already.
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
	return Attempt{
		Status: response.StatusCode, Reason: refusal(response.StatusCode), Duration: time.Since(begun),
		RetryAfter: retryAfter(response, time.Now()),
	}
}

// broken says why there was no answer.
func (s *sender) broken(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var dial *driver.Error
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var timeout net.Error
	switch {
	case errors.As(err, &dial):
		return dial.Message
	case errors.As(err, &certificate):
		return "the receiver's certificate is not trusted: " + certificate.Err.Error()
	case errors.As(err, &record), errors.As(err, &alert):
		return "the receiver does not speak TLS as it should"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("the receiver did not answer within %s", s.timeout)
	}
	return "the connection broke before there was an answer"
}

// refusal returns what a status means, or "" for a status that accepts the
// event.
func refusal(status int) string {
	switch {
	case status >= 200 && status < 300:
		return ""
	case status >= 300 && status < 400:
		return fmt.Sprintf("the receiver answered %d: redirects are not followed, register the URL that it leads to", status)
	case status == http.StatusGone:
		return "the receiver answered 410, it wants no more events: delete the webhook if that is meant"
	}
	return fmt.Sprintf("the receiver answered %d", status)
}

// retryAfter returns the pause that the receiver asks for (Retry-After, RFC
// 9110), given in seconds or as a date.
func retryAfter(response *http.Response, now time.Time) time.Duration {
	text := strings.TrimSpace(response.Header.Get("Retry-After"))
	if text == "" || response.StatusCode < 400 {
		return 0
	}
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, min(at.Sub(now), maxRetryAfter))
	}
	return 0
}
