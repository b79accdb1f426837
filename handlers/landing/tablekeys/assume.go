package tablekeys

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/sync/errgroup"

	"headwater/handlers/landing/bucket"
)

const (
	maxAnswer = 1 << 20         // bytes of an STS's answer
	skew      = 5 * time.Minute // by which clocks may differ
	amazon    = ".amazonaws.com"
)

// stsOf returns a client of an STS that signs with the service's own keys.
func stsOf(cfg aws.Config, endpoint string) *sts.Client {
	cfg.HTTPClient = limited{cfg.HTTPClient}
	return sts.NewFromConfig(cfg, func(o *sts.Options) {
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
			o.Region = regionOf(endpoint, o.Region)
		}
		o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) { s.MaxAttempts, s.MaxBackoff = 2, time.Second })
	})
}

// regionOf returns the region for which requests to an STS are signed: Amazon's are
// of one each, others take the bucket's.
func regionOf(endpoint, bucket string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return bucket
	}
	name, china := strings.CutSuffix(u.Hostname(), amazon+".cn")
	if !china {
		var ok bool
		if name, ok = strings.CutSuffix(name, amazon); !ok {
			return bucket
		}
	}
	switch parts := strings.Split(name, "."); {
	case name == "sts":
		return "us-east-1"
	case len(parts) == 2 && strings.HasPrefix(parts[0], "sts"):
		return parts[1]
	}
	return bucket
}

// limited reads no more of an answer than an STS has to say.
type limited struct{ aws.HTTPClient }

// Do sends a request.
func (l limited) Do(r *http.Request) (*http.Response, error) {
	res, err := l.HTTPClient.Do(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxAnswer), res.Body}
	}
	return res, err
}

// issue asks the STS for keys and tries them. Its error is a *Refusal.
func (i *Issuer) issue(ctx context.Context, t Table, session string, life time.Duration) (Keys, error) {
	name, folder, ok := strings.Cut(strings.TrimPrefix(t.Folder, "s3://"), "/")
	if lake, _, _ := strings.Cut(strings.TrimPrefix(i.root, "s3://"), "/"); !ok || name != lake {
		return Keys{}, errOutside
	}
	document, err := policy(partitionOf(i.settings.Role), name, folder)
	if err != nil {
		return Keys{}, err
	}
	asked, done := context.WithTimeout(ctx, i.limit)
	defer done()
	out, err := i.client.AssumeRole(asked, &sts.AssumeRoleInput{
		RoleArn: aws.String(i.settings.Role), RoleSessionName: &session, Policy: &document, DurationSeconds: aws.Int32(int32(life / time.Second)),
	})
	if err != nil {
		return Keys{}, refusalOf(err)
	}
	own, err := i.bucket.Config().Credentials.Retrieve(asked)
	if err != nil {
		return Keys{}, refusalOf(err)
	}
	if out.Credentials == nil {
		return Keys{}, errOwn
	}
	k := Keys{
		Access: aws.ToString(out.Credentials.AccessKeyId), Secret: aws.ToString(out.Credentials.SecretAccessKey), Session: aws.ToString(out.Credentials.SessionToken),
		Region: i.bucket.Config().Region, Expires: aws.ToTime(out.Credentials.Expiration),
	}
	left := k.Expires.Sub(i.now())
	switch {
	case k.Access == "" || k.Secret == "" || k.Session == "" || k.Access == own.AccessKeyID || k.Secret == own.SecretAccessKey:
		return Keys{}, errOwn
	case left > life+skew || left < life/2:
		return Keys{}, errEnds
	}
	return k, i.prove(ctx, t, k)
}

// prove tries keys before anybody has them: they must open the table, and neither a
// file beside it nor the names of the lake. A store that ignores a policy would give
// away everything otherwise.
func (i *Issuer) prove(ctx context.Context, t Table, k Keys) error {
	with := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: k.Access, SecretAccessKey: k.Secret, SessionToken: k.Session}, nil
	})
	ctx, done := context.WithTimeout(ctx, i.limit)
	defer done()
	var asks errgroup.Group
	shut := func(ask func() (bool, error)) {
		asks.Go(func() error {
			switch allowed, err := ask(); {
			case err != nil:
				return errUntold
			case allowed:
				return errWide
			}
			return nil
		})
	}
	shut(func() (bool, error) { return i.bucket.Opens(ctx, with, i.outside) })
	shut(func() (bool, error) { return i.bucket.Lists(ctx, with, i.root) })
	if t.Metadata != "" {
		asks.Go(func() error { return i.opens(ctx, with, t.Metadata) })
	}
	return asks.Wait()
}

// opens returns a *Refusal unless keys open a table's file. One that is not there says
// nothing about other tables.
func (i *Issuer) opens(ctx context.Context, with aws.CredentialsProvider, file string) error {
	allowed, err := i.bucket.Opens(ctx, with, file)
	var answer *bucket.Error
	switch {
	case errors.As(err, &answer) && answer.Status == http.StatusNotFound:
		return errGone
	case err != nil:
		return errUntold
	case !allowed:
		return errShut
	}
	return nil
}

// partitionOf returns which of Amazon's clouds a role belongs to, as it is in the
// names of its buckets.
func partitionOf(role string) string {
	if parts := strings.SplitN(role, ":", 3); len(parts) == 3 && strings.HasPrefix(parts[1], "aws") {
		return parts[1]
	}
	return "aws"
}

// sessionName returns the name by which the store's own log shows whom keys were
// for.
func sessionName(h Holder) string {
	name := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("=,.@-", r) {
			return r
		}
		return '_'
	}, "headwater-"+h.Organization+"-"+h.Username)
	return name[:min(len(name), 64)]
}
