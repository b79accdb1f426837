package bucket

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Config returns what clients of other services beside the bucket are built from:
// its region, its connections with their limits, and this service's own keys, which
// follow their file.
func (b *Bucket) Config() aws.Config { return b.config }

// Opens reports whether keys that are not this service's open a file. It returns
// false if the store refuses them, and an error if it says neither. It asks once.
func (b *Bucket) Opens(ctx context.Context, with aws.CredentialsProvider, name string) (bool, error) {
	key, err := b.key(name)
	if err != nil {
		return false, err
	}
	return b.allows("GetObject", key, func(as func(*s3.Options)) error {
		out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key, Range: aws.String("bytes=0-0")}, as)
		if err == nil {
			_ = out.Body.Close() // that it came is all that counts
		}
		return err
	}, with)
}

// Lists is Opens for the names below a folder.
func (b *Bucket) Lists(ctx context.Context, with aws.CredentialsProvider, folder string) (bool, error) {
	prefix := strings.TrimPrefix(folder+"/", b.root())
	return b.allows("ListObjectsV2", prefix, func(as func(*s3.Options)) error {
		_, err := b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix, MaxKeys: aws.Int32(1)}, as)
		return err
	}, with)
}

func (b *Bucket) allows(op, key string, ask func(func(*s3.Options)) error, with aws.CredentialsProvider) (bool, error) {
	err := b.fail(op, key, time.Now(), ask(func(o *s3.Options) {
		o.Credentials, o.HTTPSignerV4, o.Retryer = with, &signer{}, aws.NopRetryer{}
	}))
	var e *Error
	if errors.As(err, &e) && e.Status == 403 {
		return false, nil
	}
	return err == nil, err
}
