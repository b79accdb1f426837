package tablekeys

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"headwater/handlers/landing/buckettest"
)

const (
	lakeRoot = "s3://lake/tables"
	orders   = lakeRoot + "/acme/w/ada/src_1/public==orders"
)

type desk struct {
	*Issuer
	store *simulated
	logs  *bytes.Buffer
	at    time.Time
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{store: simulate(t), logs: &bytes.Buffer{}, at: time.Now()}
	d.Issuer = New(d.store.open(), lakeRoot, lakeRoot+"/headwater-lake.json", Settings{Endpoint: d.store.url, Role: "arn:aws:iam::123456789012:role/lake", Life: time.Hour},
		slog.New(slog.NewTextHandler(d.logs, nil)))
	d.now = func() time.Time { return d.at }
	return d
}

func (d *desk) get(folder, user string, expires time.Time) (Keys, error) {
	return d.Keys(d.store.t.Context(), Table{folder, folder + "/metadata/00001.metadata.json"}, Holder{Organization: "acme", Username: user, Expires: expires})
}

// TestKeysOpenOneTable reads, writes and lists with keys as an engine would.
func TestKeysOpenOneTable(t *testing.T) {
	d := newDesk(t)
	k, err := d.get(orders, "ada lovelace@example.com", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(k.Expires); k.Region != "eu-west-1" || left < 55*time.Minute || left > time.Hour {
		t.Errorf("%s, %v left", k.Region, left)
	}
	if who := d.store.asked[0]; who != "headwater-acme-ada_lovelace@example.com" {
		t.Errorf("the store's log would say %s", who)
	}
	client := s3.New(s3.Options{
		Region: "eu-west-1", BaseEndpoint: &d.store.url, UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: k.Access, SecretAccessKey: k.Secret, SessionToken: k.Session}, nil
		}),
	})
	lake, in := aws.String("lake"), "tables/acme/w/ada/src_1/public==orders"
	read := func(key string) error {
		_, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: lake, Key: &key})
		return err
	}
	list := func(prefix string) error {
		_, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: lake, Prefix: &prefix})
		return err
	}
	_, put := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: lake, Key: aws.String(in + "/data/x.parquet"), Body: strings.NewReader("x")})
	_, removed := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: lake, Key: aws.String(in + "/data/a.parquet")})
	for what, c := range map[string]struct {
		err  error
		want bool
	}{
		"a file of the table":       {read(in + "/data/a.parquet"), true},
		"its names":                 {list(in + "/"), true},
		"the names of a folder":     {list(in + "/metadata/"), true},
		"a neighbour":               {read("tables/acme/w/ada/src_1/public==orders2/data/a.parquet"), false},
		"a file beside":             {read("tables/headwater-lake.json"), false},
		"the lake's names":          {list("tables/"), false},
		"all names":                 {list(""), false},
		"names that begin like its": {list(in), false},
		"a write":                   {put, false},
		"a removal":                 {removed, false},
	} {
		if (c.err == nil) != c.want {
			t.Errorf("%s: %v", what, c.err)
		}
	}
}

