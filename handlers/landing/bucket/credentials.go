package bucket

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
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
}

func (r *reloading) Retrieve(ctx context.Context) (aws.Credentials, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := r.first
	r.first = nil
	if from == nil {
		cfg, err := r.load(ctx)
		if err != nil {
			return aws.Credentials{}, errCredentials
		}
		from = cfg.Credentials
	}
	if from == nil {
		return aws.Credentials{}, errCredentials
	}
	found, err := from.Retrieve(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
		return found, errCredentials
	}
	if !found.CanExpire && strings.HasPrefix(found.Source, "SharedConfigCredentials") {
		found.CanExpire, found.Expires = true, time.Now().Add(rereadEvery)
	}
	return found, nil
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
