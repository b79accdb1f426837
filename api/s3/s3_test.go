package s3

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"headwater/api/iceberg"
	"headwater/bus/event"
)

// lake is one in memory, by keys.
type lake map[string]string

const own = "file:///lake"

var written = time.Date(2026, 1, 31, 12, 0, 0, 123, time.UTC)

func (lake) Key(name string) (string, bool) { return strings.CutPrefix(name, own+"/") }
func (lake) Named(name string) string       { return strings.Replace(name, own, Root, 1) }
func (lake) Metadata(content []byte) ([]byte, error) {
	return bytes.ReplaceAll(content, []byte(own), []byte(Root)), nil
}
func (l lake) List(context.Context, string) ([]string, error) {
	var keys []string
	for key := range l {
		if strings.HasPrefix(key, "acme/w/ada/src_1/orders=/") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

type inMemory struct{ io.ReadSeeker }

func (inMemory) Close() error { return nil }

func (l lake) Open(_ context.Context, key string) (*File, error) {
	content, ok := l[key]
	switch {
	case !ok:
		return nil, &fs.PathError{Op: "open", Path: key, Err: fs.ErrNotExist}
	case content == "stalled":
		return nil, errors.New("secret-path: input/output error")
	}
	return &File{ReadSeekCloser: inMemory{strings.NewReader(content)}, Size: int64(len(content)), Modified: written}, nil
}

func (l lake) Stat(ctx context.Context, key string) (Entry, error) {
	f, err := l.Open(ctx, key)
	if err != nil {
		return Entry{}, err
	}
	return Entry{Key: key, Size: f.Size, Modified: f.Modified}, nil
}

const folder = "acme/w/ada/src_1/orders="

// desk is an endpoint, and the keys of one table of it.
type desk struct {
	*Server
	t       *testing.T
	url     string
	config  map[string]string
	now     time.Time
	removed bool
}

func newDesk(t *testing.T, files lake) *desk {
	d := &desk{t: t, now: time.Now()}
	d.Server = New(Deps{
		Files: files, Now: func() time.Time { return d.now },
		MAC: func(data []byte) []byte {
			h := hmac.New(sha256.New, []byte("the node's key"))
			h.Write(data)
			return h.Sum(nil)
		},
		Stands: func(_ context.Context, h Holder) error {
			if d.removed || h.Username != "ada" || h.Address.Source != "src_1" {
				return Withdrawn("the source was removed")
			}
			return nil
		},
	})
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	d.url = server.URL
	d.config = d.ask(true, "127.0.0.1:4711", time.Time{}).Config
	return d
}

func (d *desk) ask(delegated bool, from string, expires time.Time) iceberg.View {
	d.t.Helper()
	r := httptest.NewRequest("GET", d.url+"/iceberg/v1/x", nil)
	r.RemoteAddr = from
	v, err := d.View(d.t.Context(), iceberg.Ask{
		Caller: iceberg.Caller{Organization: "acme", Username: "ada", Expires: expires}, Delegated: delegated, Request: r,
		Address: event.Address{Organization: "acme", Workspace: "w", Owner: "ada", Source: "src_1"},
		Table:   iceberg.Table{Folder: own + "/" + folder, Location: own + "/" + folder + "/metadata/1.metadata.json", Metadata: []byte(`{"location":"` + own + `/x"}`)},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return v
}

func (d *desk) keys() aws.Credentials {
	return aws.Credentials{AccessKeyID: d.config["s3.access-key-id"], SecretAccessKey: d.config["s3.secret-access-key"], SessionToken: d.config["s3.session-token"]}
}

// client is AWS's own.
func (d *desk) client() *sdk.Client {
	return sdk.New(sdk.Options{
		Region: d.config["s3.region"], BaseEndpoint: aws.String(d.config["s3.endpoint"]), UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return d.keys(), nil }),
	})
}

// codeOf returns the code of S3's that an error of AWS's client has.
func codeOf(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return fmt.Sprint(err)
}

func testLake() lake {
	l := lake{
		folder + "/data/a.parquet": "0123456789", folder + "/data/empty.parquet": "", folder + "/data/stalled.parquet": "stalled", folder + "/metadata/1.metadata.json": "{}",
		"acme/w/ada/src_1/other=/data/a.parquet": "another table", folder + "x/data/a.parquet": "a table whose name begins so",
	}
	for i := range 25 {
		l[fmt.Sprintf("%s/metadata/m%02d.avro", folder, i)] = strings.Repeat("x", i+1)
	}
	return l
}

// TestAWSClient reads a table with AWS's own client and presigner.
func TestAWSClient(t *testing.T) {
	d := newDesk(t, testLake())
	c, ctx, bucket := d.client(), t.Context(), aws.String(Bucket)
	key := aws.String(folder + "/data/a.parquet")
	for ranged, want := range map[string]string{"": "0123456789", "bytes=2-4": "234", "bytes=8-": "89", "bytes=-3": "789", "bytes=8-100": "89", "bytes=-100": "0123456789", "bytes=0-0": "0", "lines=1-2": "0123456789", "bytes=1-2,4-5": "0123456789", "bytes=4-2": "0123456789"} {
		in := &sdk.GetObjectInput{Bucket: bucket, Key: key}
		if ranged != "" {
			in.Range = aws.String(ranged)
		}
		out, err := c.GetObject(ctx, in)
		if err != nil {
			t.Fatalf("%s: %v", ranged, err)
		}
		body, err := io.ReadAll(out.Body)
		if err != nil || string(body) != want || *out.ContentLength != int64(len(want)) || !out.LastModified.Equal(written.Truncate(time.Second)) || *out.ETag == "" {
			t.Errorf("%s: %q of %d, %v, want %q", ranged, body, *out.ContentLength, err, want)
		}
	}
	for ranged, want := range map[string]string{"bytes=10-": "InvalidRange", "bytes=10-20": "InvalidRange", "bytes=-0": "InvalidRange"} {
		if _, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: bucket, Key: key, Range: aws.String(ranged)}); codeOf(err) != want {
			t.Errorf("%s: %v, want %s", ranged, err, want)
		}
	}
	if _, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: bucket, Key: aws.String(folder + "/data/empty.parquet"), Range: aws.String("bytes=0-")}); codeOf(err) != "InvalidRange" {
		t.Errorf("a range of nothing: %v", err)
	}
	head, err := c.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: bucket, Key: key})
	if err != nil || *head.ContentLength != 10 {
		t.Fatalf("%v, %v", head, err)
	}
	for match, want := range map[string]string{*head.ETag: "NotModified", `"other"`: "<nil>"} {
		if _, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: bucket, Key: key, IfNoneMatch: aws.String(match)}); codeOf(err) != want && !strings.Contains(fmt.Sprint(err), "304") {
			t.Errorf("unless %s: %v", match, err)
		}
	}
	if _, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: bucket, Key: key, IfMatch: aws.String(`"other"`)}); codeOf(err) != "PreconditionFailed" {
		t.Errorf("if it is another: %v", err)
	}
	if _, err := c.HeadBucket(ctx, &sdk.HeadBucketInput{Bucket: bucket}); err != nil {
		t.Error(err)
	}
	if _, err := c.GetBucketLocation(ctx, &sdk.GetBucketLocationInput{Bucket: bucket}); err != nil {
		t.Error(err)
	}
	for name, refused := range map[string]error{
		"AccessDenied":       second(c.GetObject(ctx, &sdk.GetObjectInput{Bucket: bucket, Key: aws.String("acme/w/ada/src_1/other=/data/a.parquet")})),
		"AccessDenied ":      second(c.GetObject(ctx, &sdk.GetObjectInput{Bucket: bucket, Key: aws.String(folder + "x/data/a.parquet")})),
		"AccessDenied  ":     second(c.ListBuckets(ctx, &sdk.ListBucketsInput{})),
		"NoSuchKey":          second(c.GetObject(ctx, &sdk.GetObjectInput{Bucket: bucket, Key: aws.String(folder + "/data/none.parquet")})),
		"NoSuchBucket":       second(c.GetObject(ctx, &sdk.GetObjectInput{Bucket: aws.String("another"), Key: key})),
		"MethodNotAllowed":   second(c.PutObject(ctx, &sdk.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("mine")})),
		"MethodNotAllowed ":  second(c.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: bucket, Key: key})),
		"NotImplemented":     second(c.GetObjectAcl(ctx, &sdk.GetObjectAclInput{Bucket: bucket, Key: key})),
		"NotImplemented ":    second(c.ListObjects(ctx, &sdk.ListObjectsInput{Bucket: bucket})),
		"ServiceUnavailable": second(c.GetObject(ctx, &sdk.GetObjectInput{Bucket: bucket, Key: aws.String(folder + "/data/stalled.parquet")})),
	} {
		if codeOf(refused) != strings.TrimSpace(name) || strings.Contains(fmt.Sprint(refused), "secret-path") {
			t.Errorf("%v, want %s", refused, name)
		}
	}
	link, err := sdk.NewPresignClient(c).PresignGetObject(ctx, &sdk.GetObjectInput{Bucket: bucket, Key: key}, sdk.WithPresignExpires(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if status, body := get(t, link.URL); status != 200 || body != "0123456789" {
		t.Errorf("a presigned URL: %d %s", status, body)
	}
	d.now = d.now.Add(2 * time.Minute)
	if status, body := get(t, link.URL); status != 403 || !strings.Contains(body, "expired") {
		t.Errorf("once it has expired: %d %s", status, body)
	}
}

func second[T any](_ T, err error) error { return err }

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestListing(t *testing.T) {
	files := testLake()
	delete(files, folder+"/data/stalled.parquet")
	d := newDesk(t, files)
	c, ctx := d.client(), t.Context()
	var keys []string
	pages := sdk.NewListObjectsV2Paginator(c, &sdk.ListObjectsV2Input{Bucket: aws.String(Bucket), Prefix: aws.String(folder + "/metadata/"), MaxKeys: aws.Int32(7)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, fmt.Sprint(strings.TrimPrefix(*o.Key, folder+"/metadata/"), *o.Size))
		}
	}
	if len(keys) != 26 || keys[0] != "1.metadata.json2" || keys[25] != "m24.avro25" {
		t.Errorf("%d keys %q", len(keys), keys)
	}
	var groups []string
	pages = sdk.NewListObjectsV2Paginator(c, &sdk.ListObjectsV2Input{Bucket: aws.String(Bucket), Prefix: aws.String(folder + "/"), Delimiter: aws.String("/"), MaxKeys: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil || len(page.Contents) > 0 {
			t.Fatal(page, err)
		}
		for _, p := range page.CommonPrefixes {
			groups = append(groups, strings.TrimPrefix(*p.Prefix, folder))
		}
	}
	if !slices.Equal(groups, []string{"/data/", "/metadata/"}) {
		t.Errorf("folders %q", groups)
	}
	behind, err := c.ListObjectsV2(ctx, &sdk.ListObjectsV2Input{Bucket: aws.String(Bucket), Prefix: aws.String(folder + "/metadata/"), StartAfter: aws.String(folder + "/metadata/m22.avro")})
	if err != nil || len(behind.Contents) != 2 {
		t.Errorf("behind a key: %v, %v", behind, err)
	}
	all, err := c.ListObjectsV2(ctx, &sdk.ListObjectsV2Input{Bucket: aws.String(Bucket)})
	if err != nil || len(all.Contents) != 28 {
		t.Errorf("of all tables the keys' own has %d files, %v", len(all.Contents), err)
	}
	foreign, err := c.ListObjectsV2(ctx, &sdk.ListObjectsV2Input{Bucket: aws.String(Bucket), Prefix: aws.String("acme/w/ada/src_1/other=/")})
	if err != nil || len(foreign.Contents) != 0 {
		t.Errorf("another table's: %v, %v", foreign.Contents, err)
	}
}

// TestKeys holds what keys open, until when, and what is told of others.
func TestKeys(t *testing.T) {
	d := newDesk(t, testLake())
	in := &sdk.GetObjectInput{Bucket: aws.String(Bucket), Key: aws.String(folder + "/data/a.parquet")}
	try := func(change func(map[string]string)) string {
		t.Helper()
		kept := d.config
		defer func() { d.config = kept }()
		d.config = map[string]string{}
		for name, value := range kept {
			d.config[name] = value
		}
		change(d.config)
		return codeOf(second(d.client().GetObject(t.Context(), in)))
	}
	first := func(text string) string { return map[bool]string{true: "B", false: "A"}[text[0] == 'A'] + text[1:] }
	for name, change := range map[string]func(map[string]string){
		"<nil>":                 func(map[string]string) {},
		"SignatureDoesNotMatch": func(c map[string]string) { c["s3.secret-access-key"] = first(c["s3.secret-access-key"]) },
		"InvalidAccessKeyId":    func(c map[string]string) { c["s3.access-key-id"] = "AKIDEXAMPLE" },
		"InvalidToken":          func(c map[string]string) { c["s3.session-token"] = first(c["s3.session-token"]) },
		"AccessDenied":          func(c map[string]string) { c["s3.session-token"] = "" },
	} {
		if got := try(change); got != name {
			t.Errorf("%s, want %s", got, name)
		}
	}
	// Keys are the same on every node and for some minutes, and end with the token.
	twin := newDesk(t, testLake())
	twin.now = d.now
	if twin.ask(true, "127.0.0.1:1", time.Time{}).Config["s3.session-token"] != d.ask(true, "127.0.0.1:1", time.Time{}).Config["s3.session-token"] {
		t.Error("two nodes give out other keys")
	}
	soon := d.now.Add(time.Minute)
	if v := d.ask(true, "127.0.0.1:1", soon); v.Expires.After(soon) {
		t.Errorf("keys outlive their token: %s", v.Expires)
	}
	if v := d.ask(true, "127.0.0.1:1", d.now.Add(1e6*time.Second)); v.Expires.Sub(d.now) > time.Hour || v.Expires.Sub(d.now) < 45*time.Minute {
		t.Errorf("keys live for %s", v.Expires.Sub(d.now))
	}
	d.removed = true
	if got := try(func(map[string]string) {}); got != "AccessDenied" {
		t.Errorf("once the source is removed: %s", got)
	}
	d.removed = false
	d.now = d.now.Add(20 * time.Minute)
	if got := try(func(map[string]string) {}); got != "RequestTimeTooSkewed" {
		t.Errorf("with a clock 20 minutes late: %s", got)
	}
	d.now = d.now.Add(time.Hour)
	if got := try(func(map[string]string) {}); got != "ExpiredToken" {
		t.Errorf("after an hour: %s", got)
	}
}

// TestWhoGetsKeys holds the rule of who is shown the lake by which names.
func TestWhoGetsKeys(t *testing.T) {
	d := newDesk(t, testLake())
	for _, ask := range []struct {
		delegated bool
		from      string
		keys      bool
	}{{true, "127.0.0.1:1", true}, {false, "127.0.0.1:1", false}, {false, "[::1]:1", false}, {false, "192.0.2.7:1", true}, {true, "192.0.2.7:1", true}} {
		v := d.ask(ask.delegated, ask.from, time.Time{})
		if keys := v.Config["s3.secret-access-key"] != ""; keys != ask.keys || strings.HasPrefix(v.Location, Root+"/") != ask.keys || bytes.Contains(v.Metadata, []byte(Root)) != ask.keys || v.Expires.IsZero() == ask.keys {
			t.Errorf("%+v: %+v", ask, v)
		}
	}
	r := httptest.NewRequest("GET", "http://lake.example:8080/x", nil)
	r.Header.Set("User-Agent", "ClickHouse/26.7.2.1")
	if got := d.endpoint(r); got != "http://lake.example:8080/" {
		t.Errorf("ClickHouse's endpoint is %s", got)
	}
	r.Header.Del("User-Agent")
	for _, c := range []struct{ port, proto, want string }{{"", "", "http://lake.example:8080"}, {"", "https", "https://lake.example:8080"}, {"9000", "https", "http://lake.example:9000"}} {
		d.Port = c.port
		r.Header.Set("X-Forwarded-Proto", c.proto)
		if got := d.endpoint(r); got != c.want {
			t.Errorf("the endpoint is %s, want %s", got, c.want)
		}
	}
}

// signed returns a request that AWS's signer has signed.
func (d *desk) signed(method, path string, change func(*http.Request)) *http.Request {
	d.t.Helper()
	r := httptest.NewRequest(method, d.url+path, nil)
	r.RequestURI = ""
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err := signer.SignHTTP(d.t.Context(), d.keys(), r, "UNSIGNED-PAYLOAD", "s3", "any-region-1", d.now); err != nil {
		d.t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	return r
}

// TestTricks sends what no client does.
func TestTricks(t *testing.T) {
	d := newDesk(t, testLake())
	path := "/" + Bucket + "/" + strings.ReplaceAll(folder, "=", "%3D") + "/data/a.parquet"
	answer := func(r *http.Request) (int, string) {
		t.Helper()
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if status, body := answer(d.signed("GET", path, nil)); status != 200 || body != "0123456789" {
		t.Fatalf("%d %s", status, body)
	}
	for name, c := range map[string]struct {
		path   string
		change func(*http.Request)
		status int
		code   string
	}{
		"unsigned":         {path, func(r *http.Request) { r.Header.Del("Authorization") }, 403, "AccessDenied"},
		"a bearer's token": {path, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 403, "AccessDenied"},
		"half a signature": {path, func(r *http.Request) { r.Header.Set("Authorization", algorithm) }, 400, "AuthorizationHeaderMalformed"},
		"another path":     {path, func(r *http.Request) { r.URL.Path += "x" }, 403, "SignatureDoesNotMatch"},
		"another method":   {path, func(r *http.Request) { r.Method = "HEAD" }, 403, ""},
		"another host":     {path, func(r *http.Request) { r.Host = "elsewhere" }, 403, "SignatureDoesNotMatch"},
		"another query":    {path, func(r *http.Request) { r.URL.RawQuery = "partNumber=1" }, 403, "SignatureDoesNotMatch"},
		"a signature of no host": {path, func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "SignedHeaders=host;", "SignedHeaders=", 1))
		}, 400, "AuthorizationHeaderMalformed"},
		"another day":           {path, func(r *http.Request) { r.Header.Set("X-Amz-Date", "20200101T000000Z") }, 400, "AuthorizationHeaderMalformed"},
		"a way out":             {"/" + Bucket + "/" + folder + "/../other=/data/a.parquet", nil, 404, "NoSuchKey"},
		"an escaped way out":    {"/" + Bucket + "/" + folder + "/%2e%2e/other=/data/a.parquet", nil, 404, "NoSuchKey"},
		"the root":              {"/" + Bucket + "/etc/passwd", nil, 403, "AccessDenied"},
		"a folder":              {"/" + Bucket + "/" + folder + "/data/", nil, 404, "NoSuchKey"},
		"no table":              {"/" + Bucket + "/" + folder, nil, 403, "AccessDenied"},
		"two slashes":           {"/" + Bucket + "//" + folder + "/data/a.parquet", nil, 403, "AccessDenied"},
		"what S3 has besides":   {path + "?tagging", nil, 501, "NotImplemented"},
		"a query of no meaning": {path, func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, 400, "InvalidArgument"},
	} {
		if status, body := answer(d.signed("GET", c.path, c.change)); status != c.status || !strings.Contains(body, "<Code>"+c.code+"</Code>") && c.code != "" {
			t.Errorf("%s: %d %s, want %d %s", name, status, body, c.status, c.code)
		}
	}
}

