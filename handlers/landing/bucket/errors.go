package bucket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// ErrCredentials means that the environment has no keys to the bucket.
var ErrCredentials = errors.New("no credentials for the bucket were found in the environment")

// Error is a request that failed: it holds the store's own words and no secret.
type Error struct {
	Op     string // as PutObject
	Key    string
	Status int    // 0 where no answer came
	Code   string // the store's, as AccessDenied
	// Lasting says that trying again soon is of no use: the store refused for a
	// reason that stays, or was tried again for as long as the limits say.
	Lasting bool
	Err     error

	broken bool // the answer was none of the store's, or not whole
}

// Error returns the operation, the key and what the store said.
func (e *Error) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("%s %s: %d %s", e.Op, e.Key, e.Status, e.Code)
	}
	return fmt.Sprintf("%s %s: %s", e.Op, e.Key, plain(e.Err))
}

// Unwrap returns what the request failed by.
func (e *Error) Unwrap() error { return e.Err }

// Is makes a missing key fs.ErrNotExist, and one that exists fs.ErrExist.
func (e *Error) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		// A store may answer 404 to keys that it does not know, or for a bucket.
		return e.Status == 404 && slices.Contains([]string{"NoSuchKey", "NoSuchVersion", "NotFound", "404", ""}, e.Code)
	case fs.ErrExist:
		return e.Status == 412
	}
	return false
}

// plain returns why a request had no answer.
func plain(err error) string {
	var u *url.Error
	switch {
	case errors.Is(err, ErrCredentials):
		return ErrCredentials.Error()
	case errors.Is(err, context.Canceled):
		return "it was stopped"
	case errors.Is(err, context.DeadlineExceeded):
		return "the time limit passed"
	case errors.As(err, &u):
		return u.Err.Error()
	}
	return err.Error()
}

// Told returns what Error does without what names a host: anybody may read it.
func (e *Error) Told() string {
	if e.Status != 0 {
		return e.Error()
	}
	return fmt.Sprintf("%s %s: %s", e.Op, e.Key, Unanswered("the bucket", e.Err))
}

// Unanswered returns why a request to somebody had no answer, without what names a
// host.
func Unanswered(by string, err error) string {
	var late net.Error
	switch {
	case errors.Is(err, ErrCredentials):
		return ErrCredentials.Error()
	case untrusted(err):
		return by + "'s certificate is not trusted"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.As(err, &late) && late.Timeout():
		return "no answer in time"
	}
	return "no connection to " + by
}

// untrusted reports whether a certificate was refused.
func untrusted(err error) bool {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &cert)
}

// lastingCodes are refusals that no waiting mends.
var lastingCodes = []string{
	"AccessDenied", "InvalidAccessKeyId", "XAdminUserNotFound", "SignatureDoesNotMatch", "NoSuchBucket", "PermanentRedirect", "AuthorizationHeaderMalformed",
	"InvalidBucketName", "InvalidToken", "ExpiredToken", "AccountProblem", "AllAccessDisabled", "NotImplemented", "InvalidRegion", "IllegalLocationConstraintException",
}

// fail describes the failure of a request.
func (b *Bucket) fail(op, key string, began time.Time, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: op, Key: key, Err: err}
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		e.Status = answer.HTTPStatusCode()
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code = strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return -1
			}
			return r
		}, api.ErrorCode())
	}
	if e.Status == 200 && e.Code == "" {
		e.Code, e.broken = notTheStore, true // it could not be read
	}
	for _, code := range lastingCodes {
		e.Lasting = e.Lasting || e.Code == code
	}
	e.Lasting = e.Lasting || e.Status == 401 || e.Status == 403 || e.Status == 301 || e.Status == 501 ||
		errors.Is(err, ErrCredentials) || untrusted(err) ||
		e.Status != 404 && time.Since(began) >= b.limits.Outage
	return e
}

// patient repeats a request while the store is down or throttles, up to a time.
type patient struct {
	aws.RetryerV2
	until   time.Time
	ctx     context.Context
	keys    *keys
	changes int64 // of the keys when the request began
	last    error // of an answer, for what is stopped while it waits to try again
}

func (p *patient) IsErrorRetryable(err error) bool {
	var api smithy.APIError
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		p.last = err
	}
	if errors.As(err, &api) && slices.Contains(refusedKeys, api.ErrorCode()) && p.keys.rotated(p.ctx, p.changes) {
		p.changes = p.keys.from.changes.Load()
		return true
	}
	return time.Now().Before(p.until) && !errors.Is(err, ErrCredentials) && !untrusted(err) && p.RetryerV2.IsErrorRetryable(err)
}

// again returns how a request that begins now is repeated.
func (b *Bucket) again(outage time.Duration) (*patient, func(*s3.Options)) {
	p := &patient{until: time.Now().Add(outage), ctx: b.ctx, keys: b.keys, changes: b.keys.from.changes.Load()}
	return p, func(o *s3.Options) {
		p.RetryerV2 = retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts = 0 // the time decides
			s.MaxBackoff = min(10*time.Second, max(outage/4, 50*time.Millisecond))
			s.RateLimiter = ratelimit.None
			s.Retryables = append(s.Retryables, retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{429: {}}})
		})
		o.Retryer = p
	}
}

// request runs one and describes its failure.
func request[I, O any](b *Bucket, op, key string, call func(context.Context, I, ...func(*s3.Options)) (O, error), in I) (O, error) {
	began := time.Now()
	p, again := b.again(b.limits.Outage)
	out, err := call(b.ctx, in, again)
	if err != nil && b.ctx.Err() != nil && p.last != nil {
		err = errors.Join(err, p.last)
	}
	return out, b.fail(op, key, began, err)
}