// TestRefusals holds what a caller and the operator are told of a store that gives no
// keys, that it is told once, and that the store is left alone for a while.
func TestRefusals(t *testing.T) {
	hang := func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }
	page := func(status int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(status)
			io.WriteString(w, "<html><body>Please log in")
		}
	}
	bare := func(w http.ResponseWriter) { // S3's own way of refusing
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `<Error><Code>InvalidRequest</Code><Message>no</Message></Error>`)
	}
	for name, c := range map[string]struct {
		spoil func(*simulated)
		want  string
		role  bool
	}{
		"access denied":      {func(s *simulated) { s.refuse = refusing(403, "AccessDenied") }, "refuses AssumeRole (403 AccessDenied)", true},
		"too long sessions":  {func(s *simulated) { s.refuse = refusing(400, "ValidationError") }, "refuses AssumeRole (400 ValidationError)", true},
		"our keys":           {func(s *simulated) { s.refuse = refusing(403, "InvalidClientTokenId") }, "refuses AssumeRole (403 InvalidClientTokenId)", false},
		"not implemented":    {func(s *simulated) { s.refuse = refusing(501, "NotImplemented") }, "has no AssumeRole where its STS should be (501 NotImplemented)", false},
		"an S3 server":       {func(s *simulated) { s.refuse = bare }, "has no AssumeRole where its STS should be (400)", false},
		"a page":             {func(s *simulated) { s.refuse = page(200) }, "has no AssumeRole where its STS should be (200)", false},
		"a gateway":          {func(s *simulated) { s.refuse = page(502) }, "failed (502)", false},
		"throttling":         {func(s *simulated) { s.refuse = refusing(400, "Throttling") }, "asked too often (400 Throttling)", false},
		"no answer":          {func(s *simulated) { s.refuse = hang }, "cannot be asked: no connection to it", false},
		"silence":            {func(s *simulated) { s.slow = time.Second }, "cannot be asked: no answer in time", false},
		"a policy too large": {func(s *simulated) { s.refuse = refusing(400, "PackedPolicyTooLarge") }, "too long a name for a session policy of the store's STS (400 PackedPolicyTooLarge)", false},
		"policy ignored":     {func(s *simulated) { s.ignores = true }, "ignores the session policy: its keys open more than the table", false},
		"its own keys":       {func(s *simulated) { s.own = true }, "gave the service's own keys", false},
		"a powerless role":   {func(s *simulated) { s.shut = true }, "do not open the table: the role needs s3:GetObject", false},
		"keys for a day":     {func(s *simulated) { s.life = 24 * time.Hour }, "end at another time than asked for", false},
		"ended keys":         {func(s *simulated) { s.life = -time.Minute }, "end at another time than asked for", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.store.set(func() { c.spoil(d.store) })
			if d.store.slow > 0 {
				d.limit = d.store.slow / 10
			}
			for range 3 {
				k, err := d.get(orders, "ada", time.Time{})
				var r *Refusal
				if !errors.As(err, &r) || !strings.Contains(r.Told(), c.want) || r.Role != c.role || k != (Keys{}) {
					t.Fatalf("%v", err)
				}
			}
			tried := d.store.times()
			if tried > 2 {
				t.Errorf("the STS was asked %d times", tried)
			}
			d.at = d.at.Add(pause)
			if _, err := d.get(orders, "ada", time.Time{}); err == nil || d.store.times() <= tried {
				t.Errorf("later: %v", err)
			}
			logs := d.logs.String()
			if strings.Count(logs, "level=WARN") != 1 || !strings.Contains(logs, c.want) {
				t.Errorf("the log: %s", logs)
			}
			for _, secret := range []string{buckettest.SecretKey, buckettest.AccessKey, "secret-of", "ASIA", "quotes", "127.0.0.1"} {
				if strings.Contains(logs, secret) {
					t.Errorf("%q is in the log: %s", secret, logs)
				}
			}
			d.store.set(func() {
				d.store.refuse, d.store.ignores, d.store.own, d.store.shut, d.store.life, d.store.slow = nil, false, false, false, 0, 0
			})
			d.limit = askLimit
			d.at = d.at.Add(pause)
			if _, err := d.get(orders, "ada", time.Time{}); err != nil {
				t.Errorf("once it is well: %v", err)
			}
		})
	}
}

// TestATableWithoutItsFileIsOneTable holds that a table whose metadata somebody removed keeps
// nobody from keys to others.
func TestATableWithoutItsFileIsOneTable(t *testing.T) {
	d := newDesk(t)
	if _, err := d.get(orders+"/gone", "ada", time.Time{}); !errors.Is(err, errGone) {
		t.Errorf("keys to a table without its file: %v", err)
	}
	if _, err := d.get(orders, "bob", time.Time{}); err != nil {
		t.Errorf("keys to another: %v", err)
	}
}