// FuzzRequests feeds requests that nobody has signed: none is let in, and a range is
// always within the object.
func FuzzRequests(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=HW/20260131/r/s3/aws4_request, SignedHeaders=host, Signature=00", "x.y", "X-Amz-Expires=1", "bytes=0-5", int64(10))
	f.Add("", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=60&X-Amz-Credential=a/20260131/r/s3/aws4_request&X-Amz-Date=20260131T000000Z&X-Amz-SignedHeaders=host", "bytes=-5", int64(0))
	f.Add("AWS4-HMAC-SHA256 ,,=", "e30.", "=&;", "bytes=99999999999999999999-", int64(1))
	f.Fuzz(func(t *testing.T, authorization, session, query, ranged string, size int64) {
		s := New(Deps{Files: lake{}, MAC: func(data []byte) []byte { h := sha256.Sum256(append([]byte("key"), data...)); return h[:] }, Stands: func(context.Context, Holder) error { return nil }})
		r := httptest.NewRequest("GET", "http://here/"+Bucket+"/x", nil)
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Security-Token", session)
		r.Header.Set("X-Amz-Date", "20260131T000000Z")
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code < 400 {
			t.Errorf("%q %q %q is let in", authorization, session, query)
		}
		if size < 0 {
			return
		}
		from, n, _, err := rangeOf(ranged, size)
		if err == nil && (from < 0 || n < 0 || from+n > size || n == 0 && size > 0) {
			t.Errorf("%q of %d bytes is %d from %d", ranged, size, n, from)
		}
	})
}
