// Package bucket is the files of a lake in an S3 bucket, of Amazon or of anyone
// else. Every request has limits of its own and ends with the context that the
// bucket is bound to.
package bucket

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Settings are what a lake's URL says beside the bucket's name. Empty ones come
// from the environment, as the AWS tools take them.
type Settings struct {
	Endpoint    string
	Region      string
	VirtualHost *bool // how the bucket is addressed; nil: in the path where there is an endpoint
	Limits      Limits
}

// Limits bound a request. The zero value of a field means its default.
type Limits struct {
	Connect time.Duration // until a connection stands: 10 s
	Stall   time.Duration // without a byte sent or received, an answer included: 30 s
	Outage  time.Duration // how long a request is repeated while the store is down or throttles: 4 min
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		of   *time.Duration
		fill time.Duration
	}{{&l.Connect, 10 * time.Second}, {&l.Stall, 30 * time.Second}, {&l.Outage, 4 * time.Minute}} {
		if *d.of == 0 {
			*d.of = d.fill
		}
	}
	return l
}

// Bucket is one bucket, bound to a context that ends all its requests. Names are
// s3://bucket/key, the key as it is, without escapes. It is safe for concurrent
// use.
type Bucket struct {
	*shared
	ctx context.Context
}

type shared struct {
	name   string
	client *s3.Client
	config aws.Config
	limits Limits
	keys   *keys
	cache  cache // of metadata
	small  cache // of rows
	// Parts that all uploads send, and the memory of those that were sent.
	sends   chan struct{}
	buffers sync.Pool // of *[]byte
	single  flag      // the store has no DeleteObjects
	plain   flag      // the store has no If-None-Match
}

// Open returns a bucket without asking for it. The error is one of the
// environment's settings.
func Open(ctx context.Context, name string, s Settings) (*Bucket, error) {
	limits := s.Limits.withDefaults()
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext = dialer(limits)
		t.ResponseHeaderTimeout = limits.Stall
		t.TLSHandshakeTimeout = limits.Connect
		t.MaxIdleConnsPerHost = 64
	})
	load := func(ctx context.Context) (aws.Config, error) {
		return config.LoadDefaultConfig(ctx, config.WithHTTPClient(client))
	}
	cfg, err := load(ctx)
	if err != nil {
		return nil, fmt.Errorf("the environment's settings of AWS: %w", err)
	}
	if s.Region != "" {
		cfg.Region = s.Region
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	cfg.HTTPClient = counting{cfg.HTTPClient}
	from := &reloading{first: cfg.Credentials, load: load}
	sh := &shared{name: name, limits: limits, keys: &keys{aws.NewCredentialsCache(from), from}, cache: cache{most: cacheBytes}, small: cache{most: smallBytes}, sends: make(chan struct{}, sendingAll)}
	cfg.Credentials = sh.keys
	sh.config = cfg
	sh.client = s3.NewFromConfig(cfg, func(o *s3.Options) {
		if s.Endpoint != "" {
			o.BaseEndpoint = aws.String(s.Endpoint)
		}
		o.UsePathStyle = o.BaseEndpoint != nil
		if s.VirtualHost != nil {
			o.UsePathStyle = !*s.VirtualHost
		}
		// What every store takes: the payload's hash is signed, which is check
		// enough, and neither trailers nor headers that proxies rewrite are.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.HTTPSignerV4 = &signer{}
		o.APIOptions = append(o.APIOptions, unsignedHeaders)
	})
	return &Bucket{sh, context.WithoutCancel(ctx)}, nil
}

// Within returns the same bucket bound to a context.
func (b *Bucket) Within(ctx context.Context) *Bucket { return &Bucket{b.shared, ctx} }

// Close never fails. Requests under way go on, and connections that nobody uses
// end by themselves.
func (b *Bucket) Close() error { return nil }

// root returns how the names of the bucket's files begin.
func (b *Bucket) root() string { return "s3://" + b.name + "/" }

func (b *Bucket) key(name string) (string, error) {
	key, ok := strings.CutPrefix(name, b.root())
	if !ok || key == "" {
		return "", &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("%w: it is not in the bucket %s", fs.ErrInvalid, b.name)}
	}
	return key, nil
}

// Path checks the folder of a bucket's URL, which is what follows the name of
// the bucket and a slash. It returns it as it is, without one slash at its end,
// or why keys cannot begin so: listings would show another name, or none.
func Path(folder string) (string, error) {
	if folder == "" {
		return "", nil
	}
	for _, part := range strings.Split(strings.TrimSuffix(folder, "/"), "/") {
		if part == "" || part == "." || part == ".." {
			return "", fmt.Errorf(`the folder of a bucket must not hold "//", "." or "..", nor begin with a slash: %q`, folder)
		}
	}
	if !utf8.ValidString(folder) || strings.ContainsFunc(folder, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }) {
		return "", fmt.Errorf("the folder of a bucket must be UTF-8 without control characters: %q", folder)
	}
	if u, err := url.Parse("s3://b/" + folder); err != nil || strings.Contains(folder, "#") || u.String() != "s3://b/"+folder {
		return "", fmt.Errorf("the folder of a bucket must be of letters, digits and -_.~!$&'()*+,;=:@%%20 between slashes, which stand for themselves where Iceberg names files by URLs, not %q; a space is none of them, and %%20 is taken as these three characters", folder)
	}
	if len(folder) > maxFolder {
		return "", fmt.Errorf("the folder of a bucket must not be longer than %d bytes, as a key has at most 1,024, not %d", maxFolder, len(folder))
	}
	return strings.TrimSuffix(folder, "/"), nil
}

// maxFolder leaves room for what is below the folder.
const maxFolder = 512

// dialer makes connections on which nothing waits longer than the stall limit.
func dialer(l Limits) func(context.Context, string, string) (net.Conn, error) {
	d := net.Dialer{Timeout: l.Connect, KeepAlive: 15 * time.Second, Control: fewUnsent}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &watched{c, l.Stall}, nil
	}
}

// watched is a connection that fails when nothing moves. What is written shows
// that the peer lives, so a read may wait for its answer from then on.
type watched struct {
	net.Conn
	stall time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	_ = w.SetReadDeadline(time.Now().Add(w.stall))
	return w.Conn.Read(p)
}

func (w *watched) Write(p []byte) (int, error) {
	_ = w.SetDeadline(time.Now().Add(w.stall))
	return w.Conn.Write(p)
}

func base(key string) string { return path.Base(key) }
