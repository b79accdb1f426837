package bucket

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// rereadEvery is how long keys of a credentials file count before it is read
// again: the SDK reads it once.
const rereadEvery = 30 * time.Second

// reloading takes up keys that were changed in a credentials file.
type reloading struct {
	load func(context.Context) (aws.Config, error)

	mu    sync.Mutex
	first aws.CredentialsProvider
	known aws.Credentials
	// changes counts how often other keys were found than before.
	changes atomic.Int64
}

func (r *reloading) Retrieve(ctx context.Context) (aws.Credentials, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := r.first
	r.first = nil
	if from == nil {
		cfg, err := r.load(ctx)
		if err != nil {
			return aws.Credentials{}, ErrCredentials
		}
		from = cfg.Credentials
	}
	if from == nil {
		return aws.Credentials{}, ErrCredentials
	}
	found, err := from.Retrieve(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
		return found, ErrCredentials
	}
	if !found.CanExpire && strings.HasPrefix(found.Source, "SharedConfigCredentials") {
		found.CanExpire, found.Expires = true, time.Now().Add(rereadEvery)
	}
	if r.known.AccessKeyID != "" && (r.known.AccessKeyID != found.AccessKeyID || r.known.SecretAccessKey != found.SecretAccessKey || r.known.SessionToken != found.SessionToken) {
		r.changes.Add(1)
	}
	r.known = found
	return found, nil
}

// keys are what requests are signed with.
type keys struct {
	*aws.CredentialsCache
	from *reloading
}

// rotated reads the keys again because a store has refused them, and reports
// whether they are others than when there had been that many changes.
func (k *keys) rotated(ctx context.Context, changes int64) bool {
	if k.from.changes.Load() == changes {
		k.Invalidate()
		_, _ = k.Retrieve(ctx) // the request that follows has its error
	}
	return k.from.changes.Load() != changes
}

// refusedKeys are the codes of stores that do not take the keys of a request.
var refusedKeys = []string{"InvalidAccessKeyId", "XAdminUserNotFound", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired"}

// signer signs with the secret that there is. The SDK's own keeps what it has
// derived of a secret for as long as the access key is the same.
type signer struct {
	mu     sync.Mutex
	secret string
	of     *v4.Signer
}

// SignHTTP signs a request as s3.Options.HTTPSignerV4 does.
func (s *signer) SignHTTP(ctx context.Context, with aws.Credentials, r *http.Request, payloadHash, service, region string, at time.Time, opts ...func(*v4.SignerOptions)) error {
	s.mu.Lock()
	if s.of == nil || s.secret != with.SecretAccessKey {
		s.secret, s.of = with.SecretAccessKey, v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	}
	of := s.of
	s.mu.Unlock()
	return of.SignHTTP(ctx, with, r, payloadHash, service, region, at, opts...)
}

// unsignedHeaders keeps out of the signature what proxies and stores rewrite on
// the way. Nobody may compress an answer: sizes must be those of the objects.
func unsignedHeaders(stack *middleware.Stack) error {
	strip := middleware.FinalizeMiddlewareFunc("headwater/unsigned-headers", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		if r, ok := in.Request.(*smithyhttp.Request); ok {
			for _, name := range []string{"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Accept-Encoding"} {
				r.Header.Del(name)
			}
		}
		return next.HandleFinalize(ctx, in)
	})
	restore := middleware.FinalizeMiddlewareFunc("headwater/identity", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		if r, ok := in.Request.(*smithyhttp.Request); ok {
			r.Header.Set("Accept-Encoding", "identity")
		}
		return next.HandleFinalize(ctx, in)
	})
	if err := stack.Finalize.Insert(strip, "Signing", middleware.Before); err != nil {
		return err
	}
	return stack.Finalize.Insert(restore, "Signing", middleware.After)
}
