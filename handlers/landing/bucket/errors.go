package bucket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

var errCredentials = errors.New("no credentials for the bucket were found in the environment")

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
		return e.Status == 404 && e.Code != "NoSuchBucket" && e.Code != "NoSuchUpload"
	case fs.ErrExist:
		return e.Status == 412
	}
	return false
}

// plain returns why a request had no answer.
func plain(err error) string {
	var u *url.Error
	switch {
	case errors.Is(err, errCredentials):
		return errCredentials.Error()
	case errors.Is(err, context.Canceled):
		return "it was stopped"
	case errors.Is(err, context.DeadlineExceeded):
		return "the time limit passed"
	case errors.As(err, &u):
		return u.Err.Error()
	}
	return err.Error()
}

// lastingCodes are refusals that no waiting mends.
var lastingCodes = []string{
	"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket", "PermanentRedirect", "AuthorizationHeaderMalformed",
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
	for _, code := range lastingCodes {
		e.Lasting = e.Lasting || e.Code == code
	}
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var cert *tls.CertificateVerificationError
	e.Lasting = e.Lasting || e.Status == 401 || e.Status == 403 || e.Status == 301 || e.Status == 501 ||
		errors.Is(err, errCredentials) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &cert) ||
		e.Status != 404 && time.Since(began) >= b.limits.Outage
	return e
}

// patient repeats a request while the store is down or throttles, up to a time.
type patient struct {
	aws.RetryerV2
	until time.Time
}

func (p patient) IsErrorRetryable(err error) bool {
	var cert *tls.CertificateVerificationError
	return time.Now().Before(p.until) && !errors.Is(err, errCredentials) && !errors.As(err, &cert) && p.RetryerV2.IsErrorRetryable(err)
}

// again returns how a request that begins now is repeated.
func (b *Bucket) again(outage time.Duration) func(*s3.Options) {
	until := time.Now().Add(outage)
	return func(o *s3.Options) {
		o.Retryer = patient{retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts = 0 // the time decides
			s.MaxBackoff = min(10*time.Second, max(outage/4, 50*time.Millisecond))
			s.RateLimiter = ratelimit.None
			s.Retryables = append(s.Retryables, retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{429: {}}})
		}), until}
	}
}

// request runs one and describes its failure.
func request[I, O any](b *Bucket, op, key string, call func(context.Context, I, ...func(*s3.Options)) (O, error), in I) (O, error) {
	began := time.Now()
	out, err := call(b.ctx, in, b.again(b.limits.Outage))
	return out, b.fail(op, key, began, err)
}