// TestKeysAreShared holds that a caller gets the same keys for half of their life,
// and those who ask at once the same ones; and nobody those of another.
func TestKeysAreShared(t *testing.T) {
	d := newDesk(t)
	d.store.set(func() { d.store.slow = 50 * time.Millisecond })
	var all sync.WaitGroup
	var mu sync.Mutex
	given := map[string]bool{}
	for range 50 {
		all.Go(func() {
			k, err := d.get(orders, "ada", time.Time{})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			given[k.Access] = true
		})
	}
	all.Wait()
	if len(given) != 1 || d.store.times() != 1 {
		t.Errorf("%d keys by %d requests", len(given), d.store.times())
	}
	d.store.set(func() { d.store.slow = 0 })
	first, _ := d.get(orders, "ada", time.Time{})
	other, _ := d.get(orders+"2", "ada", time.Time{})
	bob, _ := d.get(orders, "bob", time.Time{})
	if first.Access == other.Access || first.Access == bob.Access || other.Access == bob.Access {
		t.Error("keys of one are given to another")
	}
	if d.at = d.at.Add(29 * time.Minute); true {
		if k, err := d.get(orders, "ada", time.Time{}); err != nil || k != first {
			t.Errorf("before half of their life: %v", err)
		}
	}
	// The store is down when others are due: what is left of the old ones is of use.
	d.store.set(func() { d.store.refuse = refusing(503, "ServiceUnavailable") })
	d.at = d.at.Add(2 * time.Minute)
	for range 2 {
		if k, err := d.get(orders, "ada", time.Time{}); err != nil || k != first {
			t.Errorf("while the STS is down: %v", err)
		}
	}
	d.at = d.at.Add(25 * time.Minute)
	if _, err := d.get(orders, "ada", time.Time{}); err == nil {
		t.Error("keys about to end are given out")
	}
	// The simulated STS goes by the machine's time.
	d.store.set(func() { d.store.refuse, d.store.life = nil, time.Until(d.at.Add(pause+time.Hour)) })
	d.at = d.at.Add(pause)
	if k, err := d.get(orders, "ada", time.Time{}); err != nil || k == first {
		t.Errorf("once it is well: %v", err)
	}
	if !strings.Contains(d.logs.String(), "gives keys to tables again") {
		t.Errorf("the log: %s", d.logs)
	}
}

// TestWaitingEndsWithItsCaller has the one who asked first leave.
func TestWaitingEndsWithItsCaller(t *testing.T) {
	d := newDesk(t)
	d.store.set(func() { d.store.slow = time.Second }) // the first has left by then
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := d.Keys(ctx, Table{Folder: orders}, Holder{Organization: "acme", Username: "ada"})
		left <- err
	}()
	for end := time.Now().Add(time.Minute); len(d.places) == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	stays := make(chan error, 1)
	go func() {
		_, err := d.Keys(t.Context(), Table{Folder: orders}, Holder{Organization: "acme", Username: "ada"})
		stays <- err
	}()
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := <-stays; err != nil || d.store.times() != 1 {
		t.Errorf("%v after %d requests", err, d.store.times())
	}
}

// TestKeysEndWithTheToken asks with tokens that end earlier than keys do.
func TestKeysEndWithTheToken(t *testing.T) {
	d := newDesk(t)
	for left, want := range map[time.Duration]time.Duration{
		24 * time.Hour: time.Hour, 40 * time.Minute: 40 * time.Minute, 10 * time.Minute: LeastLife, -time.Hour: LeastLife,
	} {
		if got, ends := d.life(d.at.Add(left)); got != want || (ends != 0) != (left < time.Hour) {
			t.Errorf("a token with %v left: keys for %v, %d", left, got, ends)
		}
	}
	long, err := d.get(orders, "ada", d.at.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	short, err := d.get(orders, "ada", d.at.Add(20*time.Minute))
	if err != nil || short == long || short.Expires.After(d.at.Add(21*time.Minute)) {
		t.Errorf("a token that ends soon gets keys until %v: %v", short.Expires, err)
	}
}

// TestCheckProvesTheStore asks at the start.
func TestCheckProvesTheStore(t *testing.T) {
	d := newDesk(t)
	if err := d.Check(t.Context()); err != nil {
		t.Error(err)
	}
	d.store.set(func() { d.store.ignores = true })
	if err := d.Check(t.Context()); !errors.Is(err, errWide) {
		t.Error(err)
	}
	if _, err := d.get(orders, "ada", time.Time{}); !errors.Is(err, errWide) || d.store.times() != 2 {
		t.Errorf("after it: %v", err)
	}
	if _, err := New(d.store.open(), "s3://other/tables", "s3://other/x", d.settings, slog.New(slog.DiscardHandler)).
		Keys(t.Context(), Table{Folder: orders}, Holder{}); !errors.Is(err, errOutside) {
		t.Errorf("a table of another bucket: %v", err)
	}
}

// TestKeptIsBounded holds how much is remembered.
func TestKeptIsBounded(t *testing.T) {
	k, now := newKept(3), time.Now()
	value := keptValue{keys: Keys{Expires: now.Add(time.Hour)}, until: now.Add(time.Minute)}
	for i := range 10 {
		k.put(keptKey{folder: fmt.Sprint(i)}, value)
		k.get(keptKey{folder: "0"}, now)
	}
	if _, ok := k.get(keptKey{folder: "0"}, now); !ok || len(k.values) != 3 || k.recent.Len() != 3 {
		t.Errorf("%d are kept, the one that is asked for: %v", len(k.values), ok)
	}
	if _, ok := k.get(keptKey{folder: "0"}, now.Add(time.Hour-leastLeft)); ok || len(k.values) != 2 {
		t.Errorf("%d are kept once one has ended: %v", len(k.values), ok)
	}
	if (keptKey{folder: "a", tokenID: "b"}).text() == (keptKey{folder: `a" "b`}).text() {
		t.Error("two callers share a request")
	}
}

// TestKeysAreNotShown prints keys in every way.
func TestKeysAreNotShown(t *testing.T) {
	k := Keys{Access: "shown1", Secret: "shown2", Session: "shown3"}
	var logs bytes.Buffer
	slog.New(slog.NewJSONHandler(&logs, nil)).Info("x", "keys", k)
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s", k, k, k, k), logs.String(), fmt.Sprint(struct{ K Keys }{k})} {
		if strings.Contains(text, "shown") {
			t.Error(text)
		}
	}
	if written, err := json.Marshal(k); err != nil || strings.Contains(string(written), "shown") {
		t.Errorf("%s %v", written, err)
	}
}

func TestRegionsAndPartitions(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://sts.amazonaws.com":                 "us-east-1",
		"https://sts.eu-central-1.amazonaws.com":    "eu-central-1",
		"https://sts-fips.us-west-2.amazonaws.com":  "us-west-2",
		"https://sts.cn-north-1.amazonaws.com.cn":   "cn-north-1",
		"https://vpce-1.sts.eu-west-3.vpce.x:9":     "lake",
		"http://minio:9000":                         "lake",
		"https://amazonaws.com.example.com/":        "lake",
		"https://sts.eu-west-1.amazonaws.com.evil.": "lake",
	} {
		if got := regionOf(endpoint, "lake"); got != want {
			t.Errorf("%s is asked in %s, want %s", endpoint, got, want)
		}
	}
	for role, want := range map[string]string{"": "aws", "arn:aws-cn:iam::1:role/x": "aws-cn", "arn:minio:iam:::role/x": "aws", "arn:aws:iam::1:role/x": "aws"} {
		if got := partitionOf(role); got != want {
			t.Errorf("%s is of %s, want %s", role, got, want)
		}
	}
}
